import { beforeEach, expect, test } from 'vitest';
import { FirstTouches } from '../src/index.ts';

let boot: FirstTouches;

beforeEach(() => {
  // The tracker has told of the pieces below 100.
  boot = new FirstTouches(200_000, (pieceIndex) => pieceIndex < 100);
});

/** Batches up to `now`, as plain lists. */
function batches(now: number): { pieces: number[]; isOver: boolean }[] {
  const got: { pieces: number[]; isOver: boolean }[] = [];
  for (let batch = boot.batch(now); batch !== undefined; batch = boot.batch(now)) {
    got.push({ pieces: [...batch.pieceIndexes], isOver: batch.isOver });
  }
  return got;
}

test('a piece is recorded when it is touched for the first time', () => {
  for (const pieceIndex of [500, 7, 500, 9, 7]) {
    if (boot.isNew(pieceIndex)) boot.touch(pieceIndex, 0);
  }
  boot.touch(9, 1);
  expect(batches(50)).toEqual([{ pieces: [500, 7, 9], isOver: false }]);
});

test('what is new to everybody is told within 50 ms, with all that was touched before it', () => {
  boot.touch(1, 0);
  expect(boot.timeout()).toBe(5_000);
  boot.touch(500, 1_000);
  boot.touch(2, 1_010);
  expect(boot.timeout()).toBe(1_050);
  expect(batches(1_049)).toEqual([]);
  expect(batches(1_050)).toEqual([{ pieces: [1, 500, 2], isOver: false }]);
  boot.touch(3, 1_060);
  expect(boot.timeout()).toBe(6_060);
});

test('what others have told already is told when 1,024 are together', () => {
  const known = new FirstTouches(200_000, () => true);
  for (let pieceIndex = 0; pieceIndex < 1_023; pieceIndex += 1) known.touch(pieceIndex, 0);
  expect(known.batch(0)).toBeUndefined();
  known.touch(1_023, 0);
  expect(known.batch(0)?.pieceIndexes.length).toBe(1_024);
  expect(known.batch(0)).toBeUndefined();
});

test('a boot is over 5 s after its last first touch, and nothing is recorded from then on', () => {
  boot.touch(500, 0);
  boot.touch(501, 4_900);
  expect(batches(4_950).length).toBe(1);
  expect(boot.timeout()).toBe(9_900);
  expect(batches(9_900)).toEqual([{ pieces: [], isOver: true }]);
  expect([boot.isOver, boot.timeout(), boot.isNew(502)]).toEqual([true, Infinity, false]);
  boot.touch(502, 9_950);
  expect(batches(20_000)).toEqual([]);
});

test('a guest that never calms down has booted after 120 s', () => {
  for (let second = 0; second <= 120; second += 1) boot.touch(1_000 + second, second * 1_000);
  expect(boot.isOver).toBe(true);
  expect(batches(120_000).at(-1)).toMatchObject({ isOver: true });
});

test('a guest that goes ends its boot at once; one that read nothing had none', () => {
  boot.touch(500, 0);
  boot.end();
  expect(batches(0)).toEqual([{ pieces: [500], isOver: true }]);
  const idle = new FirstTouches(100, () => false);
  idle.end();
  expect([idle.timeout(), idle.batch(0)]).toEqual([Infinity, undefined]);
});

test('one that touches too much to be a boot ends', () => {
  for (let pieceIndex = 0; pieceIndex < 2 ** 17 + 1; pieceIndex += 1) boot.touch(pieceIndex, 0);
  expect([boot.isOver, boot.sequence.length]).toEqual([true, 2 ** 17]);
  expect(batches(0).length).toBe(128);
});

test('a tracker that has come back is told the boot from its beginning, unless it is over', () => {
  boot.touch(500, 0);
  expect(batches(50).length).toBe(1);
  boot.touch(1, 100);
  boot.rewind();
  expect(batches(150)).toEqual([{ pieces: [500, 1], isOver: false }]);
  expect(batches(6_000)).toEqual([{ pieces: [], isOver: true }]);
  boot.rewind();
  expect(boot.timeout()).toBe(Infinity);
});
