/** Reads over several pieces, each of which may be somewhere else, of the stores of piece-store. */
import fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { MemoryPieceStore } from '../src/index.ts';
import type { PieceStore } from '../src/piece-store.ts';
import { TimedFile } from '../src/timed-file.ts';
import { MemoryDisk } from './memory-disk.ts';
import { openStore } from './store-harness.ts';
import { makeImage, PIECE_LENGTH } from './test-image.ts';

const PIECES = 8;
const IMAGE = makeImage({ pieceCount: PIECES, lastBytes: 700, zeroPieces: [2, 5] });
const LENGTH = IMAGE.bytes.length;

afterEach(() => vi.restoreAllMocks());

/** A read of any range is answered when every piece of it is, and with the bytes of the image. */
function expectReadsOf(store: PieceStore, offset: number, length: number): void {
  const first = Math.floor(offset / PIECE_LENGTH);
  const last = Math.floor((offset + length - 1) / PIECE_LENGTH);
  let areAtHand = true;
  for (let index = first; index <= last; index += 1) {
    areAtHand &&= store.readNow(index, 0, new Uint8Array(IMAGE.piece(index).length));
  }
  const target = new Uint8Array(length);
  expect(store.readNow(first, offset - first * PIECE_LENGTH, target)).toBe(areAtHand);
  if (areAtHand) expect(target).toEqual(IMAGE.bytes.slice(offset, offset + length));
}

const somePieces = fc.uniqueArray(fc.nat({ max: PIECES - 1 }));
const someRanges = fc.array(
  fc
    .tuple(fc.nat({ max: LENGTH - 1 }), fc.integer({ min: 1, max: LENGTH }))
    .map(([offset, length]) => ({ offset, length: Math.min(length, LENGTH - offset) })),
  { minLength: 1, maxLength: 20 },
);

test('a cache store reads over zeros, hot pieces, pieces being written and pieces in the file', async () => {
  await fc.assert(
    fc.asyncProperty(
      ...[somePieces, somePieces, somePieces, someRanges, fc.nat({ max: 3 })],
      async (committed, written, queued, ranges, hot) => {
        const { store } = await openStore(IMAGE, new MemoryDisk(), {
          hotBytesMax: hot * PIECE_LENGTH,
        });
        for (const index of committed) await store.write(index, IMAGE.piece(index), true);
        await store.commit();
        for (const index of written) await store.write(index, IMAGE.piece(index), false);
        const writes = queued.map((index) => store.write(index, IMAGE.piece(index), true));
        for (const { offset, length } of ranges) expectReadsOf(store, offset, length);
        await Promise.all(writes);
        await store.close();
      },
    ),
  );
});

test('a memory store reads over the pieces that it has', async () => {
  await fc.assert(
    fc.asyncProperty(somePieces, someRanges, async (written, ranges) => {
      const store = new MemoryPieceStore(IMAGE);
      for (const index of written) await store.write(index, IMAGE.piece(index));
      for (const { offset, length } of ranges) expectReadsOf(store, offset, length);
    }),
  );
});

describe('pieces side by side in the file', () => {
  test('are read in one call, up to one that is known to be zero', async () => {
    const { store } = await openStore(IMAGE, new MemoryDisk());
    for (const index of [0, 1, 3, 4]) await store.write(index, IMAGE.piece(index), true);
    await store.commit();
    const reads = vi.spyOn(TimedFile.prototype, 'readSync');
    const target = new Uint8Array(4 * PIECE_LENGTH);
    expect(store.readNow(0, 100, target)).toBe(true);
    expect(target).toEqual(IMAGE.bytes.slice(100, 100 + target.length));
    expect(reads.mock.calls.map(([part, position]) => [position, part.length])).toEqual([
      [100, 2 * PIECE_LENGTH - 100],
      [3 * PIECE_LENGTH, PIECE_LENGTH + 100],
    ]);
  });
});

test('a read past the end of the image is a fault of the caller', async () => {
  const { store } = await openStore(IMAGE, new MemoryDisk());
  expect(() => store.readNow(7, 0, new Uint8Array(701))).toThrow('701 bytes from 0 on');
  await expect(store.read(0, 1, new Uint8Array(PIECE_LENGTH))).rejects.toThrow(`piece 0 of 8`);
});
