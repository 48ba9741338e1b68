import { once } from 'node:events';
import { SIGNALLING_VERSION } from '@bootswarm/tracker-proto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { signalUrlOf } from '../src/signal-client.ts';
import { type Conversation, IMAGE, KEY, SignalRig } from './signal-rig.ts';

let rig: SignalRig;

beforeEach(async () => {
  rig = await SignalRig.start();
});

afterEach(() => rig.end());

test('makes the signalling URL of the tracker’s', () => {
  expect(signalUrlOf('http://controller:7420')).toBe('ws://controller:7420/v1/signal');
  expect(signalUrlOf('https://[::1]:7420/')).toBe('wss://[::1]:7420/v1/signal');
});

describe('a tracker that goes away', () => {
  test('is found again after a restart, with the swarms it had forgotten', async () => {
    await rig.joined();
    await rig.stopTracker();
    expect(await rig.lost()).toBe('close code 1006');
    expect(rig.client.state).toBe('connecting');
    rig.timers.pass(200);
    expect(await rig.lost()).toContain('ECONNREFUSED');
    await rig.restartTracker();
    rig.timers.pass(400);
    const again = await rig.welcomed();
    expect(await again.received.next()).toEqual({ type: 'join', image: IMAGE, piecesHad: 3 });
    // Its epochs have begun anew: a change of its sixth is none of what we knew as the fifth.
    again.members(6, { members: ['z'] });
    again.members(1, { isFull: true, members: ['me'] });
    expect(await rig.events.next()).toMatchObject({ nodes: ['me'] });
    again.members(2, { members: ['a'], firstPlace: 1 });
    expect(await rig.events.next()).toMatchObject({ nodes: ['me', 'a'] });
  });

  test('is asked for after 0.2, 0.4, … 10 s, and after 0.2 s again once it has stayed', async () => {
    const delays: number[] = [];
    for (let attempt = 0; attempt < 8; attempt += 1) {
      const tracker = await rig.conversations.next();
      tracker.socket.close();
      await rig.lost();
      delays.push(Math.max(...rig.timers.pending.values()) - rig.timers.now());
      rig.timers.pass(10_000);
    }
    expect(delays).toEqual([200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
    const stable = await rig.welcomed();
    rig.timers.pass(10_000);
    stable.socket.close();
    await rig.lost();
    expect([...rig.timers.pending.values()]).toEqual([rig.timers.now() + 200]);
  });

  test('is given up when it is silent for 45 s, but not when it pings', async () => {
    const tracker = await rig.welcomed();
    rig.timers.pass(30_000);
    const ponged = once(tracker.socket, 'pong');
    tracker.socket.ping();
    await ponged;
    rig.timers.pass(30_000);
    expect(rig.client.state).toBe('connected');
    rig.timers.pass(15_000);
    expect(await rig.lost()).toBe('close code 1006');
  });

  test('because another agent has our name is not asked again for 10 s', async () => {
    const tracker = await rig.welcomed();
    tracker.socket.close(4_000, 'replaced');
    expect(await rig.lost()).toBe('replaced');
    expect([...rig.timers.pending.values()]).toEqual([10_000]);
  });
});

describe('a tracker that breaks the protocol is left, and asked again:', () => {
  const welcome = { type: 'welcome', version: SIGNALLING_VERSION, publisherKey: KEY } as const;
  const cases: [string, (tracker: Conversation) => void, string][] = [
    ['text', ({ socket }) => socket.send('hello'), 'text-frame'],
    ['random bytes', ({ socket }) => socket.send(Buffer.of(0xc1)), 'message-malformed'],
    ['an extension', ({ socket }) => socket.send(Buffer.of(0xd4, 0x72, 0)), 'extension-refused'],
    [
      'an unknown message',
      ({ socket }) => socket.send(Buffer.from('81a474797065a178', 'hex')),
      'message-type-unknown',
    ],
    [
      'members before welcome',
      (tracker) => tracker.members(1, { isFull: true }),
      'welcome-expected',
    ],
    [
      'another version',
      (tracker) => tracker.say({ ...welcome, version: SIGNALLING_VERSION + 1 }),
      'version-unsupported',
    ],
    [
      'too long a message',
      ({ socket }) => socket.send(Buffer.alloc(8 * 1024 * 1024 + 1)),
      'Max payload size exceeded',
    ],
  ];

  test.each(cases)('%s', async (_, attack, reason) => {
    attack(await rig.conversations.next());
    expect(await rig.lost()).toBe(reason);
    rig.timers.pass(200);
    await rig.welcomed();
  });

  test('two welcomes', async () => {
    const tracker = await rig.welcomed();
    tracker.say(welcome);
    expect(await rig.lost()).toBe('welcome-repeated');
  });
});

test('says nothing any more once it is closed', async () => {
  const tracker = await rig.joined();
  const closed = once(tracker.socket, 'close');
  rig.client.close();
  tracker.members(6, { members: ['b'] });
  expect((await closed)[0]).toBe(1_000);
  expect(rig.timers.pending.size).toBe(0);
  expect(rig.events.isEmpty).toBe(true);
});
