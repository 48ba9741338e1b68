import { describe, expect, test } from 'vitest';
import { MemoryDisk } from './memory-disk.ts';
import { BITS, DATA, openStore, readAll, readPiece } from './store-harness.ts';
import { makeImage, PIECE_LENGTH } from './test-image.ts';

const IMAGE = makeImage({ pieceCount: 8, lastBytes: 5000, zeroPieces: [2, 5] });

function at(pieceIndex: number, offset: number, length: number) {
  return IMAGE.piece(pieceIndex).subarray(offset, offset + length);
}

/** A store that is committing piece 0, and waits for the flush of the file at `path`. */
async function committing(disk: MemoryDisk, path: string) {
  const { store } = await openStore(IMAGE, disk);
  await store.write(0, IMAGE.piece(0), false);
  const flush = disk.holdFlush(path);
  const committed = store.commit();
  await flush.reached;
  return { store, flush, committed };
}

describe('reading and writing', () => {
  test('holds the zero pieces from the start and reads them without a disk', async () => {
    const disk = new MemoryDisk();
    const { store } = await openStore(IMAGE, disk);
    const operations = disk.operations;
    const target = new Uint8Array(100).fill(1);
    expect(store.readNow(2, 300, target)).toBe(true);
    expect(target).toEqual(new Uint8Array(100));
    expect(store.have.count).toBe(2);
    expect(await store.write(5, IMAGE.piece(5), true)).toBe(true);
    expect(disk.operations).toBe(operations);
  });

  test('answers from memory from the moment of write(), and from the file once it is in `have`', async () => {
    const { store } = await openStore(IMAGE, new MemoryDisk());
    const written = store.write(3, IMAGE.piece(3), true);
    const target = new Uint8Array(77);
    expect(store.have.has(3)).toBe(false);
    expect(store.readNow(3, 1000, target)).toBe(true);
    expect(target).toEqual(at(3, 1000, 77));
    expect(store.stats).toMatchObject({ queueBytes: PIECE_LENGTH, hotBytes: 0 });
    expect(await written).toBe(true);
    expect(store.have.has(3)).toBe(true);
    target.fill(0);
    expect(await store.read(3, 1000, target)).toBe(true);
    expect(target).toEqual(at(3, 1000, 77));
    expect(store.stats).toMatchObject({ queueBytes: 0, storedBytes: PIECE_LENGTH });
  });

  test('reads the file without a check only once the piece is durable', async () => {
    const disk = new MemoryDisk();
    const { store } = await openStore(IMAGE, disk);
    await store.write(3, IMAGE.piece(3), true);
    const target = new Uint8Array(77);
    expect(store.readNow(3, 1000, target)).toBe(false);
    await store.commit();
    expect(store.readNow(3, 1000, target)).toBe(true);
    expect(target).toEqual(at(3, 1000, 77));
  });

  test('finds out when the kernel has dropped a page that it failed to write back', async () => {
    const disk = new MemoryDisk();
    const { store, events } = await openStore(IMAGE, disk);
    await store.write(3, IMAGE.piece(3), true);
    disk.cached(DATA).fill(0);
    expect(await readPiece(IMAGE, store, 3)).toBe(false);
    expect(events).toEqual([{ type: 'piece-lost', pieceIndex: 3, reason: 'wrong-hash' }]);
  });

  test('counts the bytes of a short last piece', async () => {
    const { store } = await openStore(IMAGE, new MemoryDisk());
    await store.write(7, IMAGE.piece(7), false);
    expect(store.stats.storedBytes).toBe(5000);
    expect(await readPiece(IMAGE, store, 7)).toBe(true);
  });

  test('does not read what it does not hold', async () => {
    const { store } = await openStore(IMAGE, new MemoryDisk());
    expect(store.readNow(3, 0, new Uint8Array(10))).toBe(false);
    expect(await store.read(3, 0, new Uint8Array(10))).toBe(false);
  });

  test('asserts ranges within a piece and whole pieces', async () => {
    const { store } = await openStore(IMAGE, new MemoryDisk());
    expect(() => store.readNow(7, 4999, new Uint8Array(2))).toThrow('piece 7');
    expect(() => store.readNow(8, 0, new Uint8Array(1))).toThrow('piece 8');
    expect(() => store.readNow(0, -1, new Uint8Array(1))).toThrow('piece 0');
    await expect(store.write(0, new Uint8Array(10), false)).rejects.toThrow('not whole');
  });

  test('one write serves a piece given twice', async () => {
    const disk = new MemoryDisk();
    const { store } = await openStore(IMAGE, disk);
    const first = store.write(3, IMAGE.piece(3), false);
    const second = store.write(3, IMAGE.piece(3), false);
    const before = disk.operations;
    expect(await Promise.all([first, second])).toEqual([true, true]);
    expect(disk.operations - before).toBe(2); // Data and log.
  });

  test('says when the write queue is full, and keeps no more until there is room', async () => {
    const { store } = await openStore(IMAGE, new MemoryDisk(), { queueBytesMax: 2 * PIECE_LENGTH });
    const first = store.write(0, IMAGE.piece(0), true);
    expect(store.isQueueFull).toBe(false);
    const second = store.write(1, IMAGE.piece(1), true);
    expect(store.isQueueFull).toBe(true);
    expect(await store.write(3, IMAGE.piece(3), true)).toBe(false);
    await Promise.all([first, second]);
    expect(store.isQueueFull).toBe(false);
    expect(await store.write(3, IMAGE.piece(3), true)).toBe(true);
  });

  test('hot pieces are what guests asked for and what needed verifying, not what was prefetched without room', async () => {
    const disk = new MemoryDisk();
    const options = { hotBytesMax: 2 * PIECE_LENGTH };
    const { store } = await openStore(IMAGE, disk, options);
    for (const index of [0, 1]) await store.write(index, IMAGE.piece(index), false);
    await store.write(3, IMAGE.piece(3), true);
    await store.close();
    const { store: second } = await openStore(IMAGE, disk.afterKill(), options);
    await second.read(1, 0, new Uint8Array(1));
    expect(second.stats.hotBytes).toBe(PIECE_LENGTH);
  });
});

describe('commit', () => {
  test('comes a second after the first write, and not again when nothing changes', async () => {
    const { store, timers } = await openStore(IMAGE, new MemoryDisk());
    expect(timers.delaysMs).toEqual([]);
    await store.write(0, IMAGE.piece(0), false);
    await store.write(1, IMAGE.piece(1), false);
    expect(timers.delaysMs).toEqual([1000]);
    timers.fireAll();
    await store.commit();
    expect(store.stats.generation).toBe(1);
    expect(timers.delaysMs).toEqual([]);
    await store.commit();
    expect(store.stats.generation).toBe(1);
  });

  test('comes at once after commitBytesMax', async () => {
    const disk = new MemoryDisk();
    const { store } = await openStore(IMAGE, disk, { commitBytesMax: 3 * PIECE_LENGTH });
    for (const index of [0, 1]) await store.write(index, IMAGE.piece(index), false);
    expect(store.stats.generation).toBe(0);
    await store.write(3, IMAGE.piece(3), false);
    await expect.poll(() => store.stats.generation).toBe(1);
    // The count starts again.
    await store.write(4, IMAGE.piece(4), false);
    const operations = disk.operations;
    await store.write(6, IMAGE.piece(6), false);
    // Data and log, and no flush under way.
    expect(disk.operations - operations).toBe(2);
    await store.close();
    expect(store.stats.generation).toBe(2);
  });

  test('survives a power cut, and every piece is verified on its first use', async () => {
    const disk = new MemoryDisk();
    const { store } = await openStore(IMAGE, disk);
    for (const index of [0, 3, 7]) await store.write(index, IMAGE.piece(index), false);
    await store.commit();
    const { store: second } = await openStore(IMAGE, disk.afterPowerCut());
    expect(second.stats.generation).toBe(1);
    expect(second.readNow(3, 0, new Uint8Array(10))).toBe(false);
    expect(await readAll(IMAGE, second)).toEqual([0, 2, 3, 5, 7]);
    expect(second.readNow(3, 0, new Uint8Array(10))).toBe(true);
  });

  test('what was not committed is there after a kill, and is committed by the next process', async () => {
    const disk = new MemoryDisk();
    const { store } = await openStore(IMAGE, disk);
    await store.write(0, IMAGE.piece(0), false);
    await store.commit();
    await store.write(1, IMAGE.piece(1), false);
    const next = disk.afterKill();
    const { store: second, timers } = await openStore(IMAGE, next);
    expect(second.have.has(1)).toBe(true);
    expect(timers.delaysMs).toEqual([1000]);
    await second.commit();
    const { store: third } = await openStore(IMAGE, next.afterPowerCut());
    expect(await readAll(IMAGE, third)).toEqual([0, 1, 2, 5]);
  });

  test('a flush that fails takes back everything since the last good commit', async () => {
    const disk = new MemoryDisk();
    const { store, events, timers } = await openStore(IMAGE, disk);
    await store.write(0, IMAGE.piece(0), false);
    await store.commit();
    await store.write(1, IMAGE.piece(1), false);
    await store.write(3, IMAGE.piece(3), false);
    disk.faults = [{ at: disk.operations + 1, kind: 'EIO', count: 1 }];
    await store.commit();
    expect(events).toMatchObject([
      { type: 'commit-failed', step: 'data', lostCount: 2 },
      { type: 'piece-lost', pieceIndex: 1, reason: 'commit-failed' },
      { type: 'piece-lost', pieceIndex: 3, reason: 'commit-failed' },
    ]);
    expect(await readAll(IMAGE, store)).toEqual([0, 2, 5]);
    const { store: second } = await openStore(IMAGE, disk.afterKill());
    expect(await readAll(IMAGE, second)).toEqual([0, 2, 5]);

    timers.fireAll(); // The probe succeeds.
    await store.close();
    expect(events.at(-1)).toEqual({ type: 'caching-resumed' });
  });

  test('pieces written while a flush fails are not kept either', async () => {
    const disk = new MemoryDisk();
    const { store, flush, committed } = await committing(disk, DATA);
    await store.write(1, IMAGE.piece(1), false);
    const queued = [3, 4].map((index) => store.write(index, IMAGE.piece(index), false));
    flush.release('EIO');
    await committed;
    expect(await Promise.all(queued)).toEqual([false, false]);
    expect(await readAll(IMAGE, store)).toEqual([2, 5]);
    const { store: second } = await openStore(IMAGE, disk.afterKill());
    expect(await readAll(IMAGE, second)).toEqual([2, 5]);
  });

  test('pieces written during a commit are in the next one, and survive a kill in between', async () => {
    const disk = new MemoryDisk();
    const { store, flush, committed } = await committing(disk, DATA);
    await Promise.all([1, 3, 4].map((index) => store.write(index, IMAGE.piece(index), false)));
    flush.release();
    await committed;
    const { store: second } = await openStore(IMAGE, disk.afterKill());
    expect(await readAll(IMAGE, second)).toEqual([0, 1, 2, 3, 4, 5]);
    await store.commit();
    const { store: third } = await openStore(IMAGE, disk.afterPowerCut());
    expect(await readAll(IMAGE, third)).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test('a piece dropped while its slot is being written is taken back by the next commit', async () => {
    const disk = new MemoryDisk();
    const { store, flush, committed } = await committing(disk, BITS);
    disk.cached(DATA)[0] ^= 1;
    disk.faults = [{ at: disk.operations + 1, kind: 'EIO', count: 1 }];
    expect(await readPiece(IMAGE, store, 0)).toBe(false);
    flush.release();
    await committed;
    expect(store.have.has(0)).toBe(false);
    // The slot just written vouches for it: there has to be another commit.
    await store.commit();
    expect(store.stats.generation).toBe(2);
    const { store: second } = await openStore(IMAGE, disk.afterPowerCut());
    expect(second.have.has(0)).toBe(false);
  });
});

describe('a full disk', () => {
  const isFull = { kind: 'ENOSPC', count: Number.POSITIVE_INFINITY } as const;

  test('reads go on from memory, and caching resumes when there is space', async () => {
    const disk = new MemoryDisk();
    const { store, timers, events } = await openStore(IMAGE, disk, { hotBytesMax: 1e6 });
    await store.write(0, IMAGE.piece(0), false);
    disk.faults = [{ at: disk.operations + 1, ...isFull }];
    expect(await store.write(1, IMAGE.piece(1), false)).toBe(false);
    expect(events).toMatchObject([{ type: 'disk-full', error: { code: 'ENOSPC' } }]);
    expect(store.stats.mode).toBe('memory-only');
    expect(store.have.has(1)).toBe(false);
    const target = new Uint8Array(10);
    expect(store.readNow(1, 5, target)).toBe(true);
    expect(target).toEqual(at(1, 5, 10));
    // At once, without touching the disk.
    expect(await store.write(3, IMAGE.piece(3), false)).toBe(false);

    expect(timers.delaysMs).toContain(3000);
    timers.fireAll();
    await expect.poll(() => timers.delaysMs).toContain(3000);
    expect(store.stats.mode).toBe('memory-only');
    disk.faults = [];
    timers.fireAll();
    await expect.poll(() => store.stats.mode).toBe('normal');
    expect(events.at(-1)).toEqual({ type: 'caching-resumed' });
    expect(await store.write(1, IMAGE.piece(1), false)).toBe(true);
  });

  test('what was written before it was full is still committed, in the space reserved', async () => {
    const disk = new MemoryDisk();
    const { store } = await openStore(IMAGE, disk);
    await store.write(0, IMAGE.piece(0), false);
    disk.faults = [{ at: disk.operations + 1, kind: 'ENOSPC', count: 1 }];
    await store.write(1, IMAGE.piece(1), false);
    await store.commit();
    const { store: second } = await openStore(IMAGE, disk.afterPowerCut());
    expect(await readAll(IMAGE, second)).toEqual([0, 2, 5]);
  });

  test('gives up the whole queue, not one piece after the other', async () => {
    const disk = new MemoryDisk();
    const { store, events } = await openStore(IMAGE, disk);
    disk.faults = [{ at: disk.operations + 1, ...isFull }];
    const writes = [0, 1, 3, 4].map((index) => store.write(index, IMAGE.piece(index), false));
    expect(await Promise.all(writes)).toEqual([false, false, false, false]);
    expect(events).toHaveLength(1);
    expect(store.stats.queueBytes).toBe(0);
  });

  test('opens in memory-only mode when there is no space even for the slots', async () => {
    const disk = new MemoryDisk();
    // The growth of the sparse file takes no space; the first write is the one that reserves the slots.
    disk.faults = [{ at: 1, ...isFull }];
    const { store, events } = await openStore(IMAGE, disk);
    expect(store.stats.mode).toBe('memory-only');
    expect(events).toMatchObject([{ type: 'disk-full' }]);
    expect(await readAll(IMAGE, store)).toEqual([2, 5]);
  });

  test('another write error stops caching as well, until a probe succeeds', async () => {
    const disk = new MemoryDisk();
    const { store, events } = await openStore(IMAGE, disk);
    disk.faults = [{ at: disk.operations + 1, kind: 'EIO', count: 1 }];
    expect(await store.write(4, IMAGE.piece(4), false)).toBe(false);
    expect(events).toMatchObject([{ type: 'write-failed', pieceIndexes: [4] }]);
    expect(store.stats.mode).toBe('memory-only');
  });
});

describe('close', () => {
  test('writes what is queued, commits it, and refuses everything afterwards', async () => {
    const disk = new MemoryDisk();
    const { store, timers } = await openStore(IMAGE, disk, { hotBytesMax: 1e6 });
    const written = store.write(0, IMAGE.piece(0), false);
    const closed = store.close();
    expect(store.close()).toBe(closed);
    expect(await written).toBe(true);
    await closed;
    expect(timers.delaysMs).toEqual([]);
    expect(store.readNow(0, 0, new Uint8Array(1))).toBe(false);
    expect(await store.read(0, 0, new Uint8Array(1))).toBe(false);
    expect(await store.write(1, IMAGE.piece(1), false)).toBe(false);
    const { store: second } = await openStore(IMAGE, disk.afterPowerCut());
    expect(await readAll(IMAGE, second)).toEqual([0, 2, 5]);
  });
});
