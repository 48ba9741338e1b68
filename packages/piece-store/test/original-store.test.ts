import { mkdtemp, open, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { nodeDisk } from '../src/node-disk.ts';
import { OriginalPieceStore, type OriginalStoreOptions } from '../src/original-store.ts';
import type { StoreEvent } from '../src/store-event.ts';
import { errnoError } from './memory-disk.ts';
import { makeImage, PIECE_LENGTH } from './test-image.ts';

const IMAGE = makeImage({ pieceCount: 5, lastBytes: 700, zeroPieces: [1] });

let directory: string;
let path: string;
let events: StoreEvent[];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootswarm-original-'));
  path = join(directory, 'image.raw');
  events = [];
  await writeFile(path, IMAGE.bytes);
});

afterEach(() => rm(directory, { recursive: true }));

function openStore(options: Partial<OriginalStoreOptions> = {}): Promise<OriginalPieceStore> {
  const { metainfo, layer } = IMAGE;
  const onEvent = (event: StoreEvent) => events.push(event);
  return OriginalPieceStore.open({ path, metainfo, layer, onEvent, ...options });
}

async function readPiece(store: OriginalPieceStore, pieceIndex: number): Promise<boolean> {
  const target = new Uint8Array(IMAGE.piece(pieceIndex).length);
  const isRead = await store.read(pieceIndex, 0, target);
  if (isRead) expect(target).toEqual(IMAGE.piece(pieceIndex));
  return isRead;
}

async function overwrite(position: number, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'r+');
  await file.write(bytes, 0, bytes.length, position);
  // A time of its own, whatever the clock's tick.
  await file.utimes(1, 1);
  await file.close();
}

describe('OriginalPieceStore', () => {
  test('verifies into buffers that it uses again, and all who wait for a piece get its bytes', async () => {
    const store = await openStore();
    for (const pieceIndex of [0, 2, 3]) {
      const reads = [1, 2, 3].map(() => readPiece(store, pieceIndex));
      expect(await Promise.all(reads)).toEqual([true, true, true]);
      const again = new Uint8Array(100);
      expect(store.readNow(pieceIndex, 0, again)).toBe(true);
      expect(again).toEqual(IMAGE.piece(pieceIndex).subarray(0, 100));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(store.buffers.spareCount).toBe(1);
    await store.close();
  });

  test('holds every piece from the start and verifies each on its first read', async () => {
    const store = await openStore();
    expect(store.have.isFull).toBe(true);
    const target = new Uint8Array(100);
    expect(store.readNow(0, 50, target)).toBe(false);
    for (let index = 0; index < 5; index += 1) expect(await readPiece(store, index)).toBe(true);
    expect(store.readNow(0, 50, target)).toBe(true);
    expect(target).toEqual(IMAGE.bytes.subarray(50, 150));
    expect(store.readNow(1, 0, target)).toBe(true);
    expect(events).toEqual([]);
    await store.close();
    expect(store.readNow(0, 50, target)).toBe(false);
    expect(await store.read(0, 50, target)).toBe(false);
  });

  test('never serves a damaged piece, says so once and leaves it out', async () => {
    await overwrite(2 * PIECE_LENGTH + 9, new Uint8Array([1, 2, 3]));
    const store = await openStore();
    const reads = await Promise.all([2, 2, 3].map((index) => readPiece(store, index)));
    expect(reads).toEqual([false, false, true]);
    expect(events).toEqual([{ type: 'piece-lost', pieceIndex: 2, reason: 'damaged-original' }]);
    expect(store.have.has(2)).toBe(false);
    expect(store.have.count).toBe(4);
    await store.close();
  });

  test('verifies everything again once the file has been changed in place', async () => {
    const store = await openStore();
    for (const index of [0, 2]) await readPiece(store, index);
    await overwrite(2 * PIECE_LENGTH, new Uint8Array([1]));
    expect(store.readNow(2, 0, new Uint8Array(10))).toBe(false);
    expect(events).toEqual([{ type: 'original-changed', path }]);
    expect(await readPiece(store, 2)).toBe(false);
    expect(await readPiece(store, 0)).toBe(true);
    expect(store.readNow(0, 0, new Uint8Array(10))).toBe(true);
    await store.close();
  });

  test('leaves out what was cut off', async () => {
    const store = await openStore();
    const file = await open(path, 'r+');
    await file.truncate(3 * PIECE_LENGTH);
    await file.close();
    expect(await readPiece(store, 4)).toBe(false);
    expect(await readPiece(store, 2)).toBe(true);
    expect(events).toContainEqual({
      type: 'piece-lost',
      pieceIndex: 4,
      reason: 'damaged-original',
    });
    await store.close();
  });

  test('goes on with the file it opened when another takes its name', async () => {
    const store = await openStore();
    await writeFile(`${path}.new`, new Uint8Array(10));
    await rename(`${path}.new`, path);
    expect(await readPiece(store, 3)).toBe(true);
    expect(events).toEqual([]);
    await store.close();
  });

  test('keeps a piece that could not be read: it may be readable again', async () => {
    let isBroken = true;
    const disk = {
      ...nodeDisk,
      open: async (...of: Parameters<typeof nodeDisk.open>) => {
        const file = await nodeDisk.open(...of);
        const read = file.read.bind(file);
        file.read = (target, position) =>
          isBroken ? Promise.reject(errnoError('EIO')) : read(target, position);
        return file;
      },
    };
    const store = await openStore({ disk });
    expect(await readPiece(store, 0)).toBe(false);
    expect(events).toMatchObject([{ type: 'read-failed', pieceIndex: 0, error: { code: 'EIO' } }]);
    isBroken = false;
    expect(await readPiece(store, 0)).toBe(true);
    await store.close();
  });

  test('refuses a file of another length, or changed since it was published', async () => {
    const store = await openStore();
    await store.close();
    const file = await nodeDisk.open(path, 'read');
    const identity = file.identity();
    await file.close();
    await (await openStore({ identity })).close();
    await overwrite(0, new Uint8Array([1]));
    await expect(openStore({ identity })).rejects.toMatchObject({ code: 'original-changed' });
    await writeFile(path, IMAGE.bytes.subarray(1));
    await expect(openStore()).rejects.toMatchObject({ code: 'original-changed' });
  });

  test('tells the operator which file it cannot read, and follows a link', async () => {
    await rename(path, `${path}.moved`);
    await expect(openStore()).rejects.toMatchObject({
      code: 'original-unreadable',
      message: expect.stringContaining(path),
    });
    await symlink(`${path}.moved`, path);
    await (await openStore()).close();
  });

  test('asserts that nobody writes to it', async () => {
    const store = await openStore();
    expect(() => store.write(0)).toThrow('original image');
    await store.commit();
    await store.close();
  });
});

test('reads over pieces that were verified, zeros and the end of the image', async () => {
  const store = await openStore();
  const target = new Uint8Array(IMAGE.bytes.length - 10);
  for (const pieceIndex of [0, 2, 3]) await readPiece(store, pieceIndex);
  expect(store.readNow(0, 10, target)).toBe(false);
  await readPiece(store, 4);
  expect(store.readNow(0, 10, target)).toBe(true);
  expect(target).toEqual(IMAGE.bytes.slice(10));
  await store.close();
});
