import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import {
  type AgentMessage,
  decodeAgentMessage,
  encodeTrackerMessage,
  type Member,
  type PeerAddress,
  type TrackerMessage,
} from '@bootswarm/tracker-proto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import { SignalClient, type SignalTimers, signalUrlOf } from '../src/signal-client.ts';

const IMAGE = 'a'.repeat(40);
const KEY = 'b'.repeat(64);
const ORIGIN = { host: '10.0.0.1', port: 7_000 };
const SELF: Member = { node: 'me', zone: 'z', rack: 'r', address: { host: '', port: 6_881 } };
const NO_PROGRESS = { piecesHad: 0, bytesFromPeers: 0, bytesFromOrigin: 0, bytesSent: 0 };

const memberOf = (node: string): Member => ({
  ...SELF,
  node,
  address: { host: '10.0.0.2', port: 1 },
});

/** Things that happen, to be waited for in the order in which they did. */
class Queue<T> {
  readonly #items: T[] = [];
  #waiting: (() => void) | undefined;

  push(item: T): void {
    this.#items.push(item);
    this.#waiting?.();
  }

  get isEmpty(): boolean {
    return this.#items.length === 0;
  }

  async next(): Promise<T> {
    while (this.#items.length === 0) {
      await new Promise<void>((resolve) => {
        this.#waiting = resolve;
      });
    }
    return this.#items.shift() as T;
  }
}

/** Time that passes when a test says so. */
class ManualTimers implements SignalTimers {
  #now = 0;
  readonly pending = new Map<() => void, number>();
  readonly started = new Queue<number>();

  now(): number {
    return this.#now;
  }

  after(delayMs: number, callback: () => void): () => void {
    this.pending.set(callback, this.#now + delayMs);
    this.started.push(delayMs);
    return () => this.pending.delete(callback);
  }

  random(): number {
    return 1;
  }

  pass(ms: number): void {
    this.#now += ms;
    for (const [callback, at] of [...this.pending]) {
      if (at <= this.#now && this.pending.delete(callback)) callback();
    }
  }
}

type Event =
  | { type: 'members'; image: string; nodes: string[]; origins: readonly PeerAddress[] }
  | { type: 'state'; state: string; reason: string | undefined }
  | { type: 'key'; key: string }
  | { type: 'withdrawn' | 'refused'; image: string };

/** One connection as the tracker sees it. */
class Conversation {
  readonly socket: WebSocket;
  readonly received = new Queue<AgentMessage>();

  constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on('message', (data) => this.received.push(decodeAgentMessage(data as Buffer)));
  }

  say(message: TrackerMessage): void {
    this.socket.send(encodeTrackerMessage(message));
  }

  async greet(): Promise<void> {
    expect(await this.received.next()).toEqual({ type: 'hello', version: 1, ...SELF });
    this.say({ type: 'welcome', version: 1, publisherKey: KEY });
  }

  members(epoch: number, change: { isFull?: boolean; members?: string[]; left?: string[] }): void {
    const { isFull = false, members = [], left = [] } = change;
    const list = members.map(memberOf);
    this.say({
      type: 'members',
      image: IMAGE,
      epoch,
      isFull,
      members: list,
      left,
      origins: [ORIGIN],
    });
  }
}

let server: WebSocketServer;
let conversations: Queue<Conversation>;
let events: Queue<Event>;
let timers: ManualTimers;
let client: SignalClient;

beforeEach(async () => {
  conversations = new Queue();
  events = new Queue();
  timers = new ManualTimers();
  await listen(0);
  client = new SignalClient({
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/v1/signal`,
    self: SELF,
    timers,
    onMembers: (image, { members, origins }) =>
      events.push({ type: 'members', image, nodes: members.map(({ node }) => node), origins }),
    onStateChange: (state, reason) => events.push({ type: 'state', state, reason }),
    onPublisherKey: (key) => events.push({ type: 'key', key }),
    onWithdrawn: (image) => events.push({ type: 'withdrawn', image }),
    onRefused: (image) => events.push({ type: 'refused', image }),
  });
});

afterEach(async () => {
  client.close();
  await shut();
});

async function listen(port: number): Promise<void> {
  server = new WebSocketServer({ port, host: '127.0.0.1' });
  server.on('connection', (socket) => conversations.push(new Conversation(socket)));
  await once(server, 'listening');
}

async function shut(): Promise<void> {
  for (const socket of server.clients) socket.terminate();
  const closed = once(server, 'close');
  server.close();
  await closed;
}

/** A connection on which the client is connected. */
async function welcomed(): Promise<Conversation> {
  const conversation = await conversations.next();
  await conversation.greet();
  expect(await events.next()).toEqual({ type: 'key', key: KEY });
  expect(await events.next()).toEqual({ type: 'state', state: 'connected', reason: undefined });
  return conversation;
}

/** And in the swarm of IMAGE, whose members are a and me. */
async function joined(): Promise<Conversation> {
  client.join(IMAGE, 3);
  const conversation = await welcomed();
  expect(await conversation.received.next()).toEqual({ type: 'join', image: IMAGE, piecesHad: 3 });
  conversation.members(5, { isFull: true, members: ['a', 'me'] });
  expect(await events.next()).toMatchObject({ nodes: ['a', 'me'], origins: [ORIGIN] });
  return conversation;
}

async function lost(): Promise<string | undefined> {
  const event = await events.next();
  expect(event).toMatchObject({ type: 'state', state: 'connecting' });
  return (event as Event & { type: 'state' }).reason;
}

test('makes the signalling URL of the tracker’s', () => {
  expect(signalUrlOf('http://controller:7420')).toBe('ws://controller:7420/v1/signal');
  expect(signalUrlOf('https://[::1]:7420/')).toBe('wss://[::1]:7420/v1/signal');
});

describe('in a swarm', () => {
  test('keeps the whole order from changes', async () => {
    const tracker = await joined();
    tracker.members(6, { members: ['b', 'c'], left: ['a'] });
    expect(await events.next()).toEqual({
      type: 'members',
      image: IMAGE,
      nodes: ['me', 'b', 'c'],
      origins: [ORIGIN],
    });
    tracker.members(7, { left: ['b'] });
    expect(await events.next()).toMatchObject({ nodes: ['me', 'c'] });
  });

  test('joins again, once, when it misses an epoch, and says nothing until it knows the order', async () => {
    const tracker = await joined();
    tracker.members(7, { members: ['c'] });
    tracker.members(8, { members: ['d'] });
    expect(await tracker.received.next()).toEqual({ type: 'join', image: IMAGE, piecesHad: 3 });
    tracker.members(8, { isFull: true, members: ['me', 'b', 'c', 'd'] });
    expect(await events.next()).toMatchObject({ nodes: ['me', 'b', 'c', 'd'] });
    client.leave(IMAGE);
    expect(await tracker.received.next()).toEqual({ type: 'leave', image: IMAGE });
  });

  test('reaches an origin that listens on all addresses where the tracker is', async () => {
    const tracker = await joined();
    const base = { type: 'members', image: IMAGE, isFull: true, members: [], left: [] } as const;
    for (const host of ['0.0.0.0', '::']) {
      tracker.say({ ...base, epoch: 9, origins: [{ host, port: 7_000 }] });
      expect(await events.next()).toMatchObject({ origins: [{ host: '127.0.0.1', port: 7_000 }] });
    }
  });

  test('joins while it is connected, and joining twice is once', async () => {
    const tracker = await welcomed();
    client.join(IMAGE, 0);
    client.join(IMAGE, 1);
    client.leave(IMAGE);
    expect(await tracker.received.next()).toEqual({ type: 'join', image: IMAGE, piecesHad: 0 });
    expect(await tracker.received.next()).toEqual({ type: 'leave', image: IMAGE });
  });

  test('ignores what arrives for a swarm it has left', async () => {
    const tracker = await joined();
    const other = 'c'.repeat(40);
    client.join(other, 0);
    client.leave(IMAGE);
    tracker.members(6, { members: ['b'] });
    tracker.say({ type: 'withdrawn', image: IMAGE });
    tracker.say({ type: 'withdrawn', image: other });
    expect(await events.next()).toEqual({ type: 'withdrawn', image: other });
  });

  test('takes no change of before it left for one of after it came back', async () => {
    const tracker = await joined();
    client.leave(IMAGE);
    client.join(IMAGE, 0);
    tracker.members(6, { members: ['b'] });
    tracker.members(7, { isFull: true, members: ['b', 'me'] });
    expect(await events.next()).toMatchObject({ nodes: ['b', 'me'] });
    expect(await tracker.received.next()).toMatchObject({ type: 'leave' });
    expect(await tracker.received.next()).toMatchObject({ type: 'join' });
    expect(tracker.received.isEmpty).toBe(true);
  });

  test('leaves a swarm whose image is withdrawn, and does not come back to it', async () => {
    const tracker = await joined();
    tracker.say({ type: 'withdrawn', image: IMAGE });
    expect(await events.next()).toEqual({ type: 'withdrawn', image: IMAGE });
    tracker.socket.close();
    await lost();
    timers.pass(200);
    const again = await welcomed();
    client.join('c'.repeat(40), 0);
    expect(await again.received.next()).toMatchObject({ type: 'join', image: 'c'.repeat(40) });
  });

  test('tells when it is refused, and tries again on the next connection', async () => {
    client.join(IMAGE, 0);
    const tracker = await welcomed();
    await tracker.received.next();
    tracker.say({ type: 'refused', code: 'image-not-found', message: 'No.', image: IMAGE });
    expect(await events.next()).toEqual({ type: 'refused', image: IMAGE });
    tracker.socket.close();
    await lost();
    timers.pass(200);
    expect(await (await welcomed()).received.next()).toMatchObject({ type: 'join' });
  });
});

describe('progress', () => {
  const report = (bytesSent: number) => ({ ...NO_PROGRESS, bytesSent });

  test('is sent at once, then once a second with the latest counters', async () => {
    const tracker = await joined();
    for (const bytesSent of [1, 2, 3]) client.progress(IMAGE, report(bytesSent));
    expect(await tracker.received.next()).toEqual({ type: 'progress', image: IMAGE, ...report(1) });
    timers.pass(999);
    client.progress(IMAGE, report(4));
    timers.pass(1);
    expect(await tracker.received.next()).toMatchObject({ bytesSent: 4 });
    timers.pass(5_000);
    client.progress(IMAGE, report(5));
    expect(await tracker.received.next()).toMatchObject({ bytesSent: 5 });
    expect(tracker.received.isEmpty).toBe(true);
  });

  test('is told again to a tracker that comes back, with the join', async () => {
    const tracker = await joined();
    client.progress(IMAGE, { ...report(1), piecesHad: 9 });
    tracker.socket.terminate();
    await lost();
    client.progress(IMAGE, { ...report(2), piecesHad: 10 });
    timers.pass(200);
    const again = await welcomed();
    expect(await again.received.next()).toEqual({ type: 'join', image: IMAGE, piecesHad: 10 });
    expect(await again.received.next()).toMatchObject({ type: 'progress', bytesSent: 2 });
  });

  test('of a swarm it is not in goes nowhere', async () => {
    const tracker = await welcomed();
    client.progress(IMAGE, NO_PROGRESS);
    client.join(IMAGE, 0);
    expect(await tracker.received.next()).toMatchObject({ type: 'join' });
  });
});

describe('a tracker that goes away', () => {
  test('is found again after a restart, with the swarms it had forgotten', async () => {
    await joined();
    const { port } = server.address() as AddressInfo;
    await shut();
    expect(await lost()).toBe('close code 1006');
    expect(client.state).toBe('connecting');
    timers.pass(200);
    expect(await lost()).toContain('ECONNREFUSED');
    await listen(port);
    timers.pass(400);
    const again = await welcomed();
    expect(await again.received.next()).toEqual({ type: 'join', image: IMAGE, piecesHad: 3 });
    // Its epochs have begun anew: a change of its sixth is none of what we knew as the fifth.
    again.members(6, { members: ['z'] });
    again.members(1, { isFull: true, members: ['me'] });
    expect(await events.next()).toMatchObject({ nodes: ['me'] });
    again.members(2, { members: ['a'] });
    expect(await events.next()).toMatchObject({ nodes: ['me', 'a'] });
  });

  test('is asked for after 0.2, 0.4, … 10 s, and after 0.2 s again once it has stayed', async () => {
    const delays: number[] = [];
    for (let attempt = 0; attempt < 8; attempt += 1) {
      const tracker = await conversations.next();
      tracker.socket.close();
      await lost();
      delays.push(Math.max(...timers.pending.values()) - timers.now());
      timers.pass(10_000);
    }
    expect(delays).toEqual([200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
    const stable = await welcomed();
    timers.pass(10_000);
    stable.socket.close();
    await lost();
    expect([...timers.pending.values()]).toEqual([timers.now() + 200]);
  });

  test('is given up when it is silent for 45 s, but not when it pings', async () => {
    const tracker = await welcomed();
    timers.pass(30_000);
    const ponged = once(tracker.socket, 'pong');
    tracker.socket.ping();
    await ponged;
    timers.pass(30_000);
    expect(client.state).toBe('connected');
    timers.pass(15_000);
    expect(await lost()).toBe('close code 1006');
  });

  test('because another agent has our name is not asked again for 10 s', async () => {
    const tracker = await welcomed();
    tracker.socket.close(4_000, 'replaced');
    expect(await lost()).toBe('replaced');
    expect([...timers.pending.values()]).toEqual([10_000]);
  });
});

describe('a tracker that breaks the protocol is left, and asked again:', () => {
  const welcome = { type: 'welcome', version: 1, publisherKey: KEY } as const;
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
      (tracker) => tracker.say({ ...welcome, version: 2 }),
      'version-unsupported',
    ],
    [
      'too long a message',
      ({ socket }) => socket.send(Buffer.alloc(8 * 1024 * 1024 + 1)),
      'Max payload size exceeded',
    ],
  ];

  test.each(cases)('%s', async (_, attack, reason) => {
    attack(await conversations.next());
    expect(await lost()).toBe(reason);
    timers.pass(200);
    await welcomed();
  });

  test('two welcomes', async () => {
    const tracker = await welcomed();
    tracker.say(welcome);
    expect(await lost()).toBe('welcome-repeated');
  });
});

test('says nothing any more once it is closed', async () => {
  const tracker = await joined();
  const closed = once(tracker.socket, 'close');
  client.close();
  tracker.members(6, { members: ['b'] });
  expect((await closed)[0]).toBe(1_000);
  expect(timers.pending.size).toBe(0);
  expect(events.isEmpty).toBe(true);
});
