import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import type { AgentMessage, Member, RegistryEffect, RegistryInput } from '../src/index.ts';
import { LIMITS, MEMBERS_MAX, MemberOrder, SwarmRegistry } from '../src/index.ts';

const KEY = 'ab'.repeat(32);
const IMAGE = '1'.repeat(40);
const OTHER = '2'.repeat(40);
const ORIGIN = { host: '10.9.9.9', port: 7000 };

const memberOf = (node: string, port = 6881): Member => ({
  node,
  zone: 'z1',
  rack: 'r1',
  address: { host: '10.0.0.1', port },
});
const helloOf = (node: string, port = 6881): AgentMessage => ({
  type: 'hello',
  version: 1,
  ...memberOf(node, port),
});
const join: AgentMessage = { type: 'join', image: IMAGE, piecesHad: 0 };
const welcome = { type: 'welcome', version: 1, publisherKey: KEY } as const;

let registry: SwarmRegistry;

function feed(input: RegistryInput, now: number): RegistryEffect[] {
  registry.handle(input, now);
  const effects: RegistryEffect[] = [];
  for (let next = registry.poll(); next !== undefined; next = registry.poll()) effects.push(next);
  return effects;
}

const connect = (connection: number, now = 0) =>
  feed({ type: 'agent-connected', connection, remoteHost: '10.0.0.99' }, now);
const say = (connection: number, message: AgentMessage, now = 0) =>
  feed({ type: 'message', connection, message }, now);
const disconnect = (connection: number, now = 0) =>
  feed({ type: 'agent-disconnected', connection }, now);
const wake = (now: number) => feed({ type: 'wake' }, now);

/** A connection that said hello. */
function greet(connection: number, node: string, now = 0): void {
  connect(connection, now);
  say(connection, helloOf(node), now);
}

function members(
  connections: number[],
  epoch: number,
  change: { isFull?: boolean; members?: Member[]; left?: string[]; origins?: object[] },
): object {
  const { isFull = false, members = [], left = [], origins = [] } = change;
  const message = { type: 'members', image: IMAGE, epoch, isFull, members, left, origins };
  return { type: 'send', connections, message };
}

beforeEach(() => {
  registry = new SwarmRegistry(KEY);
  feed({ type: 'image-published', image: IMAGE }, 0);
});

describe('hello', () => {
  test('welcomes an agent with the publisher key', () => {
    expect(connect(1)).toEqual([]);
    expect(say(1, helloOf('a'))).toEqual([{ type: 'send', connections: [1], message: welcome }]);
    expect(registry.agentCount).toBe(1);
  });

  test('closes a connection that says anything before hello', () => {
    connect(1);
    expect(say(1, join)).toEqual([{ type: 'close', connection: 1, code: 'hello-expected' }]);
    expect(say(1, helloOf('a'))).toEqual([]);
    expect(registry.agentCount).toBe(0);
  });

  test('closes a connection that says hello twice', () => {
    greet(1, 'a');
    expect(say(1, helloOf('a'))).toEqual([
      { type: 'close', connection: 1, code: 'hello-repeated' },
    ]);
  });

  test('closes a connection of another version', () => {
    connect(1);
    const effects = say(1, { ...helloOf('a'), version: 2 } as AgentMessage);
    expect(effects).toEqual([{ type: 'close', connection: 1, code: 'version-unsupported' }]);
  });

  test('closes a connection that is silent for 5 s', () => {
    connect(1, 1_000);
    connect(2, 2_000);
    say(2, helloOf('b'), 3_000);
    expect(registry.timeout()).toBe(6_000);
    expect(wake(5_999)).toEqual([]);
    expect(wake(6_000)).toEqual([{ type: 'close', connection: 1, code: 'hello-timeout' }]);
    expect(registry.timeout()).toBeUndefined();
  });

  test('uses the address it sees when the agent gives none', () => {
    connect(1);
    say(1, { ...helloOf('a'), address: { host: '', port: 5 } } as AgentMessage);
    expect(registry.nodes()[0].member.address).toEqual({ host: '10.0.0.99', port: 5 });
  });

  test('closes the older connection of the same node, and keeps its place in the swarm', () => {
    greet(1, 'a');
    say(1, join);
    greet(2, 'b', 100);
    say(2, join, 100);
    connect(3, 200);
    expect(say(3, helloOf('a'), 200)).toEqual([
      { type: 'close', connection: 1, code: 'replaced' },
      { type: 'send', connections: [3], message: welcome },
    ]);
    expect(disconnect(1, 210)).toEqual([]);
    expect(say(3, join, 300)).toEqual([
      members([3], 2, { isFull: true, members: [memberOf('a'), memberOf('b')] }),
    ]);
    expect(wake(20_000)).toEqual([]);
  });

  test('turns away agents beyond the limit', () => {
    registry = new SwarmRegistry(KEY, { ...LIMITS, agentsMax: 2 });
    connect(1);
    connect(2);
    expect(connect(3)).toEqual([{ type: 'close', connection: 3, code: 'too-many-agents' }]);
    disconnect(3);
    disconnect(1);
    expect(connect(4)).toEqual([]);
  });
});

describe('join', () => {
  test('tells the first member at once', () => {
    feed({ type: 'origins-changed', origins: [ORIGIN] }, 0);
    greet(1, 'a');
    expect(say(1, join)).toEqual([
      members([1], 1, { isFull: true, members: [memberOf('a')], origins: [ORIGIN] }),
    ]);
  });

  test('refuses an image that is not published', () => {
    greet(1, 'a');
    const message = {
      type: 'refused',
      code: 'image-not-found',
      message: 'The tracker has no such image.',
      image: OTHER,
    };
    expect(say(1, { ...join, image: OTHER } as AgentMessage)).toEqual([
      { type: 'send', connections: [1], message },
    ]);
    expect(registry.swarms()).toEqual([]);
  });

  test('ends at most one epoch per 50 ms, with all joins of that time in it', () => {
    greet(1, 'a');
    greet(2, 'b');
    greet(3, 'c');
    say(1, join, 1_000);
    expect(say(2, join, 1_001)).toEqual([]);
    expect(say(3, join, 1_049)).toEqual([]);
    expect(registry.timeout()).toBe(1_050);
    expect(wake(1_050)).toEqual([
      members([1], 2, { members: [memberOf('b'), memberOf('c')] }),
      members([2, 3], 2, { isFull: true, members: [memberOf('a'), memberOf('b'), memberOf('c')] }),
    ]);
    expect(wake(1_100)).toEqual([]);
    expect(registry.timeout()).toBeUndefined();
  });

  test('sends 1,000 nodes that join within a second at most 21 epochs', () => {
    let messages = 0;
    let epochs = 0;
    const count = (effects: RegistryEffect[]) => {
      for (const effect of effects) {
        if (effect.type !== 'send' || effect.message.type !== 'members') continue;
        messages += effect.connections.length;
        epochs = Math.max(epochs, effect.message.epoch);
      }
    };
    for (let node = 0; node < 1_000; node += 1) {
      greet(node, `n${node}`, node);
      count(say(node, join, node));
    }
    count(wake(2_000));
    expect(epochs).toBeLessThanOrEqual(21);
    expect(messages).toBeLessThanOrEqual(21_000);
    expect(registry.swarms()[0].members.length).toBe(1_000);
  });

  test('answers a second join with the whole order and no new epoch', () => {
    greet(1, 'a');
    greet(2, 'b');
    say(1, join, 0);
    say(2, join, 100);
    expect(say(1, join, 200)).toEqual([
      members([1], 2, { isFull: true, members: [memberOf('a'), memberOf('b')] }),
    ]);
  });

  test('tells the whole order, and no change, to a member that joins again while a change waits', () => {
    greet(1, 'a');
    greet(2, 'b');
    say(1, join, 0);
    say(2, join, 10);
    say(1, join, 20);
    expect(wake(50)).toEqual([
      members([2, 1], 2, { isFull: true, members: [memberOf('a'), memberOf('b')] }),
    ]);
  });

  test('refuses one swarm too many', () => {
    registry = new SwarmRegistry(KEY, { ...LIMITS, swarmsPerAgentMax: 1 });
    feed({ type: 'image-published', image: IMAGE }, 0);
    feed({ type: 'image-published', image: OTHER }, 0);
    greet(1, 'a');
    say(1, join);
    expect(say(1, { ...join, image: OTHER } as AgentMessage)).toMatchObject([
      { type: 'send', connections: [1], message: { type: 'refused', code: 'too-many-swarms' } },
    ]);
    say(1, { type: 'leave', image: IMAGE });
    expect(say(1, { ...join, image: OTHER } as AgentMessage)).toMatchObject([
      { message: { type: 'members' } },
    ]);
  });

  test('refuses the member that would not fit into one message', () => {
    // Nodes that come and go within the grace time pile up although few are connected.
    for (let node = 0; node < MEMBERS_MAX; node += 1) {
      greet(node, `n${node}`);
      say(node, join);
      disconnect(node);
    }
    greet(MEMBERS_MAX, 'late');
    expect(say(MEMBERS_MAX, join)).toMatchObject([
      { message: { type: 'refused', code: 'swarm-full' } },
    ]);
  });
});

describe('leave', () => {
  test('tells the others, and the one that left nothing more', () => {
    greet(1, 'a');
    greet(2, 'b');
    say(1, join, 0);
    say(2, join, 100);
    expect(say(1, { type: 'leave', image: IMAGE }, 200)).toEqual([
      members([2], 3, { left: ['a'] }),
    ]);
    greet(3, 'c', 300);
    expect(say(3, join, 300)).toEqual([
      members([2], 4, { members: [memberOf('c')] }),
      members([3], 4, { isFull: true, members: [memberOf('b'), memberOf('c')] }),
    ]);
  });

  test('says nothing of a member that came and went within one epoch', () => {
    greet(1, 'a');
    greet(2, 'b');
    say(1, join, 0);
    say(2, join, 10);
    say(2, { type: 'leave', image: IMAGE }, 20);
    expect(wake(50)).toEqual([]);
  });

  test('moves a member that left and came back within one epoch to the end', () => {
    greet(1, 'a');
    greet(2, 'b');
    say(1, join, 0);
    say(2, join, 100);
    say(1, { type: 'leave', image: IMAGE }, 110);
    say(1, join, 120);
    expect(wake(150)).toEqual([
      members([2], 3, { members: [memberOf('a')], left: ['a'] }),
      members([1], 3, { isFull: true, members: [memberOf('b'), memberOf('a')] }),
    ]);
  });

  test('forgets a swarm that everybody left', () => {
    greet(1, 'a');
    say(1, join);
    expect(say(1, { type: 'leave', image: IMAGE })).toEqual([]);
    expect(registry.swarms()).toEqual([]);
    expect(registry.timeout()).toBeUndefined();
  });

  test('ignores a leave from a swarm the node is not in', () => {
    greet(1, 'a');
    expect(say(1, { type: 'leave', image: IMAGE })).toEqual([]);
  });
});

describe('disconnect', () => {
  beforeEach(() => {
    greet(1, 'a');
    greet(2, 'b');
    say(1, join, 0);
    say(2, join, 100);
  });

  test('keeps the member for 10 s, then lets it leave', () => {
    expect(disconnect(1, 1_000)).toEqual([]);
    expect(registry.nodes().map(({ member }) => member.node)).toEqual(['b']);
    expect(registry.timeout()).toBe(11_000);
    expect(wake(10_999)).toEqual([]);
    expect(wake(11_000)).toEqual([members([2], 3, { left: ['a'] })]);
  });

  test('keeps the place of a member that comes back within 10 s', () => {
    disconnect(1, 1_000);
    greet(3, 'a', 2_000);
    expect(say(3, join, 2_000)).toEqual([
      members([3], 2, { isFull: true, members: [memberOf('a'), memberOf('b')] }),
    ]);
    expect(wake(60_000)).toEqual([]);
  });

  test('appends a member anew when it comes back at another address', () => {
    disconnect(1, 1_000);
    connect(3, 2_000);
    say(3, helloOf('a', 7_000), 2_000);
    expect(say(3, join, 2_000)).toEqual([
      members([2], 3, { members: [memberOf('a', 7_000)], left: ['a'] }),
      members([3], 3, { isFull: true, members: [memberOf('b'), memberOf('a', 7_000)] }),
    ]);
  });

  test('lets a member leave that said hello again but did not join', () => {
    disconnect(1, 1_000);
    greet(3, 'a', 2_000);
    expect(wake(11_000)).toEqual([members([2], 3, { left: ['a'] })]);
    expect(registry.nodes().map(({ images }) => images)).toEqual([[IMAGE], []]);
  });

  test('counts the 10 s from the connection that had joined, however often the node reconnects', () => {
    disconnect(1, 1_000);
    greet(3, 'a', 5_000);
    disconnect(3, 6_000);
    expect(wake(11_000)).toEqual([members([2], 3, { left: ['a'] })]);
  });
});

describe('images and origins', () => {
  test('tells everybody in a swarm when its image is withdrawn, and refuses joins from then on', () => {
    greet(1, 'a');
    greet(2, 'b');
    say(1, join, 0);
    say(2, join, 10);
    expect(feed({ type: 'image-withdrawn', image: IMAGE }, 20)).toEqual([
      { type: 'send', connections: [1, 2], message: { type: 'withdrawn', image: IMAGE } },
    ]);
    expect(wake(1_000)).toEqual([]);
    expect(say(1, { ...progress, image: IMAGE }, 1_000)).toEqual([]);
    expect(say(1, join, 1_000)).toMatchObject([{ message: { type: 'refused' } }]);
    expect(disconnect(1, 1_000)).toEqual([]);
    expect(registry.timeout()).toBeUndefined();
  });

  test('withdraws an image whose members are all in their grace time', () => {
    greet(1, 'a');
    say(1, join, 0);
    disconnect(1, 10);
    expect(feed({ type: 'image-withdrawn', image: IMAGE }, 20)).toEqual([]);
    expect(registry.timeout()).toBeUndefined();
  });

  test('tells every swarm the new origins as an epoch of its own', () => {
    greet(1, 'a');
    say(1, join, 0);
    expect(feed({ type: 'origins-changed', origins: [ORIGIN] }, 100)).toEqual([
      members([1], 2, { origins: [ORIGIN] }),
    ]);
    expect(say(1, join, 200)).toEqual([
      members([1], 2, { isFull: true, members: [memberOf('a')], origins: [ORIGIN] }),
    ]);
  });

  const progress = {
    type: 'progress',
    image: IMAGE,
    piecesHad: 5,
    bytesFromPeers: 6,
    bytesFromOrigin: 7,
    bytesSent: 8,
  } as const;

  test('shows what members last reported', () => {
    greet(1, 'a');
    say(1, { type: 'join', image: IMAGE, piecesHad: 3 });
    const places = () => registry.swarms()[0].members;
    const nothing = { piecesHad: 3, bytesFromPeers: 0, bytesFromOrigin: 0, bytesSent: 0 };
    expect(places()).toEqual([{ member: memberOf('a'), progress: nothing }]);
    expect(say(1, progress)).toEqual([]);
    const { type: _, image: __, ...reported } = progress;
    expect(places()).toEqual([{ member: memberOf('a'), progress: reported }]);
  });
});

test('closes an agent that sends more than its rate, and earns messages back with time', () => {
  registry = new SwarmRegistry(KEY, { ...LIMITS, messagesPerSecondMax: 10, messagesBurstMax: 3 });
  greet(1, 'a');
  const leave: AgentMessage = { type: 'leave', image: IMAGE };
  expect(say(1, leave)).toEqual([]);
  expect(say(1, leave)).toEqual([]);
  expect(say(1, leave, 100)).toEqual([]);
  expect(say(1, leave, 199)).toEqual([{ type: 'close', connection: 1, code: 'too-many-messages' }]);
});

test('every agent that applies its messages knows the order of the tracker', () => {
  const step = fc.record({
    agent: fc.nat(5),
    action: fc.constantFrom('connect', 'disconnect', 'join', 'leave', 'move'),
    wait: fc.constantFrom(0, 0, 10, 60, 11_000),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      registry = new SwarmRegistry(KEY, { ...LIMITS, messagesBurstMax: 1_000 });
      const views = new Map<number, MemberOrder>();
      let connections = 0;
      let now = 0;
      const open = new Map<number, number>();
      const apply = (effects: RegistryEffect[]) => {
        for (const effect of effects) {
          if (effect.type === 'close') throw new Error(effect.code);
          if (effect.message.type !== 'members') continue;
          const { message } = effect;
          for (const each of effect.connections) {
            if (message.isFull) views.set(each, new MemberOrder());
            expect(views.get(each)?.apply(message)).toBe(true);
          }
        }
      };
      apply(feed({ type: 'image-published', image: IMAGE }, now));
      for (const { agent, action, wait } of steps) {
        now += wait;
        const connection = open.get(agent);
        if (connection === undefined) {
          connections += 1;
          open.set(agent, connections);
          const port = action === 'move' ? 7_000 : 6_881;
          apply(connect(connections, now));
          apply(say(connections, helloOf(`n${agent}`, port), now));
        } else if (action === 'disconnect' || action === 'move') {
          open.delete(agent);
          apply(disconnect(connection, now));
          views.delete(connection);
        } else if (action === 'join') {
          apply(say(connection, join, now));
        } else if (action === 'leave') {
          apply(say(connection, { type: 'leave', image: IMAGE }, now));
          // What was said before the leave arrives all the same.
          views.delete(connection);
        }
        apply(wake(now));
      }
      apply(wake(now + 100));
      const order = registry.swarms()[0]?.members.map(({ member }) => member);
      for (const view of views.values()) expect(view.members).toEqual(order);
    }),
    { numRuns: 300 },
  );
});

test('an agent that missed an epoch notices and keeps what it knew until it is told the whole', () => {
  const order = new MemberOrder();
  const base = { type: 'members', image: IMAGE, left: [], origins: [] } as const;
  expect(order.apply({ ...base, epoch: 4, isFull: false, members: [] })).toBe(false);
  expect(order.apply({ ...base, epoch: 4, isFull: true, members: [memberOf('a')] })).toBe(true);
  expect(order.apply({ ...base, epoch: 6, isFull: false, members: [memberOf('b')] })).toBe(false);
  expect(order.members).toEqual([memberOf('a')]);
  expect(order.apply({ ...base, epoch: 5, isFull: false, members: [memberOf('b')] })).toBe(true);
  expect(order.epoch).toBe(5);
  expect(order.apply({ ...base, epoch: 1, isFull: true, members: [memberOf('c')] })).toBe(true);
  expect([order.epoch, order.members]).toEqual([1, [memberOf('c')]]);
});
