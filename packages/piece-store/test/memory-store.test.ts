import { expect, test } from 'vitest';
import { MemoryPieceStore } from '../src/index.ts';
import { makeImage, PIECE_LENGTH } from './test-image.ts';

const image = makeImage({ pieceCount: 4, lastBytes: 100, zeroPieces: [1] });

function newStore(): { store: MemoryPieceStore; whole: number[] } {
  const whole: number[] = [];
  const store = new MemoryPieceStore({ ...image, onWhole: () => whole.push(store.have.count) });
  return { store, whole };
}

test('holds zero pieces from the start, and what was written from then on', async () => {
  const { store, whole } = newStore();
  expect([store.have.count, store.have.has(1)]).toEqual([1, true]);
  const target = new Uint8Array(50).fill(1);
  expect(store.readNow(1, PIECE_LENGTH - 50, target)).toBe(true);
  expect(target).toEqual(new Uint8Array(50));
  expect(store.readNow(0, 0, target)).toBe(false);
  expect(await store.read(0, 0, target)).toBe(false);
  expect(await store.write(0, image.piece(0))).toBe(true);
  expect(await store.read(0, 7, target)).toBe(true);
  expect(target).toEqual(image.bytes.slice(7, 57));
  expect(whole).toEqual([]);
  for (const index of [2, 3, 3]) await store.write(index, image.piece(index));
  expect(whole).toEqual([4]);
  expect(store.bytes).toEqual(image.bytes);
});

test('gives back the buffer of a piece that it has copied', async () => {
  const { store } = newStore();
  const buffer = store.buffers.take();
  buffer.set(image.piece(0));
  await store.write(0, buffer);
  expect(store.buffers.take()).toBe(buffer);
});

test('takes over what is right of a copy, and only that', async () => {
  const { store, whole } = newStore();
  await store.write(0, image.piece(0));
  const copy = image.bytes.slice();
  copy[0] ^= 1;
  copy[2 * PIECE_LENGTH] ^= 1;
  expect(store.adopt(copy)).toBe(false);
  expect([0, 1, 2, 3].map((index) => store.have.has(index))).toEqual([true, true, false, true]);
  expect(() => store.bytes).toThrow(/not whole/);
  expect(store.adopt(image.bytes.subarray(1))).toBe(false);
  expect(store.adopt(image.bytes)).toBe(true);
  expect(whole).toEqual([4]);
  expect(store.bytes).toEqual(image.bytes);
});
