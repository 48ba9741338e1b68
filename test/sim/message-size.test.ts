/** The simulator's model of what a message weighs, beside what peer-wire really sends. */
import {
  dialPeer,
  makeFrameBuffers,
  PeerListener,
  type PeerWire,
  type WireMessage,
  type WireSwarm,
} from '@bootswarm/peer-wire';
import { bytesOfHandshake, bytesOfMessage } from '@bootswarm/sim';
import { Bitfield, BufferPool } from '@bootswarm/stdx';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

type Self = WireSwarm['self'];

const PIECE_LENGTH = 65_536;
const PIECE_COUNT = 10_000;
const WHOLE = { pieceIndex: 7, offset: 0, length: PIECE_LENGTH };
const DIALLER: Self = {
  kind: 'ours',
  node: 'node-1024',
  zone: 'zone10',
  rack: '',
  isOrigin: false,
};
const ORIGIN: Self = { kind: 'ours', node: 'ursprüngliches', zone: '', rack: 'r', isOrigin: true };

/** One end, and its messages as they come. */
class End {
  readonly ready = Promise.withResolvers<PeerWire>();
  #heard = nextMessage();
  #wire: PeerWire | undefined;
  #bytesBefore = 0;

  handlersFor(wireOf: () => PeerWire) {
    return {
      onReady: () => {
        this.#wire = wireOf();
        this.#bytesBefore = this.#wire.bytesReceived;
        this.ready.resolve(this.#wire);
      },
      onMessage: (message: WireMessage) => this.#heard.resolve(message),
      onDrain: () => {},
      onClose: (code: string) => this.#heard.reject(new Error(code)),
    };
  }

  get handshakeBytes(): number {
    return this.#bytesBefore;
  }

  /** Resolves with the bytes that came from the last time to the next message. */
  async hear(type: WireMessage['type']): Promise<number> {
    const message = await this.#heard.promise;
    this.#heard = nextMessage();
    expect(message.type).toBe(type);
    const bytes = this.#wire!.bytesReceived - this.#bytesBefore;
    this.#bytesBefore += bytes;
    return bytes;
  }
}

function nextMessage(): PromiseWithResolvers<WireMessage> {
  const next = Promise.withResolvers<WireMessage>();
  // The end of a test closes wires that nobody listens to any more.
  next.promise.catch(() => {});
  return next;
}

class Pair {
  readonly origin: End;
  readonly dialler = new End();
  readonly #listener: PeerListener;

  static async open(): Promise<Pair> {
    const origin = new End();
    const swarm = swarmOf(ORIGIN);
    const lookup = () => ({
      swarm,
      handlersFor: (wire: PeerWire) => origin.handlersFor(() => wire),
    });
    const listener = await PeerListener.listen({ host: '127.0.0.1', port: 0, lookup, onMistake });
    const pair = new Pair(listener, origin);
    const handlers = pair.dialler.handlersFor(() => wire);
    const to = { host: '127.0.0.1', port: listener.port, connectTimeoutMs: 5_000, onMistake };
    const wire: PeerWire = dialPeer({ ...to, swarm: swarmOf(DIALLER), handlers });
    await Promise.all([origin.ready.promise, pair.dialler.ready.promise]);
    return pair;
  }

  private constructor(listener: PeerListener, origin: End) {
    this.#listener = listener;
    this.origin = origin;
  }

  close(): Promise<void> {
    return this.#listener.close();
  }

  /** What the message weighs on the wire. */
  async weigh(message: WireMessage, from: 'origin' | 'dialler'): Promise<number> {
    const [sender, receiver] =
      from === 'origin' ? [this.origin, this.dialler] : [this.dialler, this.origin];
    (await sender.ready.promise).send(message);
    return receiver.hear(message.type);
  }
}

function swarmOf(self: Self): WireSwarm {
  return {
    infoHash: Buffer.alloc(20, 1),
    peerId: Buffer.alloc(20, self.node),
    pieceCount: PIECE_COUNT,
    pieceLength: PIECE_LENGTH,
    length: PIECE_COUNT * PIECE_LENGTH,
    self,
    foreignPeersAllowed: false,
    hashes: () => undefined,
    pieceBuffers: new BufferPool(PIECE_LENGTH, 1),
    frameBuffers: makeFrameBuffers(PIECE_LENGTH),
  };
}

function modelOf(message: WireMessage): number {
  return bytesOfMessage(message, Bitfield.byteLength(PIECE_COUNT));
}

let pair: Pair;

beforeEach(async () => {
  pair = await Pair.open();
});

afterEach(() => pair.close());

test('handshakes weigh what the simulator takes them for', () => {
  expect(pair.origin.handshakeBytes).toBe(bytesOfHandshake(DIALLER));
  expect(pair.dialler.handshakeBytes).toBe(bytesOfHandshake(ORIGIN));
});

const UNCHOKE: WireMessage = { type: 'unchoke' };
const REQUEST: WireMessage = { type: 'request', ...WHOLE, pieceClass: 'fill' };
const FROM_ORIGIN: [string, WireMessage][] = [
  ['bitfield', { type: 'bitfield', bitfield: Bitfield.full(PIECE_COUNT) }],
  ['have-all', { type: 'have-all' }],
  ['have-none', { type: 'have-none' }],
  ['ping', { type: 'ping', padding: 0 }],
  ['padded ping', { type: 'ping', padding: 16_384 }],
  ['busy', { type: 'busy' }],
];
const ANSWERS: [string, WireMessage][] = [
  ['redirect', { type: 'redirect', pieceIndex: 7, lease: 5, node: 'nödé' }],
  ['reject', { type: 'reject', ...WHOLE }],
  ['piece', { type: 'piece', ...WHOLE, payload: new Uint8Array(PIECE_LENGTH) }],
];
const REQUESTS: [string, WireMessage][] = [
  ['request', REQUEST],
  ['request of a class', { ...REQUEST, pieceClass: 'demand' }],
  ['request after a failed lease', { ...REQUEST, failedLease: 5 }],
  ['request of a class after a failed lease', { ...REQUEST, pieceClass: 'demand', failedLease: 5 }],
];
const AFTER_REQUESTS: [string, WireMessage][] = [
  ['priority', { type: 'priority', pieceIndex: 7, pieceClass: 'demand' }],
  ['cancel', { type: 'cancel', ...WHOLE }],
];

async function expectModelled(message: WireMessage, from: 'origin' | 'dialler'): Promise<void> {
  expect(await pair.weigh(message, from)).toBe(modelOf(message));
}

describe('what the simulator takes a message for is what it weighs:', () => {
  test.each(FROM_ORIGIN)('%s', (_, message) => expectModelled(message, 'origin'));

  test('pong', async () => {
    await pair.weigh({ type: 'ping', padding: 0 }, 'origin');
    await expectModelled({ type: 'pong', bytesPerMs: 9 }, 'dialler');
  });

  test.each([
    ['unchoke', 'choke'],
    ['interested', 'not-interested'],
  ] as const)('%s and %s', async (on, off) => {
    await expectModelled({ type: on }, 'origin');
    await expectModelled({ type: off }, 'origin');
  });

  test.each(REQUESTS)('%s', async (_, message) => {
    await pair.weigh(UNCHOKE, 'origin');
    await expectModelled(message, 'dialler');
  });

  test.each(AFTER_REQUESTS)('%s', async (_, message) => {
    await pair.weigh(UNCHOKE, 'origin');
    await pair.weigh(REQUEST, 'dialler');
    await expectModelled(message, 'dialler');
  });

  test.each(ANSWERS)('%s', async (_, message) => {
    await pair.weigh(UNCHOKE, 'origin');
    await pair.weigh(REQUEST, 'dialler');
    await expectModelled(message, 'origin');
  });

  test('have, whatever runs are in it', async () => {
    const run = fc.tuple(fc.nat({ max: 900 }), fc.integer({ min: 1, max: 5 }));
    const batches = fc
      .array(run, { minLength: 1, maxLength: 8 })
      .map((runs) => runs.flatMap(([first, count]) => neighbours(first, count)));
    await fc.assert(
      fc.asyncProperty(batches, (pieceIndexes) =>
        expectModelled({ type: 'have', pieceIndexes }, 'dialler'),
      ),
    );
  });
});

function neighbours(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, at) => first + at);
}

function onMistake(error: unknown): never {
  throw error;
}
