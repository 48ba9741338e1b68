import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { CachePieceStore } from '../src/cache-store.ts';
import { MemoryDisk } from './memory-disk.ts';
import { DATA, openStore, readPiece } from './store-harness.ts';
import { makeImage, PIECE_LENGTH } from './test-image.ts';

const PIECES = 8;
const IMAGE = makeImage({ pieceCount: PIECES });

/** As a wire receives it: into a buffer of the store's. */
function received(store: CachePieceStore, pieceIndex: number): Uint8Array {
  const buffer = store.buffers.take();
  buffer.set(IMAGE.piece(pieceIndex));
  return buffer;
}

test('takes a buffer back when the piece is in the file and not in memory any more', async () => {
  const { store } = await openStore(IMAGE, new MemoryDisk(), { hotBytesMax: PIECE_LENGTH });
  const first = received(store, 0);
  await store.write(0, first, true);
  expect(store.buffers.spareCount).toBe(0);
  await store.write(1, received(store, 1), true);
  expect(store.buffers.take()).toBe(first);
});

test('keeps a buffer until the kernel is done with it, whatever happens to its piece', async () => {
  const disk = new MemoryDisk();
  const { store } = await openStore(IMAGE, disk, { hotBytesMax: PIECE_LENGTH });
  const buffer = received(store, 0);
  const written = store.write(0, buffer, true);
  // Out of the hot pieces while it is being written.
  const other = store.write(1, received(store, 1), true);
  expect(store.buffers.spareCount).toBe(0);
  await Promise.all([written, other]);
  expect(store.buffers.take()).toBe(buffer);
});

test('never lets go of bytes that are still read or written, in any order of writes and reads', async () => {
  const step = fc.record({
    pieceIndex: fc.nat({ max: PIECES - 1 }),
    isWrite: fc.boolean(),
    isPrefetch: fc.boolean(),
    isAwaited: fc.boolean(),
  });
  const hotPieces = fc.nat({ max: 3 });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), hotPieces, async (steps, hot) => {
      const disk = new MemoryDisk();
      const { store } = await openStore(IMAGE, disk, { hotBytesMax: hot * PIECE_LENGTH });
      const under: Promise<unknown>[] = [];
      for (const { pieceIndex, isWrite, isPrefetch, isAwaited } of steps) {
        // Whoever has a spare buffer may scribble on it.
        const spare = store.buffers.take().fill(0xee);
        const doing = isWrite
          ? store.write(pieceIndex, received(store, pieceIndex), isPrefetch)
          : readPiece(IMAGE, store, pieceIndex);
        under.push(doing);
        store.buffers.give(spare);
        if (isAwaited) await doing;
      }
      await Promise.all(under);
      await store.close();
      const data = disk.cached(DATA);
      for (let index = store.have.nextSet(0); index >= 0; index = store.have.nextSet(index + 1)) {
        const at = index * PIECE_LENGTH;
        expect(data.subarray(at, at + PIECE_LENGTH).equals(IMAGE.piece(index))).toBe(true);
      }
    }),
  );
});
