import { Bitfield } from '@bootswarm/stdx';
import { beforeEach, describe, expect, test } from 'vitest';
import { BootOrderFollower, FirstTouches } from '../src/index.ts';

const PIECES = 10_000;
const PREFIX = 100;
const LENGTH = 700;

/** The order of a kind: the same prefix, then pieces of its own. */
function orderOf(kind: number, length = LENGTH): Uint32Array {
  return Uint32Array.from({ length }, (_, rank) =>
    rank < PREFIX ? rank : 1_000 * kind + ((rank * 11) % length),
  );
}

let have: Bitfield;
let follower: BootOrderFollower;
let boot: FirstTouches;

beforeEach(() => {
  have = new Bitfield(PIECES);
  follower = new BootOrderFollower(have);
  boot = new FirstTouches(PIECES, () => true);
});

function tell(kinds: Record<number, Uint32Array>): void {
  const changes = Object.entries(kinds).map(([kind, pieceIndexes]) => ({
    ...{ kind: Number(kind), from: 0, pieceIndexes },
  }));
  expect(follower.apply(1, true, changes)).toBe(true);
}

/** Touches pieces one by one, every fetched piece arriving before the next; returns what was fetched ahead. */
function run(touches: Iterable<number>): Set<number> {
  const fetched = new Set<number>();
  let now = 0;
  for (const pieceIndex of touches) {
    now += 1;
    boot.touch(pieceIndex, now);
    have.set(pieceIndex);
    for (const each of follower.next()) {
      fetched.add(each);
      have.set(each);
    }
  }
  return fetched;
}

/** Pieces that were fetched ahead or touched, per piece that was touched. */
function costOf(fetched: Set<number>, touches: Uint32Array): number {
  return new Set([...fetched, ...touches]).size / touches.length;
}

test('nothing is fetched while no VM boots', () => {
  tell({ 1: orderOf(1) });
  expect(follower.next()).toEqual([]);
  follower.add(boot);
  expect(follower.next()).toEqual([]);
  boot.touch(0, 0);
  expect(follower.next().length).toBeGreaterThan(0);
  boot.end();
  expect(follower.next()).toEqual([]);
});

test('the order is fetched in order, ahead of the VM, each piece once and none that is there', () => {
  tell({ 1: orderOf(1) });
  follower.add(boot);
  have.set(5);
  boot.touch(0, 0);
  const first = follower.next();
  expect(first).toEqual([...orderOf(1).slice(0, 130)].filter((each) => each !== 5));
  expect(follower.next()).toEqual([]);
  boot.touch(1, 0);
  expect(follower.next()).toEqual([...orderOf(1).slice(130, 132)]);
});

test('no more than 256 pieces are on their way', () => {
  tell({ 1: orderOf(1) });
  follower.add(boot);
  for (let rank = 0; rank < 400; rank += 1) boot.touch(orderOf(1)[rank], 0);
  const first = follower.next();
  expect(first.length).toBe(256);
  for (const pieceIndex of first.slice(0, 10)) have.set(pieceIndex);
  expect(follower.next().length).toBe(10);
});

test('what the tracker learns meanwhile is fetched too', () => {
  follower.apply(1, true, [{ kind: 1, from: 0, pieceIndexes: Uint32Array.of(1, 2) }]);
  follower.add(boot);
  boot.touch(0, 0);
  expect(follower.next()).toEqual([1, 2]);
  follower.apply(2, false, [{ kind: 1, from: 2, pieceIndexes: Uint32Array.of(3, 4) }]);
  expect(follower.next()).toEqual([3, 4]);
  follower.apply(3, false, [{ kind: 1, from: 1, pieceIndexes: Uint32Array.of(9) }]);
  expect(follower.next()).toEqual([9]);
});

describe('of two kinds', () => {
  test('a VM fetches that of its own: at most 1.5 times what it uses, and nearly all of it ahead', () => {
    const [a, b] = [orderOf(1), orderOf(2)];
    tell({ 1: a, 2: b });
    follower.add(boot);
    const fetched = run(b);
    expect(costOf(fetched, b)).toBeLessThan(1.1);
    const ahead = [...b].filter((each) => fetched.has(each)).length;
    expect(ahead / b.length).toBeGreaterThan(0.95);
  });

  test('a VM of a kind that nobody knows costs at most 1.5 times what it uses', () => {
    const b = orderOf(2);
    tell({ 1: orderOf(1) });
    follower.add(boot);
    expect(costOf(run(b), b)).toBeLessThan(1.5);
  });

  test('two VMs on one node are each given theirs', () => {
    const [a, b] = [orderOf(1), orderOf(2)];
    tell({ 1: a, 2: b });
    const other = new FirstTouches(PIECES, () => true);
    follower.add(boot);
    follower.add(other);
    const fetched = new Set<number>();
    for (let rank = 0; rank < 300; rank += 1) {
      boot.touch(a[rank], rank);
      other.touch(b[rank], rank);
      for (const each of follower.next()) {
        fetched.add(each);
        have.set(each);
      }
    }
    const ahead = (order: Uint32Array) => [...order.slice(300, 400)].filter((x) => fetched.has(x));
    expect([ahead(a).length, ahead(b).length]).toEqual([100, 100]);
  });
});

describe('a message', () => {
  const pieces = Uint32Array.of(1, 2, 3);

  test('that does not follow on what is known changes nothing', () => {
    expect(follower.apply(2, false, [{ kind: 1, from: 0, pieceIndexes: pieces }])).toBe(false);
    tell({ 1: pieces });
    expect(follower.apply(3, false, [{ kind: 1, from: 0, pieceIndexes: pieces }])).toBe(false);
    expect(follower.apply(2, false, [{ kind: 1, from: 4, pieceIndexes: pieces }])).toBe(false);
    expect(follower.apply(2, false, [{ kind: 2, from: 1, pieceIndexes: pieces }])).toBe(false);
    expect([follower.revision, follower.kinds]).toEqual([1, [{ kind: 1, pieces: 3 }]]);
  });

  test('that leaves nothing of a kind ends it', () => {
    tell({ 1: pieces });
    const gone = { kind: 1, from: 0, pieceIndexes: new Uint32Array() };
    expect(follower.apply(2, false, [gone])).toBe(true);
    expect([follower.kinds, follower.isKnown(1)]).toEqual([[], false]);
  });

  test('with pieces that the image has not, the same twice, or kinds without end costs nothing', () => {
    const odd = Uint32Array.of(1, PIECES, 1, 2 ** 32 - 1, 2);
    const kinds = Array.from({ length: 100 }, (_, kind) => ({ kind, from: 0, pieceIndexes: odd }));
    expect(follower.apply(1, true, kinds)).toBe(true);
    expect([follower.kinds.length, follower.kinds[0].pieces]).toEqual([16, 2]);
  });
});
