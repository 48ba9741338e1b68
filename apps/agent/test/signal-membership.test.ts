import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { IMAGE, ORIGIN, SignalRig } from './signal-rig.ts';

const NO_PROGRESS = { piecesHad: 0, bytesFromPeers: 0, bytesFromOrigin: 0, bytesSent: 0 };

let rig: SignalRig;

beforeEach(async () => {
  rig = await SignalRig.start();
});

afterEach(() => rig.end());

describe('in a swarm', () => {
  test('keeps the whole order from changes', async () => {
    const tracker = await rig.joined();
    tracker.members(6, { members: ['me', 'b', 'c'], left: ['a'] });
    expect(await rig.events.next()).toEqual({
      type: 'members',
      image: IMAGE,
      nodes: ['me', 'b', 'c'],
      origins: [ORIGIN],
    });
    tracker.members(7, { members: ['c'], left: ['b'], firstPlace: 1 });
    expect(await rig.events.next()).toMatchObject({ nodes: ['me', 'c'] });
  });

  test('joins again, once, when it misses an epoch, and says nothing until it knows the order', async () => {
    const tracker = await rig.joined();
    tracker.members(7, { members: ['c'] });
    tracker.members(8, { members: ['d'] });
    expect(await tracker.received.next()).toEqual({ type: 'join', image: IMAGE, piecesHad: 3 });
    tracker.members(8, { isFull: true, members: ['me', 'b', 'c', 'd'] });
    expect(await rig.events.next()).toMatchObject({ nodes: ['me', 'b', 'c', 'd'] });
    rig.client.leave(IMAGE);
    expect(await tracker.received.next()).toEqual({ type: 'leave', image: IMAGE });
  });

  test('reaches an origin that listens on all addresses where the tracker is', async () => {
    const tracker = await rig.joined();
    const base = { type: 'members', image: IMAGE, isFull: true, members: [], left: [] } as const;
    for (const host of ['0.0.0.0', '::']) {
      tracker.say({ ...base, epoch: 9, origins: [{ host, port: 7_000 }] });
      expect(await rig.events.next()).toMatchObject({
        origins: [{ host: '127.0.0.1', port: 7_000 }],
      });
    }
  });

  test('joins while it is connected, and joining twice is once', async () => {
    const tracker = await rig.welcomed();
    rig.client.join(IMAGE, 0);
    rig.client.join(IMAGE, 1);
    rig.client.leave(IMAGE);
    expect(await tracker.received.next()).toEqual({ type: 'join', image: IMAGE, piecesHad: 0 });
    expect(await tracker.received.next()).toEqual({ type: 'leave', image: IMAGE });
  });

  test('ignores what arrives for a swarm it has left', async () => {
    const tracker = await rig.joined();
    const other = 'c'.repeat(40);
    rig.client.join(other, 0);
    rig.client.leave(IMAGE);
    tracker.members(6, { members: ['b'] });
    tracker.say({ type: 'withdrawn', image: IMAGE });
    tracker.say({ type: 'withdrawn', image: other });
    expect(await rig.events.next()).toEqual({ type: 'withdrawn', image: other });
  });

  test('takes no change of before it left for one of after it came back', async () => {
    const tracker = await rig.joined();
    rig.client.leave(IMAGE);
    rig.client.join(IMAGE, 0);
    tracker.members(6, { members: ['b'] });
    tracker.members(7, { isFull: true, members: ['b', 'me'] });
    expect(await rig.events.next()).toMatchObject({ nodes: ['b', 'me'] });
    expect(await tracker.received.next()).toMatchObject({ type: 'leave' });
    expect(await tracker.received.next()).toMatchObject({ type: 'join' });
    expect(tracker.received.isEmpty).toBe(true);
  });

  test('leaves a swarm whose image is withdrawn, and does not come back to it', async () => {
    const tracker = await rig.joined();
    tracker.say({ type: 'withdrawn', image: IMAGE });
    expect(await rig.events.next()).toEqual({ type: 'withdrawn', image: IMAGE });
    tracker.socket.close();
    await rig.lost();
    rig.timers.pass(200);
    const again = await rig.welcomed();
    rig.client.join('c'.repeat(40), 0);
    expect(await again.received.next()).toMatchObject({ type: 'join', image: 'c'.repeat(40) });
  });

  test('tells when it is refused, and tries again on the next connection', async () => {
    rig.client.join(IMAGE, 0);
    const tracker = await rig.welcomed();
    await tracker.received.next();
    tracker.say({ type: 'refused', code: 'image-not-found', message: 'No.', image: IMAGE });
    expect(await rig.events.next()).toEqual({ type: 'refused', image: IMAGE });
    tracker.socket.close();
    await rig.lost();
    rig.timers.pass(200);
    expect(await (await rig.welcomed()).received.next()).toMatchObject({ type: 'join' });
  });
});

test('suspicions are sent while the node is in the swarm', async () => {
  const tracker = await rig.joined();
  rig.client.suspect('c'.repeat(40), ['a']);
  rig.client.suspect(IMAGE, ['a']);
  expect(await tracker.received.next()).toEqual({ type: 'suspect', image: IMAGE, nodes: ['a'] });
});

test('a change that gives two members one place makes it join again, a whole order ends the connection', async () => {
  const tracker = await rig.joined();
  tracker.members(6, { members: ['b'] });
  expect(await tracker.received.next()).toMatchObject({ type: 'join' });
  tracker.members(6, { isFull: true, members: ['b', 'b'] });
  expect(await rig.lost()).toBe('members-invalid');
});

describe('progress', () => {
  const report = (bytesSent: number) => ({ ...NO_PROGRESS, bytesSent });

  test('is sent at once, then once a second with the latest counters', async () => {
    const tracker = await rig.joined();
    for (const bytesSent of [1, 2, 3]) rig.client.progress(IMAGE, report(bytesSent));
    expect(await tracker.received.next()).toEqual({ type: 'progress', image: IMAGE, ...report(1) });
    rig.timers.pass(999);
    rig.client.progress(IMAGE, report(4));
    rig.timers.pass(1);
    expect(await tracker.received.next()).toMatchObject({ bytesSent: 4 });
    rig.timers.pass(5_000);
    rig.client.progress(IMAGE, report(5));
    expect(await tracker.received.next()).toMatchObject({ bytesSent: 5 });
    expect(tracker.received.isEmpty).toBe(true);
  });

  test('is told again to a tracker that comes back, with the join', async () => {
    const tracker = await rig.joined();
    rig.client.progress(IMAGE, { ...report(1), piecesHad: 9 });
    tracker.socket.terminate();
    await rig.lost();
    rig.client.progress(IMAGE, { ...report(2), piecesHad: 10 });
    rig.timers.pass(200);
    const again = await rig.welcomed();
    expect(await again.received.next()).toEqual({ type: 'join', image: IMAGE, piecesHad: 10 });
    expect(await again.received.next()).toMatchObject({ type: 'progress', bytesSent: 2 });
  });

  test('of a swarm it is not in goes nowhere', async () => {
    const tracker = await rig.welcomed();
    rig.client.progress(IMAGE, NO_PROGRESS);
    rig.client.join(IMAGE, 0);
    expect(await tracker.received.next()).toMatchObject({ type: 'join' });
  });
});

describe('boot orders', () => {
  const order = (revision: number) =>
    ({ type: 'boot-order', image: IMAGE, revision, isFull: false, kinds: [] }) as const;
  const touches = {
    type: 'touched',
    boot: 1,
    pieceIndexes: Uint32Array.of(5),
    isOver: false,
  } as const;

  test('are passed on, and one that does not follow makes it join again, once', async () => {
    const tracker = await rig.joined();
    expect(rig.joinings).toEqual([IMAGE]);
    tracker.say(order(1));
    expect(await rig.events.next()).toMatchObject({ type: 'boot-order', revision: 1 });
    tracker.say(order(99));
    tracker.say(order(99));
    expect(await tracker.received.next()).toMatchObject({ type: 'join' });
    expect(rig.joinings).toEqual([IMAGE, IMAGE]);
    rig.client.touched(IMAGE, touches);
    expect(await tracker.received.next()).toEqual({ ...touches, image: IMAGE });
  });

  test('end the connection when they are whole and cannot be used, or meet a mistake of ours', async () => {
    const tracker = await rig.joined();
    // To join again would bring the same once more, at once and for ever.
    tracker.say({ ...order(99), isFull: true });
    expect(await rig.events.next()).toMatchObject({ type: 'boot-order' });
    expect(await rig.lost()).toBe('boot-order-invalid');
    rig.timers.pass(200);
    const again = await rig.welcomed();
    again.say(order(98));
    expect(await rig.events.next()).toMatchObject({ type: 'boot-order' });
    expect(await rig.lost()).toBe('internal-error: a mistake');
    expect(rig.mistakes).toEqual([new Error('a mistake')]);
  });

  test('are asked for anew from a tracker that comes back, and told nothing of while it is away', async () => {
    const tracker = await rig.joined();
    tracker.socket.terminate();
    await rig.lost();
    rig.client.touched(IMAGE, touches);
    rig.timers.pass(200);
    const again = await rig.welcomed();
    expect(await again.received.next()).toMatchObject({ type: 'join' });
    expect(rig.joinings).toEqual([IMAGE, IMAGE]);
    rig.client.touched(IMAGE, touches);
    expect(await again.received.next()).toMatchObject({ type: 'touched' });
  });
});

test('tells of images that may be joined ahead, and does not join them by itself', async () => {
  const tracker = await rig.welcomed();
  tracker.say({ type: 'published', image: IMAGE });
  expect(await rig.events.next()).toEqual({ type: 'published', image: IMAGE });
  rig.client.join('c'.repeat(40), 0);
  expect(await tracker.received.next()).toMatchObject({ type: 'join', image: 'c'.repeat(40) });
});
