/** A cache store on a memory disk with timers under the test's control, and the questions tests ask of it. */
import { expect } from 'vitest';
import { CachePieceStore } from '../src/cache-store.ts';
import type { CacheStoreOptions } from '../src/cache-store-options.ts';
import { decodeSlot, slotBytes } from '../src/commit-slots.ts';
import type { StoreEvent } from '../src/store-event.ts';
import { ManualTimers } from './manual-timers.ts';
import type { MemoryDisk } from './memory-disk.ts';
import type { TestImage } from './test-image.ts';

export const DIRECTORY = '/cache/image';
export const DATA = `${DIRECTORY}/cache.raw`;
export const BITS = `${DIRECTORY}/have.bits`;

export interface Opened {
  readonly store: CachePieceStore;
  readonly timers: ManualTimers;
  readonly events: StoreEvent[];
}

/** No hot pieces unless asked for: reads are to meet the disk. */
export async function openStore(
  image: TestImage,
  disk: MemoryDisk,
  options: Partial<CacheStoreOptions> = {},
): Promise<Opened> {
  const timers = new ManualTimers();
  const events: StoreEvent[] = [];
  const store = await CachePieceStore.open({
    directory: DIRECTORY,
    metainfo: image.metainfo,
    layer: image.layer,
    disk,
    setTimer: timers.set,
    onEvent: (event) => events.push(event),
    hotBytesMax: 0,
    ...options,
  });
  return { store, timers, events };
}

/** Reads a whole piece; a piece that is read must be right. */
export async function readPiece(
  image: TestImage,
  store: CachePieceStore,
  pieceIndex: number,
): Promise<boolean> {
  const expected = image.piece(pieceIndex);
  const target = new Uint8Array(expected.length);
  const isRead = await store.read(pieceIndex, 0, target);
  if (isRead) expect(Buffer.from(target).equals(expected), `piece ${pieceIndex}`).toBe(true);
  return isRead;
}

/** Reads everything `have` promises, returns the pieces that were really there. */
export async function readAll(image: TestImage, store: CachePieceStore): Promise<number[]> {
  const read: number[] = [];
  for (let index = 0; index < store.pieceCount; index += 1) {
    const wasHeld = store.have.has(index);
    const isRead = await readPiece(image, store, index);
    expect(isRead, `piece ${index}: held before ${wasHeld}`).toBe(store.have.has(index));
    if (isRead) read.push(index);
  }
  return read;
}

/**
 * Every bit of every slot that could be believed stands over the right bytes, whatever part of the un-flushed changes
 * reached the disk: checked on the raw files, without the hashes that would catch a lie.
 */
export function expectTruthfulAfterPowerCut(image: TestImage, disk: MemoryDisk, seed: number) {
  const after = disk.afterPowerCut(seed);
  const data = after.cached(DATA);
  const size = slotBytes(image.metainfo.pieceCount);
  for (const start of [0, size]) {
    const slot = decodeSlot(image.metainfo, after.cached(BITS).subarray(start, start + size));
    if (slot.type !== 'claims') continue;
    for (let index = slot.bits.nextSet(0); index !== -1; index = slot.bits.nextSet(index + 1)) {
      const at = index * image.metainfo.pieceLength;
      const expected = image.piece(index);
      const isThere = data.subarray(at, at + expected.length).equals(expected);
      expect(isThere, `generation ${slot.generation} vouches for piece ${index}`).toBe(true);
    }
  }
}
