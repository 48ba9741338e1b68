/** A signal client under the test's clock, and the tracker at the far end of its connections, for tests to speak as. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import {
  type AgentMessage,
  decodeAgentMessage,
  encodeTrackerMessage,
  type KindOrder,
  type Member,
  type NodeIdentity,
  type PeerAddress,
  type PrefetchTask,
  SIGNALLING_VERSION,
  type TrackerMessage,
} from '@bootswarm/tracker-proto';
import { expect } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import { SignalClient, type SignalTimers } from '../src/signal-client.ts';

export const IMAGE = 'a'.repeat(40);
export const KEY = 'b'.repeat(64);
export const ORIGIN = { host: '10.0.0.1', port: 7_000 };
const SELF: NodeIdentity = { node: 'me', zone: 'z', rack: 'r', address: { host: '', port: 6_881 } };

const memberOf = (node: string, place: number): Member => ({
  ...SELF,
  node,
  place,
  address: { host: '10.0.0.2', port: 1 },
});

/** Things that happen, to be waited for in the order in which they did. */
export class Queue<T> {
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
export class ManualTimers implements SignalTimers {
  #now = 0;
  readonly pending = new Map<() => void, number>();

  now(): number {
    return this.#now;
  }

  after(delayMs: number, callback: () => void): () => void {
    this.pending.set(callback, this.#now + delayMs);
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

export type SignalEvent =
  | { type: 'members'; image: string; nodes: string[]; origins: readonly PeerAddress[] }
  | { type: 'state'; state: string; reason: string | undefined }
  | { type: 'boot-order'; image: string; revision: number; kinds: readonly KindOrder[] }
  | { type: 'key'; key: string }
  | { type: 'published' | 'withdrawn' | 'refused'; image: string };

/** One connection as the tracker sees it. */
export class Conversation {
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
    expect(await this.received.next()).toEqual({
      type: 'hello',
      version: SIGNALLING_VERSION,
      ...SELF,
    });
    this.say({ type: 'welcome', version: SIGNALLING_VERSION, publisherKey: KEY });
  }

  /** `members` take the places from `firstPlace` on. */
  members(
    epoch: number,
    change: { isFull?: boolean; members?: string[]; left?: string[]; firstPlace?: number },
  ): void {
    const { isFull = false, members = [], left = [], firstPlace = 0 } = change;
    const list = members.map((node, index) => memberOf(node, firstPlace + index));
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

export class SignalRig {
  readonly conversations = new Queue<Conversation>();
  readonly events = new Queue<SignalEvent>();
  readonly mistakes: unknown[] = [];
  readonly prefetches: (readonly PrefetchTask[])[] = [];
  /** Images, at each join. */
  readonly joinings: string[] = [];
  readonly timers = new ManualTimers();
  readonly port: number;
  readonly client: SignalClient;
  #server: WebSocketServer;

  static async start(): Promise<SignalRig> {
    return new SignalRig(await listening(0));
  }

  private constructor(server: WebSocketServer) {
    this.#server = this.#accepting(server);
    this.port = (server.address() as AddressInfo).port;
    this.client = new SignalClient({
      url: `ws://127.0.0.1:${this.port}/v1/signal`,
      self: SELF,
      timers: this.timers,
      onMembers: (image, { members, origins }) => {
        const nodes = members.map(({ node }) => node);
        this.events.push({ type: 'members', image, nodes, origins });
      },
      onJoining: (image) => this.joinings.push(image),
      onBootOrder: (image, { revision, kinds }) => {
        this.events.push({ type: 'boot-order', image, revision, kinds });
        if (revision === 98) throw new Error('a mistake');
        return revision !== 99;
      },
      onStateChange: (state, reason) => this.events.push({ type: 'state', state, reason }),
      onPublisherKey: (key) => this.events.push({ type: 'key', key }),
      onPublished: (image) => this.events.push({ type: 'published', image }),
      onPrefetch: (tasks) => this.prefetches.push(tasks),
      onWithdrawn: (image) => this.events.push({ type: 'withdrawn', image }),
      onRefused: (image) => this.events.push({ type: 'refused', image }),
      onMistake: (error) => this.mistakes.push(error),
    });
  }

  async end(): Promise<void> {
    this.client.close();
    await this.stopTracker();
  }

  async stopTracker(): Promise<void> {
    for (const socket of this.#server.clients) socket.terminate();
    const closed = once(this.#server, 'close');
    this.#server.close();
    await closed;
  }

  /** On the port it had before. */
  async restartTracker(): Promise<void> {
    this.#server = this.#accepting(await listening(this.port));
  }

  /** A connection on which the client is connected. */
  async welcomed(): Promise<Conversation> {
    const conversation = await this.conversations.next();
    await conversation.greet();
    expect(await this.events.next()).toEqual({ type: 'key', key: KEY });
    const connected = { type: 'state', state: 'connected', reason: undefined };
    expect(await this.events.next()).toEqual(connected);
    return conversation;
  }

  /** And in the swarm of IMAGE, whose members are a and me. */
  async joined(): Promise<Conversation> {
    this.client.join(IMAGE, 3);
    const conversation = await this.welcomed();
    const join = { type: 'join', image: IMAGE, piecesHad: 3 };
    expect(await conversation.received.next()).toEqual(join);
    conversation.members(5, { isFull: true, members: ['a', 'me'] });
    expect(await this.events.next()).toMatchObject({ nodes: ['a', 'me'], origins: [ORIGIN] });
    return conversation;
  }

  /** Waits until the client has lost its connection, and resolves to why. */
  async lost(): Promise<string | undefined> {
    const event = await this.events.next();
    expect(event).toMatchObject({ type: 'state', state: 'connecting' });
    return (event as SignalEvent & { type: 'state' }).reason;
  }

  #accepting(server: WebSocketServer): WebSocketServer {
    return server.on('connection', (socket) => this.conversations.push(new Conversation(socket)));
  }
}

async function listening(port: number): Promise<WebSocketServer> {
  const server = new WebSocketServer({ port, host: '127.0.0.1' });
  await once(server, 'listening');
  return server;
}
