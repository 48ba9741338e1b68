import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CachePieceStore } from '../src/cache-store.ts';
import { isLockedByAnyone, locksInode, punchAll } from '../src/hole-punch.ts';
import type { StoreEvent } from '../src/store-event.ts';
import { MemoryDisk } from './memory-disk.ts';
import {
  DATA,
  expectTruthfulAfterPowerCut,
  openStore,
  readAll,
  readPiece,
} from './store-harness.ts';
import { makeImage } from './test-image.ts';

const IMAGE = makeImage({ pieceCount: 8, zeroPieces: [2] });

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'bootswarm-punch-'));
});

afterEach(() => rmSync(directory, { recursive: true }));

describe('evicting all pieces', () => {
  test('gives their space back, and the store takes them again', async () => {
    const { metainfo, layer } = IMAGE;
    const events: StoreEvent[] = [];
    const options = { directory, metainfo, layer, hotBytesMax: 0 };
    const store = await CachePieceStore.open({ ...options, onEvent: (each) => events.push(each) });
    for (let index = 0; index < 8; index += 1) await store.write(index, IMAGE.piece(index), false);
    const path = join(directory, 'cache.raw');
    expect(statSync(path).blocks).toBeGreaterThan(0);
    expect(await store.evictPieces(punchAll)).toBe(true);
    expect(statSync(path)).toMatchObject({ blocks: 0, size: IMAGE.bytes.length });
    expect(events).toEqual([{ type: 'pieces-evicted', pieceIndexes: [0, 1, 3, 4, 5, 6, 7] }]);
    expect(await readAll(IMAGE, store)).toEqual([2]);
    expect(await store.write(5, IMAGE.piece(5), false)).toBe(false);
    store.isKeeping = true;
    expect(await store.write(5, IMAGE.piece(5), false)).toBe(true);
    store.noticeForeignWrites();
    await store.close();
    const second = await CachePieceStore.open({ ...options, onEvent: (each) => events.push(each) });
    expect(await readAll(IMAGE, second)).toEqual([2, 5]);
    expect(events).toHaveLength(1);
    await second.close();
  });

  test('is our own doing, however long it takes', async () => {
    const disk = new MemoryDisk();
    const { store, events } = await openStore(IMAGE, disk);
    await store.write(0, IMAGE.piece(0), false);
    await store.evictPieces(async () => {
      disk.contents.get(DATA)!.changes += 1n;
      store.noticeForeignWrites();
      disk.contents.get(DATA)!.changes += 1n;
    });
    store.noticeForeignWrites();
    expect(events).toEqual([{ type: 'pieces-evicted', pieceIndexes: [0] }]);
    disk.contents.get(DATA)!.changes += 1n;
    store.noticeForeignWrites();
    expect(events.at(-1)).toEqual({ type: 'cache-changed' });
  });

  test('that is refused, the store goes on', async () => {
    const disk = new MemoryDisk();
    const { store, events } = await openStore(IMAGE, disk);
    await store.write(0, IMAGE.piece(0), false);
    const punched = store.evictPieces(() => Promise.reject(new Error('no holes here')));
    await expect(punched).rejects.toThrow('no holes here');
    disk.contents.get(DATA)!.changes += 1n;
    store.noticeForeignWrites();
    expect(events.at(-1)).toEqual({ type: 'cache-changed' });
    // What is lost in the place of evicted pieces is new space.
    expect(await store.write(0, IMAGE.piece(0), false)).toBe(false);
  });

  test('punches nothing while the disk still vouches for it', async () => {
    const disk = new MemoryDisk();
    const { store } = await openStore(IMAGE, disk);
    await store.write(0, IMAGE.piece(0), false);
    await store.commit();
    disk.faults = [{ at: disk.operations + 1, kind: 'EIO', count: Number.POSITIVE_INFINITY }];
    const punched: string[] = [];
    expect(await store.evictPieces(async (path) => void punched.push(path))).toBe(false);
    expect(punched).toEqual([]);
    expectTruthfulAfterPowerCut(IMAGE, disk, 1);
  });

  test('a reader in the middle of it gets the right bytes or none', async () => {
    const { store } = await openStore(IMAGE, new MemoryDisk());
    for (const index of [0, 1]) await store.write(index, IMAGE.piece(index), false);
    const reading = [0, 1].map((index) => readPiece(IMAGE, store, index));
    const evicting = store.evictPieces(async () => {});
    reading.push(...[0, 1].map((index) => readPiece(IMAGE, store, index)));
    await Promise.all([...reading, evicting]);
    expect(await readAll(IMAGE, store)).toEqual([2]);
  });
});

test('a file that a program has locked is known by its inode', async () => {
  const path = join(directory, 'locked');
  writeFileSync(path, '');
  expect(await isLockedByAnyone(path)).toBe(false);
  const database = new DatabaseSync(path);
  database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
  expect(await isLockedByAnyone(path)).toBe(true);
  database.close();
  const qemu = '1: OFDLCK ADVISORY  READ -1 fe:01:1234 100 101\n';
  expect([1234, 234, 123].map((inode) => locksInode(qemu, inode))).toEqual([true, false, false]);
});
