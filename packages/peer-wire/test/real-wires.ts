/** Listeners, wires and bare sockets on 127.0.0.1, closed after each test. */
import { connect, type Socket } from 'node:net';
import type { PeerIdentity } from '@bootswarm/swarm-proto';
import { afterEach, expect } from 'vitest';
import {
  dialPeer,
  type ListenOptions,
  PeerListener,
  type PeerWire,
  type PeerWireHandlers,
  type WireLimits,
  type WireMessage,
  type WireSwarm,
} from '../src/index.ts';
import { makeSwarm, PIECE_LENGTH } from './messages.ts';

/** Hears one wire, and lets a test wait for what it hears. */
export class Ear implements PeerWireHandlers {
  readonly identities: PeerIdentity[] = [];
  readonly messages: WireMessage[] = [];
  closeCode: string | undefined;
  cause: unknown;
  drains = 0;
  wire: PeerWire | undefined;
  /** Thrown, and not the peer's fault. */
  readonly mistakes: unknown[] = [];
  /** Called first for each message: a test's own reaction. */
  react: (message: WireMessage) => void = () => {};
  #waiting: (() => void)[] = [];

  onReady(identity: PeerIdentity): void {
    this.identities.push(identity);
    this.#wake();
  }

  onMessage(message: WireMessage): void {
    this.messages.push(message);
    this.#wake();
    this.react(message);
  }

  onDrain(): void {
    this.drains += 1;
    this.#wake();
  }

  onClose(code: string, cause?: unknown): void {
    expect(this.closeCode).toBeUndefined();
    this.closeCode = code;
    this.cause = cause;
    this.#wake();
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  ready(): Promise<void> {
    return this.until(() => this.identities.length > 0);
  }

  /** Resolves with the close code. */
  async closed(): Promise<string | undefined> {
    await this.until(() => this.closeCode !== undefined);
    return this.closeCode;
  }

  /** Resolves with the next message of a type, and forgets those before it. */
  async next<Type extends WireMessage['type']>(type: Type): Promise<WireMessage & { type: Type }> {
    await this.until(() => this.messages.some((message) => message.type === type));
    const at = this.messages.findIndex((message) => message.type === type);
    const [message] = this.messages.splice(0, at + 1).slice(-1);
    return message as WireMessage & { type: Type };
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

export const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

export interface ListeningNode {
  readonly port: number;
  readonly listener: PeerListener;
  /** Of the wires that were accepted, in order. */
  readonly ears: Ear[];
  /** With the addresses of the wires that they cost. */
  readonly mistakes: (readonly [unknown, string])[];
}

export async function listen(
  swarm: WireSwarm = makeSwarm({ node: 'a' }),
  options: Partial<ListenOptions> = {},
): Promise<ListeningNode> {
  const ears: Ear[] = [];
  const mistakes: (readonly [unknown, string])[] = [];
  const infoHashHex = Buffer.from(swarm.infoHash).toString('hex');
  const handlersFor = (wire: PeerWire) => {
    const ear = new Ear();
    ear.wire = wire;
    ears.push(ear);
    return ear;
  };
  const listener = await PeerListener.listen({
    host: '127.0.0.1',
    port: 0,
    lookup: (hash) => (hash === infoHashHex ? { swarm, handlersFor } : undefined),
    onMistake: (error, address) => mistakes.push([error, address]),
    ...options,
  });
  cleanups.push(() => listener.close());
  return { port: listener.port, listener, ears, mistakes };
}

export function dial(
  port: number,
  options: { swarm?: WireSwarm; limits?: Partial<WireLimits> } = {},
): Ear {
  const ear = new Ear();
  const { swarm = makeSwarm({ node: 'b' }), limits } = options;
  ear.wire = dialPeer({
    host: '127.0.0.1',
    port,
    swarm,
    handlers: ear,
    onMistake: (error) => ear.mistakes.push(error),
    connectTimeoutMs: 5_000,
    limits,
  });
  cleanups.push(() => ear.wire?.close('test-over'));
  return ear;
}

/** Two wires of ours that have unchoked each other. */
export async function connectTwo(limits: Partial<WireLimits> = {}): Promise<{ a: Ear; b: Ear }> {
  const node = await listen(undefined, { limits });
  const b = dial(node.port);
  await b.ready();
  const [a] = node.ears;
  await a.ready();
  for (const ear of [a, b]) ear.wire?.send({ type: 'unchoke' });
  await Promise.all([a.next('unchoke'), b.next('unchoke')]);
  return { a, b };
}

/** A stranger's bare socket. */
export function rawSocket(port: number): Socket {
  const socket = connect({ host: '127.0.0.1', port });
  socket.on('error', () => {});
  cleanups.push(() => socket.destroy());
  return socket;
}

export function gone(socket: Socket): Promise<void> {
  socket.resume();
  return new Promise((resolve) => socket.once('close', () => resolve()));
}

export function pieceOf(pieceIndex: number) {
  const payload = new Uint8Array(PIECE_LENGTH).fill(pieceIndex);
  return { type: 'piece', pieceIndex, offset: 0, length: PIECE_LENGTH, payload } as const;
}

export function rangeOf(pieceIndex: number) {
  return { pieceIndex, offset: 0, length: PIECE_LENGTH };
}
