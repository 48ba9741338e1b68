import { Bitfield, Random } from '@bootswarm/stdx';
import { MemberDirectory, type SwarmEffect, SwarmEngine } from '@bootswarm/swarm-proto';
import { afterEach, expect, test } from 'vitest';

const PIECE_LENGTH = 65_536;
const WIRES = 8;
const PIECES_FETCHED = 200;

/** Looks at what grows with the swarm or with the image. */
let looks = 0;

const restores: (() => void)[] = [];

/** Counts the calls of these methods, which work as before. */
function watch(prototype: object, methods: readonly string[]): void {
  for (const method of methods) {
    const original = Reflect.get(prototype, method) as (...args: unknown[]) => unknown;
    const counted = function (this: unknown, ...args: unknown[]): unknown {
      looks += 1;
      return original.apply(this, args);
    };
    Reflect.set(prototype, method, counted);
    restores.push(() => Reflect.set(prototype, method, original));
  }
}

afterEach(() => {
  for (const restore of restores.splice(0)) restore();
});

function directoryOf(size: number): MemberDirectory {
  return new MemberDirectory(
    Array.from({ length: size }, (_, place) => {
      const node = `node${place}`;
      return { node, zone: 'z', rack: 'r', place, host: node, port: 1 };
    }),
  );
}

/** A directory whose every entry counts as looked at when it is read. */
function watched(directory: MemberDirectory): MemberDirectory {
  const zones = directory.zones.map(
    (zone) =>
      new Proxy(zone, {
        get(target, key, receiver) {
          looks += 1;
          return Reflect.get(target, key, receiver) as unknown;
        },
      }),
  );
  return Object.defineProperty(directory, 'zones', { value: zones });
}

/** Looks at members, bitfields and peers for each piece: wanted, asked, come, passed on to a child, and told of by all peers. */
function looksPerPiece(members: number, pieceCount: number): number {
  const engine = new SwarmEngine<string>({
    shape: { pieceCount, pieceLength: PIECE_LENGTH, length: pieceCount * PIECE_LENGTH },
    node: 'node5',
    isOrigin: false,
    have: new Bitfield(pieceCount),
    random: new Random(1),
  });
  let now = 0;
  let stored = 0;
  let wires = 0;
  const input = (next: Parameters<typeof engine.handle>[0]): void => {
    engine.handle(next, now);
    for (let effect = engine.poll(); effect !== undefined; effect = engine.poll()) carryOut(effect);
  };
  const connect = (node: string, dialled: string | undefined): void => {
    const peer = wires++;
    const identity = { kind: 'ours', node, zone: 'z', rack: 'r', isOrigin: false } as const;
    input({ type: 'peer-connected', peer, identity, dialled });
    input({ type: 'message', peer, message: { type: 'unchoke' } });
  };
  const carryOut = (effect: SwarmEffect<string>): void => {
    const { type } = effect;
    if (type === 'dial') {
      if (wires < WIRES) connect(effect.host, effect.key);
      else input({ type: 'dial-failed', key: effect.key });
    } else if (type === 'send' && effect.message.type === 'request') {
      const message = { ...effect.message, type: 'piece', payload: 'bytes' } as const;
      input({ type: 'message', peer: effect.peer, message });
    } else if (type === 'verify') {
      input({ ...effect, type: 'verified', isGood: true });
    } else if (type === 'deliver') {
      stored += 1;
      input({ type: 'stored', pieceIndex: effect.pieceIndex, isKept: true });
    } else if (type === 'upload') {
      input({ ...effect, type: 'uploaded', isSent: true });
    }
  };
  input({ type: 'members', members: watched(directoryOf(members)), origins: [] });
  for (let other = 0; wires < WIRES; other += 1) connect(`stranger${other}`, undefined);

  looks = 0;
  const step = Math.floor(pieceCount / PIECES_FETCHED);
  for (let n = 0; n < PIECES_FETCHED; n += 1) {
    const pieceIndex = n * step;
    const have = { type: 'have', pieceIndexes: [pieceIndex] } as const;
    const tell = (peer: number) => input({ type: 'message', peer, message: have });
    // The parents, which are dialled first, get it after others.
    for (let peer = 2; peer < wires - 1; peer += 1) tell(peer);
    const block = { pieceIndex, offset: 0, length: PIECE_LENGTH };
    const message = { type: 'request', ...block, pieceClass: 'boot-order' } as const;
    if (n % 2 === 0) input({ type: 'demand', pieceIndex });
    input({ type: 'message', peer: wires - 1, message });
    if (n % 2 === 1) input({ type: 'prefetch', pieceIndexes: [pieceIndex, pieceIndex + 1] });
    for (let peer = 0; peer < 2; peer += 1) tell(peer);
    now += 1;
    if (engine.timeout() <= now) input({ type: 'wake' });
  }
  expect(stored).toBeGreaterThanOrEqual(PIECES_FETCHED);
  return looks / stored;
}

test('looks at as much for a piece of a huge image in a huge swarm as of a small image in a small swarm', () => {
  watch(Bitfield.prototype, ['has', 'set', 'clear', 'nextSet', 'nextClear', 'nextCommon']);
  watch(MemberDirectory.prototype, ['find', 'standing']);
  const small = looksPerPiece(10, 1_000);
  // Each wire tells of the piece; somebody has to be found who has it.
  expect(small).toBeGreaterThan(WIRES);
  expect(small).toBeLessThan(4 * WIRES);
  expect(looksPerPiece(10_000, 1_000)).toBe(small);
  expect(looksPerPiece(10, 200_000)).toBe(small);
});
