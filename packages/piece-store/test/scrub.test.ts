/** Bit rot that comes while the store runs: found by scrubbing, wherever it is, and mended when the piece is written again. */
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CachePieceStore } from '../src/cache-store.ts';
import type { StoreEvent } from '../src/store-event.ts';
import { MemoryDisk } from './memory-disk.ts';
import { DATA, type Opened, openStore, readAll, readPiece } from './store-harness.ts';
import { makeImage, PIECE_LENGTH } from './test-image.ts';

const IMAGE = makeImage({ pieceCount: 8, lastBytes: 5000, zeroPieces: [2] });
const STORED = [0, 1, 3, 4, 5, 6, 7];

/** Every piece durable, and trusted because it was written by this very process. */
async function filled(): Promise<Opened & { disk: MemoryDisk }> {
  const disk = new MemoryDisk();
  const opened = await openStore(IMAGE, disk);
  for (const index of STORED) await opened.store.write(index, IMAGE.piece(index), false);
  await opened.store.commit();
  return { ...opened, disk };
}

async function pass(store: CachePieceStore): Promise<number> {
  for (let bytes = 0; ; ) {
    const read = await store.scrubNext();
    if (read === 0) return bytes;
    bytes += read;
  }
}

function lost(pieceIndex: number): StoreEvent {
  return { type: 'piece-lost', pieceIndex, reason: 'wrong-hash' };
}

const damage = fc.record({
  how: fc.constantFrom('flipped', 'zeroed', 'misplaced'),
  at: fc.nat(IMAGE.bytes.length - 1),
  length: fc.integer({ min: 1, max: 2 * PIECE_LENGTH }),
  from: fc.nat(IMAGE.bytes.length - 1),
});

/** On the disk; the page cache may still be right. Returns the pieces that are wrong now. */
function rot(
  disk: MemoryDisk,
  { how, at, length, from }: typeof damage extends fc.Arbitrary<infer T> ? T : never,
) {
  const { durable } = disk.contents.get(DATA)!;
  const end = Math.min(durable.length, at + length);
  if (how === 'flipped') durable[at] ^= 0x10;
  if (how === 'zeroed') durable.fill(0, at, end);
  if (how === 'misplaced') durable.set(durable.slice(from, from + end - at), at);
  return STORED.filter((index) => {
    const piece = IMAGE.piece(index);
    const start = index * PIECE_LENGTH;
    return !durable.subarray(start, start + piece.length).equals(piece);
  });
}

describe('scrubbing', () => {
  test('finds nothing in a cache that is as it was, and reads each piece once', async () => {
    const { store, events } = await filled();
    expect(await pass(store)).toBe(6 * PIECE_LENGTH + 5000);
    expect(events).toEqual([]);
    expect(store.stats.scrub).toEqual({
      ...{ passes: 1, piecesChecked: 0, pieceCount: 7, piecesDamaged: 0, isDirect: true },
    });
  });

  test('finds rot wherever it is on the disk, whatever the page cache has; written again the piece is well', async () => {
    await fc.assert(
      fc.asyncProperty(damage, fc.boolean(), async (what, isPageDropped) => {
        const { store, events, disk } = await filled();
        const wrong = rot(disk, what);
        const contents = disk.contents.get(DATA)!;
        if (isPageDropped) contents.cached = Buffer.from(contents.durable);
        await pass(store);
        expect(events).toEqual(wrong.map(lost));
        expect(await readAll(IMAGE, store)).toHaveLength(8 - wrong.length);
        for (const index of wrong) await store.write(index, IMAGE.piece(index), false);
        await store.commit();
        await pass(store);
        expect(events).toHaveLength(wrong.length);
        expect(store.stats.scrub.piecesDamaged).toBe(wrong.length);
        const { store: next } = await openStore(IMAGE, disk.afterPowerCut());
        expect(await readAll(IMAGE, next)).toHaveLength(8);
      }),
      { numRuns: 150 },
    );
  });

  test('reads through the page cache where the disk cannot be read directly, and says so', async () => {
    const { store, events, disk } = await filled();
    disk.canReadDirect = false;
    const contents = disk.contents.get(DATA)!;
    contents.cached[PIECE_LENGTH] ^= 1;
    await pass(store);
    expect(events).toEqual([lost(1)]);
    expect(store.stats.scrub.isDirect).toBe(false);
  });

  test('a piece that cannot be read is lost, unless a second look succeeds', async () => {
    const { store, events, disk } = await filled();
    await store.scrubNext();
    disk.faults = [{ at: disk.operations + 1, kind: 'EIO', count: 1 }];
    await store.scrubNext();
    expect(events).toEqual([]);
    disk.faults = [{ at: disk.operations + 1, kind: 'EIO', count: 2 }];
    await store.scrubNext();
    expect(events).toMatchObject([{ type: 'piece-lost', pieceIndex: 3, reason: 'read-failed' }]);
  });

  test('a piece that was lost is mended although the cache may not grow', async () => {
    const disk = new MemoryDisk();
    const { store } = await openStore(IMAGE, disk);
    for (const index of [0, 1]) await store.write(index, IMAGE.piece(index), false);
    await store.commit();
    disk.contents.get(DATA)!.durable[PIECE_LENGTH] ^= 1;
    store.isKeeping = false;
    await pass(store);
    expect(store.have.has(1)).toBe(false);
    const kept = [1, 3].map((index) => store.write(index, IMAGE.piece(index), false));
    expect(await Promise.all(kept)).toEqual([true, false]);
    await store.commit();
    const { store: next } = await openStore(IMAGE, disk.afterPowerCut());
    expect(await readAll(IMAGE, next)).toEqual([0, 1, 2]);
  });

  test('leaves alone what is not durable yet, and does nothing once the store is closed', async () => {
    const disk = new MemoryDisk();
    const { store } = await openStore(IMAGE, disk);
    await store.write(0, IMAGE.piece(0), false);
    expect(await store.scrubNext()).toBe(0);
    await store.close();
    expect(await store.scrubNext()).toBe(0);
  });

  test('reads a real disk, a last piece of odd length included', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'bootswarm-scrub-'));
    const events: StoreEvent[] = [];
    const { metainfo, layer } = IMAGE;
    const onEvent = (event: StoreEvent) => events.push(event);
    const store = await CachePieceStore.open({ directory, metainfo, layer, onEvent });
    for (const index of STORED) await store.write(index, IMAGE.piece(index), false);
    await store.commit();
    expect(await pass(store)).toBe(6 * PIECE_LENGTH + 5000);
    expect(events).toEqual([]);
    const file = await open(join(directory, 'cache.raw'), 'r+');
    await file.write(Buffer.from([0, 1, 2, 3]), 0, 4, 7 * PIECE_LENGTH + 4_990);
    await file.close();
    await pass(store);
    expect(events).toEqual([lost(7)]);
    await store.close();
    await rm(directory, { recursive: true });
  });
});

describe('a cache file that somebody else wrote to', () => {
  function overwrite(disk: MemoryDisk, at: number): void {
    const contents = disk.contents.get(DATA)!;
    contents.cached[at] ^= 1;
    contents.changes += 1n;
  }

  test('is verified again, piece by piece, before it is read', async () => {
    const { store, events, disk } = await filled();
    overwrite(disk, 3 * PIECE_LENGTH);
    store.noticeForeignWrites();
    expect(events).toEqual([{ type: 'cache-changed' }]);
    expect(await readAll(IMAGE, store)).toEqual([0, 1, 2, 4, 5, 6, 7]);
    expect(events.at(-1)).toEqual(lost(3));
    store.noticeForeignWrites();
    expect(events).toHaveLength(2);
  });

  test('is noticed by the next write, and so is what was not durable yet', async () => {
    const { store, events, disk } = await filled();
    disk.cached(DATA)[0] ^= 1; // Rot: the time of change stays.
    await readPiece(IMAGE, store, 1);
    store.noticeForeignWrites();
    expect(events).toEqual([]);
    disk.cached(DATA)[0] ^= 1;
    const other = new MemoryDisk();
    const { store: young, events: told } = await openStore(IMAGE, other);
    await young.write(0, IMAGE.piece(0), false);
    overwrite(other, 0);
    await young.write(1, IMAGE.piece(1), false);
    await young.commit();
    expect(told).toEqual([{ type: 'cache-changed' }]);
    expect(await readAll(IMAGE, young)).toEqual([1, 2]);
  });
});
