import { describe, expect, test } from 'vitest';
import { MemoryDisk } from './memory-disk.ts';
import { BITS, DATA, openStore, readAll, readPiece } from './store-harness.ts';
import { makeImage, PIECE_LENGTH } from './test-image.ts';

const IMAGE = makeImage({ pieceCount: 8, lastBytes: 5000, zeroPieces: [2, 5] });

describe('a damaged cache', () => {
  async function filled(): Promise<MemoryDisk> {
    const disk = new MemoryDisk();
    const { store } = await openStore(IMAGE, disk);
    for (const index of [0, 1, 3, 4, 6, 7]) await store.write(index, IMAGE.piece(index), false);
    await store.close();
    return disk.afterKill();
  }

  test('drops a piece with a flipped bit, tells so once, and the next commit forgets it', async () => {
    const disk = await filled();
    disk.cached(DATA)[PIECE_LENGTH + 10] ^= 4;
    const { store, events } = await openStore(IMAGE, disk);
    const reads = await Promise.all([
      readPiece(IMAGE, store, 1),
      readPiece(IMAGE, store, 1),
      readPiece(IMAGE, store, 0),
    ]);
    expect(reads).toEqual([false, false, true]);
    expect(events).toEqual([{ type: 'piece-lost', pieceIndex: 1, reason: 'wrong-hash' }]);
    await store.close();
    const { store: second } = await openStore(IMAGE, disk.afterPowerCut());
    expect(second.have.has(1)).toBe(false);
    expect(second.have.count).toBe(7);
  });

  test('takes a dropped piece again', async () => {
    const disk = await filled();
    disk.cached(DATA)[0] ^= 1;
    const { store } = await openStore(IMAGE, disk);
    await readPiece(IMAGE, store, 0);
    expect(await store.write(0, IMAGE.piece(0), false)).toBe(true);
    await store.close();
    const { store: second } = await openStore(IMAGE, disk.afterPowerCut());
    expect(await readAll(IMAGE, second)).toHaveLength(8);
  });

  test('drops a piece that cannot be read', async () => {
    const disk = await filled();
    const { store, events } = await openStore(IMAGE, disk);
    disk.faults = [{ at: disk.operations + 1, kind: 'EIO', count: 1 }];
    expect(await readPiece(IMAGE, store, 3)).toBe(false);
    expect(events).toMatchObject([{ type: 'piece-lost', pieceIndex: 3, reason: 'read-failed' }]);
  });

  test('verifies again a piece that readNow could not read', async () => {
    const disk = await filled();
    const { store, events } = await openStore(IMAGE, disk);
    await readPiece(IMAGE, store, 3);
    disk.faults = [{ at: disk.operations + 1, kind: 'EIO', count: 1 }];
    expect(await readPiece(IMAGE, store, 3)).toBe(true);
    expect(events).toEqual([]);
  });

  test('forgets what lay beyond the end of a truncated cache file', async () => {
    const disk = await filled();
    disk.tamper(DATA, disk.cached(DATA).subarray(0, 4 * PIECE_LENGTH - 1));
    const { store, events } = await openStore(IMAGE, disk);
    expect(events).toEqual([
      { type: 'cache-discarded', reason: 'cache-file-short', pieceCount: 4 },
    ]);
    expect(await readAll(IMAGE, store)).toEqual([0, 1, 2, 5]);
    expect(disk.cached(DATA).length).toBe(IMAGE.bytes.length);
    // On disk too: the grown file must not be taken for a whole one after a power cut.
    const { events: again } = await openStore(IMAGE, disk.afterKill());
    expect(again).toEqual([]);
  });

  test('forgets what the log claims beyond the end of a truncated cache file', async () => {
    const disk = new MemoryDisk();
    const { store } = await openStore(IMAGE, disk);
    for (const index of [0, 4]) await store.write(index, IMAGE.piece(index), false);
    const next = disk.afterKill();
    next.tamper(DATA, next.cached(DATA).subarray(0, PIECE_LENGTH));
    const { store: second } = await openStore(IMAGE, next);
    expect(second.have.has(0)).toBe(true);
    expect(second.have.has(4)).toBe(false);
  });

  test('forgets everything when the cache file is gone', async () => {
    const disk = await filled();
    disk.tamper(DATA, undefined);
    const { store, events } = await openStore(IMAGE, disk);
    expect(events).toMatchObject([{ reason: 'cache-file-short', pieceCount: 6 }]);
    expect(await readAll(IMAGE, store)).toEqual([2, 5]);
  });

  test('drops pieces of a file truncated under a running store', async () => {
    const disk = await filled();
    const { store, events } = await openStore(IMAGE, disk);
    await readPiece(IMAGE, store, 4);
    const contents = disk.contents.get(DATA)!;
    contents.cached = contents.cached.subarray(0, PIECE_LENGTH);
    expect(await readAll(IMAGE, store)).toEqual([0, 2, 5]);
    expect(events).toContainEqual({ type: 'piece-lost', pieceIndex: 4, reason: 'short-file' });
  });

  test('never shrinks the cache file, which a virtual machine may be reading by itself', async () => {
    const disk = await filled();
    disk.tamper(BITS, Buffer.alloc(8192, 1));
    disk.tamper(DATA, Buffer.concat([disk.cached(DATA), Buffer.alloc(10)]));
    const before = Buffer.from(disk.cached(DATA));
    const { store, events } = await openStore(IMAGE, disk);
    expect(events).toEqual([{ type: 'cache-discarded', reason: 'damaged', pieceCount: 0 }]);
    await store.close();
    expect(disk.cached(DATA)).toEqual(before);
  });

  test('never believes the cache of another image', async () => {
    const disk = await filled();
    const other = makeImage({ pieceCount: 8, lastBytes: 5000, zeroPieces: [2, 5], seed: 9 });
    const { store, events } = await openStore(other, disk);
    expect(events).toEqual([{ type: 'cache-discarded', reason: 'other-image', pieceCount: 0 }]);
    expect(await readAll(other, store)).toEqual([2, 5]);
  });

  test('tells the operator when a file cannot be opened', async () => {
    const disk = new MemoryDisk();
    disk.open = () => Promise.reject(Object.assign(new Error('EACCES: no'), { code: 'EACCES' }));
    await expect(openStore(IMAGE, disk)).rejects.toMatchObject({
      code: 'cache-unusable',
      message: expect.stringContaining('/cache/image: EACCES'),
    });
  });
});
