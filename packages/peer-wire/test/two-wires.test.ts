import { connect, createServer, type Socket } from 'node:net';
import { Bitfield } from '@bootswarm/stdx';
import type { PeerIdentity } from '@bootswarm/swarm-proto';
import { afterEach, describe, expect, it } from 'vitest';
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
import { frame, handshake, makeSwarm, OURS_HELLO, PIECE_LENGTH, u32 } from './messages.ts';

/** Hears one wire, and lets a test wait for what it hears. */
class Ear implements PeerWireHandlers {
  readonly identities: PeerIdentity[] = [];
  readonly messages: WireMessage[] = [];
  closeCode: string | undefined;
  cause: unknown;
  drains = 0;
  wire: PeerWire | undefined;
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

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

interface Node {
  readonly port: number;
  readonly listener: PeerListener;
  /** Of the wires that were accepted, in order. */
  readonly ears: Ear[];
}

async function listen(
  swarm: WireSwarm = makeSwarm({ node: 'a' }),
  options: Partial<ListenOptions> = {},
): Promise<Node> {
  const ears: Ear[] = [];
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
    ...options,
  });
  cleanups.push(() => listener.close());
  return { port: listener.port, listener, ears };
}

function dial(
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
    connectTimeoutMs: 5_000,
    limits,
  });
  cleanups.push(() => ear.wire?.close('test-over'));
  return ear;
}

/** Two wires of ours that have unchoked each other. */
async function connectTwo(limits: Partial<WireLimits> = {}): Promise<{ a: Ear; b: Ear }> {
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
function rawSocket(port: number): Socket {
  const socket = connect({ host: '127.0.0.1', port });
  socket.on('error', () => {});
  cleanups.push(() => socket.destroy());
  return socket;
}

function gone(socket: Socket): Promise<void> {
  socket.resume();
  return new Promise((resolve) => socket.once('close', () => resolve()));
}

function piece(pieceIndex: number) {
  const payload = new Uint8Array(PIECE_LENGTH).fill(pieceIndex);
  return { type: 'piece', pieceIndex, offset: 0, length: PIECE_LENGTH, payload } as const;
}

function range(pieceIndex: number) {
  return { pieceIndex, offset: 0, length: PIECE_LENGTH };
}

describe('two wires', () => {
  it('know each other by node, zone and rack', async () => {
    const { a, b } = await connectTwo();
    expect(a.identities).toEqual([makeSwarm({ node: 'b' }).self]);
    expect(b.identities).toEqual([makeSwarm({ node: 'a' }).self]);
    expect(a.wire?.address).toMatch(/^127\.0\.0\.1:\d+$/);
  });

  it('exchange what they have', async () => {
    const node = await listen();
    const b = dial(node.port);
    await b.ready();
    const [a] = node.ears;
    await a.ready();
    const bitfield = new Bitfield(10);
    bitfield.set(3);
    a.wire?.send({ type: 'bitfield', bitfield });
    expect((await b.next('bitfield')).bitfield.toBytes()).toEqual(bitfield.toBytes());
    a.wire?.send({ type: 'have', pieceIndexes: [0, 1, 2, 7] });
    expect(await b.next('have')).toEqual({ type: 'have', pieceIndexes: [0, 1, 2, 7] });
    b.wire?.send({ type: 'interested' });
    expect(await a.next('interested')).toEqual({ type: 'interested' });
  });

  it('move pieces, each on a buffer of its own', async () => {
    const { a, b } = await connectTwo();
    a.react = (message) => {
      if (message.type === 'request') a.wire?.send(piece(message.pieceIndex));
    };
    for (const pieceIndex of [1, 2, 3]) {
      b.wire?.send({ type: 'request', ...range(pieceIndex), pieceClass: 'demand' });
    }
    for (const pieceIndex of [1, 2, 3]) {
      const { payload, ...message } = await b.next('piece');
      expect(message).toEqual({ type: 'piece', ...range(pieceIndex) });
      expect(payload.every((byte) => byte === pieceIndex)).toBe(true);
      expect(payload.buffer.byteLength).toBe(PIECE_LENGTH + 13);
    }
    // A round trip later the kernel has said that it took the last batch.
    b.wire?.send({ type: 'interested' });
    await a.next('interested');
    b.wire?.send({ type: 'not-interested' });
    await a.next('not-interested');
    expect(a.wire?.queuedBytes).toBe(0);
    expect(b.wire?.bytesReceived).toBe(a.wire?.bytesSent);
    expect(b.wire?.bytesReceived).toBeGreaterThan(3 * PIECE_LENGTH);
  });

  it('carry the class of a request, and its raise', async () => {
    const { a, b } = await connectTwo();
    b.wire?.send({ type: 'request', ...range(1), pieceClass: 'boot-order' });
    expect(await a.next('request')).toMatchObject({ pieceIndex: 1, pieceClass: 'boot-order' });
    b.wire?.send({ type: 'priority', pieceIndex: 1, pieceClass: 'demand' });
    expect(await a.next('priority')).toMatchObject({ pieceIndex: 1, pieceClass: 'demand' });
  });

  it('cancel and reject', async () => {
    const { a, b } = await connectTwo();
    b.wire?.send({ type: 'request', ...range(1), pieceClass: 'fill' });
    b.wire?.send({ type: 'request', ...range(2), pieceClass: 'fill' });
    b.wire?.send({ type: 'cancel', ...range(1) });
    expect(await a.next('cancel')).toEqual({ type: 'cancel', ...range(1) });
    a.wire?.send({ type: 'reject', ...range(1) });
    a.wire?.send({ type: 'reject', ...range(2) });
    expect(await b.next('reject')).toEqual({ type: 'reject', ...range(2) });
  });

  it('hear of the end once, with its reason', async () => {
    const { a, b } = await connectTwo();
    a.wire?.close('not-needed');
    a.wire?.close('again');
    expect(a.closeCode).toBeUndefined();
    expect(await a.closed()).toBe('not-needed');
    expect(await b.closed()).toBe('peer-closed');
    b.wire?.send({ type: 'interested' });
  });

  it('live on when a third one throws in a handler', async () => {
    const node = await listen();
    const bad = dial(node.port, { swarm: makeSwarm({ node: 'bad' }) });
    const good = dial(node.port, { swarm: makeSwarm({ node: 'good' }) });
    await Promise.all([bad.ready(), good.ready()]);
    const error = new Error('a mistake in a handler');
    bad.react = () => {
      throw error;
    };
    await Promise.all(node.ears.map((ear) => ear.ready()));
    for (const ear of node.ears) ear.wire?.send({ type: 'unchoke' });
    expect(await bad.closed()).toBe('internal-error');
    expect(bad.cause).toBe(error);
    await good.next('unchoke');
    expect(good.closeCode).toBeUndefined();
  });

  it('hear nothing more after closing within a handler', async () => {
    const { a, b } = await connectTwo();
    b.react = () => b.wire?.close('enough');
    a.wire?.send({ type: 'interested' });
    a.wire?.send({ type: 'not-interested' });
    expect(await b.closed()).toBe('enough');
    expect(b.messages).toEqual([{ type: 'interested' }]);
  });
});

describe('a wire', () => {
  it('says when nobody listens', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    await new Promise((resolve) => server.close(resolve));
    expect(await dial(port).closed()).toBe('socket-econnrefused');
  });

  it('closes when it finds itself', async () => {
    const swarm = makeSwarm({ node: 'a' });
    const node = await listen(swarm);
    const dialed = dial(node.port, { swarm });
    await dialed.closed();
    expect(await node.ears[0].closed()).toBe('self-connection');
  });

  it('closes when the far end does not know the swarm', async () => {
    const node = await listen();
    const stranger = dial(node.port, { swarm: makeSwarm({ infoHash: new Uint8Array(20) }) });
    expect(await stranger.closed()).toBe('peer-closed');
    expect(node.ears).toEqual([]);
  });

  it('closes when the far end never shakes hands', async () => {
    const server = createServer(() => {});
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    cleanups.push(() => server.close());
    const { port } = server.address() as { port: number };
    const dialed = dial(port, { limits: { handshakeTimeoutMs: 20 } });
    expect(await dialed.closed()).toBe('handshake-late');
  });

  it('says nothing of what came before when it is closed as soon as it is ready', async () => {
    const swarm = makeSwarm({ node: 'a' });
    const ear = new Ear();
    const node = await listen(swarm, {
      lookup: () => ({
        swarm,
        handlersFor: (wire) => {
          ear.onReady = () => wire.close('not-wanted');
          return ear;
        },
      }),
    });
    const socket = rawSocket(node.port);
    socket.write(Buffer.concat([handshake(), frame(14), OURS_HELLO]));
    expect(await ear.closed()).toBe('not-wanted');
    expect(ear.messages).toEqual([]);
  });

  it('sends keep-alives, and closes when nothing comes back', async () => {
    const node = await listen(undefined, {
      limits: { idleTimeoutMs: 400, keepAliveMs: 1, tickMs: 5 },
    });
    const socket = rawSocket(node.port);
    const received: Buffer[] = [];
    socket.on('data', (chunk) => received.push(chunk));
    socket.write(Buffer.concat([handshake(), OURS_HELLO]));
    await gone(socket);
    expect(await node.ears[0].closed()).toBe('idle');
    expect(Buffer.concat(received).subarray(-4)).toEqual(Buffer.alloc(4));
  });
});

describe('PeerListener', () => {
  it('closes a connection that never says anything', async () => {
    const node = await listen(undefined, { limits: { handshakeTimeoutMs: 20 } });
    await gone(rawSocket(node.port));
    expect(node.ears).toEqual([]);
  });

  it('closes a connection that stops within the handshake', async () => {
    const node = await listen(undefined, { limits: { handshakeTimeoutMs: 20 } });
    const socket = rawSocket(node.port);
    socket.write(handshake().subarray(0, 67));
    await gone(socket);
    expect(node.ears).toEqual([]);
  });

  it('takes a peer that never sends its extended handshake for a foreign one', async () => {
    const node = await listen(undefined, { limits: { handshakeTimeoutMs: 200 } });
    const socket = rawSocket(node.port);
    socket.write(handshake());
    await new Promise((resolve) => socket.once('data', resolve));
    await node.ears[0].ready();
    expect(node.ears[0].identities).toMatchObject([{ kind: 'foreign', client: '' }]);
  });

  it('closes strangers that send rubbish, and serves the others', async () => {
    const node = await listen();
    const known = dial(node.port);
    await known.ready();
    const rubbish = [
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      Buffer.concat([handshake(), Buffer.alloc(1_000, 0xff)]),
      Buffer.concat([handshake(), u32(0x80000000), Buffer.alloc(100_000)]),
      Buffer.concat([handshake(), frame(20, Buffer.from('\0l-3:'))]),
      Buffer.concat([handshake(), OURS_HELLO, Buffer.alloc(100_000)]),
    ];
    for (const bytes of rubbish) {
      const socket = rawSocket(node.port);
      socket.write(bytes);
      await gone(socket);
    }
    const codes = node.ears.slice(1).map(({ closeCode }) => closeCode);
    expect(codes).toEqual([
      'message-too-long',
      'message-too-long',
      'bencode-syntax',
      'chatter-flood',
    ]);
    known.wire?.send({ type: 'interested' });
    await node.ears[0].next('interested');
  });

  it('closes a peer that stops reading what it asks for', async () => {
    const limits = { writeStallMs: 50, tickMs: 10 };
    const pieceCount = 256;
    const swarm = makeSwarm({ node: 'a', pieceCount, length: pieceCount * PIECE_LENGTH });
    const node = await listen(swarm, { limits });
    const socket = rawSocket(node.port);
    socket.pause();
    socket.write(Buffer.concat([handshake(), OURS_HELLO]));
    await new Promise((resolve) => socket.once('readable', resolve));
    const [ear] = node.ears;
    await ear.ready();
    ear.react = (message) => {
      // As many as the wire takes: the rest would be sent on drain.
      if (message.type === 'request' && !ear.wire?.isCongested)
        ear.wire?.send(piece(message.pieceIndex));
    };
    ear.wire?.send({ type: 'unchoke' });
    const requests = Array.from({ length: pieceCount }, (_, index) =>
      frame(6, u32(index, 0, PIECE_LENGTH)),
    );
    socket.write(Buffer.concat(requests));
    expect(await ear.closed()).toBe('write-stalled');
    expect(ear.wire?.queuedBytes).toBeLessThan(9 * 1024 * 1024);
  });

  it('closes a peer that neither reads nor stops asking at the hard cap', async () => {
    const limits = { queuedBytesHigh: 1_000, queuedBytesSlack: 1_000, writeBatchBytes: 1_000 };
    const swarm = makeSwarm({ node: 'a', hashes: () => new Uint8Array(576 * 32) });
    const node = await listen(swarm, { limits });
    const socket = rawSocket(node.port);
    socket.write(
      Buffer.concat([handshake(), OURS_HELLO, ...Array(10).fill(frame(21, new Uint8Array(48)))]),
    );
    await gone(socket);
    expect(await node.ears[0].closed()).toBe('egress-overflow');
  });

  it('drops connections beyond its limit of unidentified ones, and no others', async () => {
    const node = await listen(undefined, { unidentifiedMax: 1 });
    const known = dial(node.port);
    await known.ready();
    await node.ears[0].ready();
    const first = rawSocket(node.port);
    await new Promise((resolve) => first.once('connect', resolve));
    await gone(rawSocket(node.port));
    expect(known.closeCode).toBeUndefined();
    expect(node.listener.connectionCount).toBe(2);
  });

  it('drops connections beyond its limit of all', async () => {
    const node = await listen(undefined, { connectionsMax: 1 });
    const known = dial(node.port);
    await known.ready();
    await node.ears[0].ready();
    await gone(rawSocket(node.port));
    expect(node.listener.connectionCount).toBe(1);
  });

  it('serves many swarms on one port', async () => {
    const swarms = [1, 2].map((id) =>
      makeSwarm({ node: `s${id}`, infoHash: new Uint8Array(20).fill(id) }),
    );
    const node = await listen(undefined, {
      lookup: (hash) => {
        const swarm = swarms.find(({ infoHash }) => Buffer.from(infoHash).toString('hex') === hash);
        return swarm && { swarm, handlersFor: () => new Ear() };
      },
    });
    const ears = swarms.map(({ infoHash }) => dial(node.port, { swarm: makeSwarm({ infoHash }) }));
    await Promise.all(ears.map((ear) => ear.ready()));
    expect(ears.map((ear) => ear.identities)).toMatchObject([[{ node: 's1' }], [{ node: 's2' }]]);
  });

  it('says what to do when its port is taken', async () => {
    const { port } = await listen();
    const second = PeerListener.listen({ host: '127.0.0.1', port, lookup: () => undefined });
    await expect(second).rejects.toMatchObject({ code: 'peer-port-unavailable' });
  });

  it('closes what it accepted when it closes', async () => {
    const node = await listen();
    const dialed = dial(node.port);
    await dialed.ready();
    await node.listener.close();
    expect(node.ears[0].closeCode).toBe('listener-closed');
    // A reset when the listener had bytes of the peer that it never read.
    expect(await dialed.closed()).toMatch(/^(peer-closed|socket-econnreset)$/);
  });
});
