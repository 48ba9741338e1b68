import { beforeEach, describe, expect, test } from 'vitest';
import type { AgentMessage, Member, RegistryEffect } from '../src/index.ts';
import { MEMBERS_MAX, SIGNALLING_VERSION } from '../src/index.ts';
import { helloOf, IMAGE, join, KEY, memberOf, RegistryRig } from './registry-rig.ts';

const OTHER = '2'.repeat(40);
const ORIGIN = { host: '10.9.9.9', port: 7000 };
const welcome = { type: 'welcome', version: SIGNALLING_VERSION, publisherKey: KEY } as const;

let rig: RegistryRig;

beforeEach(() => {
  rig = new RegistryRig();
});

function members(
  connections: number[],
  epoch: number,
  change: { isFull?: boolean; members?: Member[]; left?: string[]; origins?: object[] },
): object {
  const { isFull = false, members = [], left = [], origins = [] } = change;
  const message = { type: 'members', image: IMAGE, epoch, isFull, members, left, origins };
  return { type: 'send', connections, message };
}

describe('hello', () => {
  test('welcomes an agent with the publisher key', () => {
    expect(rig.connect(1)).toEqual([]);
    expect(rig.say(1, helloOf('a'))).toEqual([
      { type: 'send', connections: [1], message: welcome },
    ]);
    expect(rig.registry.agentCount).toBe(1);
  });

  test('closes a connection that says anything before hello', () => {
    rig.connect(1);
    expect(rig.say(1, join)).toEqual([{ type: 'close', connection: 1, code: 'hello-expected' }]);
    expect(rig.say(1, helloOf('a'))).toEqual([]);
    expect(rig.registry.agentCount).toBe(0);
  });

  test('closes a connection that says hello twice', () => {
    rig.greet(1, 'a');
    expect(rig.say(1, helloOf('a'))).toEqual([
      { type: 'close', connection: 1, code: 'hello-repeated' },
    ]);
  });

  test('closes a connection of another version', () => {
    rig.connect(1);
    const effects = rig.say(1, { ...helloOf('a'), version: 1 } as AgentMessage);
    expect(effects).toEqual([{ type: 'close', connection: 1, code: 'version-unsupported' }]);
  });

  test('closes a connection that is silent for 5 s', () => {
    rig.connect(1, 1_000);
    rig.connect(2, 2_000);
    rig.say(2, helloOf('b'), 3_000);
    expect(rig.registry.timeout()).toBe(6_000);
    expect(rig.wake(5_999)).toEqual([]);
    expect(rig.wake(6_000)).toEqual([{ type: 'close', connection: 1, code: 'hello-timeout' }]);
    expect(rig.registry.timeout()).toBeUndefined();
  });

  test('uses the address it sees when the agent gives none', () => {
    rig.connect(1);
    rig.say(1, { ...helloOf('a'), address: { host: '', port: 5 } } as AgentMessage);
    expect(rig.registry.nodes()[0].identity.address).toEqual({ host: '10.0.0.99', port: 5 });
  });

  test('closes the older connection of the same node, and keeps its place in the swarm', () => {
    rig.greet(1, 'a');
    rig.say(1, join);
    rig.greet(2, 'b', 100);
    rig.say(2, join, 100);
    rig.connect(3, 200);
    expect(rig.say(3, helloOf('a'), 200)).toEqual([
      { type: 'close', connection: 1, code: 'replaced' },
      { type: 'send', connections: [3], message: welcome },
    ]);
    expect(rig.disconnect(1, 210)).toEqual([]);
    expect(rig.say(3, join, 300)).toEqual([
      members([3], 2, { isFull: true, members: [memberOf('a', 0), memberOf('b', 1)] }),
    ]);
    expect(rig.wake(20_000)).toEqual([]);
  });

  test('turns away agents beyond the limit', () => {
    rig = new RegistryRig({ agentsMax: 2 });
    rig.connect(1);
    rig.connect(2);
    expect(rig.connect(3)).toEqual([{ type: 'close', connection: 3, code: 'too-many-agents' }]);
    rig.disconnect(3);
    rig.disconnect(1);
    expect(rig.connect(4)).toEqual([]);
  });
});

describe('join', () => {
  test('tells the first member at once', () => {
    rig.feed({ type: 'origins-changed', origins: [ORIGIN] }, 0);
    rig.greet(1, 'a');
    expect(rig.say(1, join)).toEqual([
      members([1], 1, { isFull: true, members: [memberOf('a', 0)], origins: [ORIGIN] }),
    ]);
  });

  test('refuses an image that is not published', () => {
    rig.greet(1, 'a');
    const message = {
      type: 'refused',
      code: 'image-not-found',
      message: 'The tracker has no such image.',
      image: OTHER,
    };
    expect(rig.say(1, { ...join, image: OTHER } as AgentMessage)).toEqual([
      { type: 'send', connections: [1], message },
    ]);
    expect(rig.registry.swarms()).toEqual([]);
  });

  test('ends at most one epoch per 50 ms, with all joins of that time in it', () => {
    rig.greet(1, 'a');
    rig.greet(2, 'b');
    rig.greet(3, 'c');
    rig.say(1, join, 1_000);
    expect(rig.say(2, join, 1_001)).toEqual([]);
    expect(rig.say(3, join, 1_049)).toEqual([]);
    expect(rig.registry.timeout()).toBe(1_050);
    expect(rig.wake(1_050)).toEqual([
      members([1], 2, { members: [memberOf('b', 1), memberOf('c', 2)] }),
      members([2, 3], 2, {
        isFull: true,
        members: [memberOf('a', 0), memberOf('b', 1), memberOf('c', 2)],
      }),
    ]);
    expect(rig.wake(1_100)).toEqual([]);
    expect(rig.registry.timeout()).toBeUndefined();
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
      rig.greet(node, `n${node}`, node);
      count(rig.say(node, join, node));
    }
    count(rig.wake(2_000));
    expect(epochs).toBeLessThanOrEqual(21);
    expect(messages).toBeLessThanOrEqual(21_000);
    expect(rig.registry.swarms()[0].members.length).toBe(1_000);
  });

  test('answers a second join with the whole order and no new epoch', () => {
    rig.greet(1, 'a');
    rig.greet(2, 'b');
    rig.say(1, join, 0);
    rig.say(2, join, 100);
    expect(rig.say(1, join, 200)).toEqual([
      members([1], 2, { isFull: true, members: [memberOf('a', 0), memberOf('b', 1)] }),
    ]);
  });

  test('tells the whole order, and no change, to a member that joins again while a change waits', () => {
    rig.greet(1, 'a');
    rig.greet(2, 'b');
    rig.say(1, join, 0);
    rig.say(2, join, 10);
    rig.say(1, join, 20);
    expect(rig.wake(50)).toEqual([
      members([2, 1], 2, { isFull: true, members: [memberOf('a', 0), memberOf('b', 1)] }),
    ]);
  });

  test('refuses one swarm too many', () => {
    rig = new RegistryRig({ swarmsPerAgentMax: 1 });
    rig.feed(
      { type: 'image-published', image: OTHER, pieceCount: 1, kinds: [], isPrejoined: false },
      0,
    );
    rig.greet(1, 'a');
    rig.say(1, join);
    expect(rig.say(1, { ...join, image: OTHER } as AgentMessage)).toMatchObject([
      { type: 'send', connections: [1], message: { type: 'refused', code: 'too-many-swarms' } },
    ]);
    rig.say(1, { type: 'leave', image: IMAGE });
    expect(rig.say(1, { ...join, image: OTHER } as AgentMessage)).toMatchObject([
      { message: { type: 'members' } },
    ]);
  });

  test('refuses the member that would not fit into one message', () => {
    // Nodes that come and go within the grace time pile up although few are connected.
    for (let node = 0; node < MEMBERS_MAX; node += 1) {
      rig.greet(node, `n${node}`);
      rig.say(node, join);
      rig.disconnect(node);
    }
    rig.greet(MEMBERS_MAX, 'late');
    expect(rig.say(MEMBERS_MAX, join)).toMatchObject([
      { message: { type: 'refused', code: 'swarm-full' } },
    ]);
  });
});

describe('leave', () => {
  test('tells the others, and the one that left nothing more', () => {
    rig.greet(1, 'a');
    rig.greet(2, 'b');
    rig.say(1, join, 0);
    rig.say(2, join, 100);
    expect(rig.say(1, { type: 'leave', image: IMAGE }, 200)).toEqual([
      members([2], 3, { left: ['a'], members: [memberOf('b', 0)] }),
    ]);
    rig.greet(3, 'c', 300);
    expect(rig.say(3, join, 300)).toEqual([
      members([2], 4, { members: [memberOf('c', 1)] }),
      members([3], 4, { isFull: true, members: [memberOf('b', 0), memberOf('c', 1)] }),
    ]);
  });

  test('says nothing of a member that came and went within one epoch', () => {
    rig.greet(1, 'a');
    rig.greet(2, 'b');
    rig.say(1, join, 0);
    rig.say(2, join, 10);
    rig.say(2, { type: 'leave', image: IMAGE }, 20);
    expect(rig.wake(50)).toEqual([]);
  });

  test('moves a member that left and came back within one epoch to the end', () => {
    rig.greet(1, 'a');
    rig.greet(2, 'b');
    rig.say(1, join, 0);
    rig.say(2, join, 100);
    rig.say(1, { type: 'leave', image: IMAGE }, 110);
    rig.say(1, join, 120);
    expect(rig.wake(150)).toEqual([
      members([2], 3, { members: [memberOf('b', 0), memberOf('a', 1)], left: ['a'] }),
      members([1], 3, { isFull: true, members: [memberOf('b', 0), memberOf('a', 1)] }),
    ]);
  });

  test('forgets a swarm that everybody left', () => {
    rig.greet(1, 'a');
    rig.say(1, join);
    expect(rig.say(1, { type: 'leave', image: IMAGE })).toEqual([]);
    expect(rig.registry.swarms()).toEqual([]);
    expect(rig.registry.timeout()).toBeUndefined();
  });

  test('ignores a leave from a swarm the node is not in', () => {
    rig.greet(1, 'a');
    expect(rig.say(1, { type: 'leave', image: IMAGE })).toEqual([]);
  });
});

describe('disconnect', () => {
  beforeEach(() => {
    rig.greet(1, 'a');
    rig.greet(2, 'b');
    rig.say(1, join, 0);
    rig.say(2, join, 100);
  });

  test('keeps the member for 10 s, then lets it leave', () => {
    expect(rig.disconnect(1, 1_000)).toEqual([]);
    expect(rig.registry.nodes().map(({ identity }) => identity.node)).toEqual(['b']);
    expect(rig.registry.timeout()).toBe(11_000);
    expect(rig.wake(10_999)).toEqual([]);
    expect(rig.wake(11_000)).toEqual([
      members([2], 3, { members: [memberOf('b', 0)], left: ['a'] }),
    ]);
  });

  test('keeps the place of a member that comes back within 10 s', () => {
    rig.disconnect(1, 1_000);
    rig.greet(3, 'a', 2_000);
    expect(rig.say(3, join, 2_000)).toEqual([
      members([3], 2, { isFull: true, members: [memberOf('a', 0), memberOf('b', 1)] }),
    ]);
    expect(rig.wake(60_000)).toEqual([]);
  });

  test('appends a member anew when it comes back at another address', () => {
    rig.disconnect(1, 1_000);
    rig.connect(3, 2_000);
    rig.say(3, helloOf('a', 7_000), 2_000);
    expect(rig.say(3, join, 2_000)).toEqual([
      members([2], 3, { members: [memberOf('b', 0), memberOf('a', 1, 7_000)], left: ['a'] }),
      members([3], 3, { isFull: true, members: [memberOf('b', 0), memberOf('a', 1, 7_000)] }),
    ]);
  });

  test('lets a member leave that said hello again but did not join', () => {
    rig.disconnect(1, 1_000);
    rig.greet(3, 'a', 2_000);
    expect(rig.wake(11_000)).toEqual([
      members([2], 3, { members: [memberOf('b', 0)], left: ['a'] }),
    ]);
    expect(rig.registry.nodes().map(({ images }) => images)).toEqual([[IMAGE], []]);
  });

  test('counts the 10 s from the connection that had joined, however often the node reconnects', () => {
    rig.disconnect(1, 1_000);
    rig.greet(3, 'a', 5_000);
    rig.disconnect(3, 6_000);
    expect(rig.wake(11_000)).toEqual([
      members([2], 3, { members: [memberOf('b', 0)], left: ['a'] }),
    ]);
  });
});

describe('images and origins', () => {
  test('tells everybody in a swarm when its image is withdrawn, and refuses joins from then on', () => {
    rig.greet(1, 'a');
    rig.greet(2, 'b');
    rig.say(1, join, 0);
    rig.say(2, join, 10);
    expect(rig.feed({ type: 'image-withdrawn', image: IMAGE }, 20)).toEqual([
      { type: 'send', connections: [1, 2], message: { type: 'withdrawn', image: IMAGE } },
    ]);
    expect(rig.wake(1_000)).toEqual([]);
    expect(rig.say(1, { ...progress, image: IMAGE }, 1_000)).toEqual([]);
    expect(rig.say(1, join, 1_000)).toMatchObject([{ message: { type: 'refused' } }]);
    expect(rig.disconnect(1, 1_000)).toEqual([]);
    expect(rig.registry.timeout()).toBeUndefined();
  });

  test('withdraws an image whose members are all in their grace time', () => {
    rig.greet(1, 'a');
    rig.say(1, join, 0);
    rig.disconnect(1, 10);
    expect(rig.feed({ type: 'image-withdrawn', image: IMAGE }, 20)).toEqual([]);
    expect(rig.registry.timeout()).toBeUndefined();
  });

  test('tells every swarm the new origins as an epoch of its own', () => {
    rig.greet(1, 'a');
    rig.say(1, join, 0);
    expect(rig.feed({ type: 'origins-changed', origins: [ORIGIN] }, 100)).toEqual([
      members([1], 2, { origins: [ORIGIN] }),
    ]);
    expect(rig.say(1, join, 200)).toEqual([
      members([1], 2, { isFull: true, members: [memberOf('a', 0)], origins: [ORIGIN] }),
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
    rig.greet(1, 'a');
    rig.say(1, { type: 'join', image: IMAGE, piecesHad: 3 });
    const places = () => rig.registry.swarms()[0].members;
    const nothing = { piecesHad: 3, bytesFromPeers: 0, bytesFromOrigin: 0, bytesSent: 0 };
    expect(places()).toEqual([{ member: memberOf('a', 0), progress: nothing }]);
    expect(rig.say(1, progress)).toEqual([]);
    const { type: _, image: __, ...reported } = progress;
    expect(places()).toEqual([{ member: memberOf('a', 0), progress: reported }]);
  });
});

test('closes an agent that sends more than its rate, and earns messages back with time', () => {
  rig = new RegistryRig({ messagesPerSecondMax: 10, messagesBurstMax: 3 });
  rig.greet(1, 'a');
  const leave: AgentMessage = { type: 'leave', image: IMAGE };
  expect(rig.say(1, leave)).toEqual([]);
  expect(rig.say(1, leave)).toEqual([]);
  expect(rig.say(1, leave, 100)).toEqual([]);
  expect(rig.say(1, leave, 199)).toEqual([
    { type: 'close', connection: 1, code: 'too-many-messages' },
  ]);
});
