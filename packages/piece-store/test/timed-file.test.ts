import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { TimedFile } from '../src/timed-file.ts';
import { MemoryDisk } from './memory-disk.ts';
import { DATA, openStore, readPiece } from './store-harness.ts';
import { makeImage } from './test-image.ts';

const IMAGE = makeImage();
const now = () => performance.now();

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
});

afterEach(() => {
  vi.useRealTimers();
});

test('a flush that is late keeps synchronous reads away until it is over', async () => {
  const disk = new MemoryDisk();
  const { store } = await openStore(IMAGE, disk);
  const target = new Uint8Array(10);
  for (const index of [0, 1]) {
    await store.write(index, IMAGE.piece(index), false);
    if (index === 0) await store.commit();
  }
  expect(store.readNow(0, 0, target)).toBe(true);
  const held = disk.holdFlush(DATA);
  const committing = store.commit();
  await held.reached;
  vi.advanceTimersByTime(1_999);
  expect(store.readNow(0, 0, target)).toBe(true);
  vi.advanceTimersByTime(1);
  expect(store.readNow(0, 0, target)).toBe(false);
  expect(store.isLate).toBe(true);
  // Off the event loop it is still tried.
  expect(await readPiece(IMAGE, store, 0)).toBe(true);
  held.release();
  await committing;
  expect(store.readNow(0, 0, target)).toBe(true);
});

test('a synchronous read that took long is the last one for five seconds', async () => {
  const file = await new MemoryDisk().open(DATA, 'read-write');
  let tookMs = 49;
  const slow = { ...file, readSync: () => vi.advanceTimersByTime(tookMs) && 0 };
  const timed = new TimedFile(slow);
  timed.readSync(new Uint8Array(1), 0);
  expect(timed.mayReadSync).toBe(true);
  tookMs = 50;
  timed.readSync(new Uint8Array(1), 0);
  const end = now() + 5_000;
  expect(timed.mayReadSync).toBe(false);
  vi.advanceTimersByTime(end - now() - 1);
  expect(timed.mayReadSync).toBe(false);
  vi.advanceTimersByTime(1);
  expect(timed.mayReadSync).toBe(true);
});
