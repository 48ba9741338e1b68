import { OUT_HEADER_LENGTH } from '@bootswarm/fuse-proto';
import { expect, test } from 'vitest';
import { ReadAhead } from '../../src/fuse/read-ahead.ts';
import type { ImageSource } from '../../src/image-export.ts';

const BLOCK = 64;
const FILE = { length: 64 * BLOCK };

/** A guest whose bytes are all at hand: each is its offset divided by the block. */
function source(): ImageSource & { peeked: number[]; noted: number[] } {
  const peeked: number[] = [];
  const noted: number[] = [];
  return {
    peeked,
    noted,
    peekNow(offset, target) {
      peeked.push(offset / BLOCK);
      target.fill(offset / BLOCK);
      return true;
    },
    noteRead: (offset) => noted.push(offset / BLOCK),
    readNow: () => true,
    read: () => ({ cancel() {} }),
    prefetch() {},
    close() {},
  };
}

const read = (block: number, handle = 1) => ({
  ...{ handle, offset: block * BLOCK, length: BLOCK, file: FILE },
});

test('has the next bytes ready for who reads in order, and counts them when they are asked for', () => {
  const ahead = new ReadAhead();
  const guest = source();
  for (const block of [0, 1, 2]) {
    expect(ahead.take(read(block), guest)).toBeUndefined();
    ahead.follow(read(block), guest);
  }
  expect(guest).toMatchObject({ peeked: [3], noted: [] });
  const reply = ahead.take(read(3), guest)!;
  expect(reply).toHaveLength(OUT_HEADER_LENGTH + BLOCK);
  expect(new Set(reply.subarray(OUT_HEADER_LENGTH))).toEqual(new Set([3]));
  expect(guest.noted).toEqual([3]);
  expect(ahead.take(read(3), guest)).toBeUndefined();
});

test('guesses for nobody who reads here and there, and not beyond the end', () => {
  const ahead = new ReadAhead();
  const guest = source();
  for (const block of [0, 5, 2, 9, 10]) ahead.follow(read(block), guest);
  for (const block of [61, 62, 63]) ahead.follow(read(block), guest);
  expect(guest.peeked).toEqual([]);
});

test('stops for a while after bytes that nobody asked for', () => {
  const ahead = new ReadAhead();
  const guest = source();
  for (const block of [0, 1, 2]) ahead.follow(read(block), guest);
  expect(ahead.take(read(40), guest)).toBeUndefined();
  for (let block = 0; block < 63; block += 1) ahead.follow(read(block), guest);
  expect(guest.peeked).toEqual([3]);
  for (const block of [0, 1, 2, 3]) ahead.follow(read(block), guest);
  expect(guest.peeked).toEqual([3, 3, 4]);
});

test('gives no bytes of a file that was closed to one that has its number', () => {
  const ahead = new ReadAhead();
  const guest = source();
  for (const block of [0, 1, 2]) ahead.follow(read(block), guest);
  ahead.forget(1);
  expect(ahead.take(read(3), guest)).toBeUndefined();
});
