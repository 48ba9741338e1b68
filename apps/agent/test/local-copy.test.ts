import { mkdtempSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CachePieceStore } from '@bootswarm/piece-store';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { LocalCopy } from '../src/local-copy.ts';
import { imageOf, PIECE_LENGTH } from './catalogue-server.ts';

const ZEROS = [false, true, false, true];
const IMAGE = imageOf('local', ZEROS);

let directory: string;
let store: CachePieceStore;
let copy: LocalCopy;
let damages: number;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'local-copy-'));
  damages = 0;
  await openStore();
});
afterEach(async () => {
  await store.close();
  rmSync(directory, { recursive: true });
});

async function openStore(): Promise<void> {
  const { metainfo, layer } = IMAGE;
  store = await CachePieceStore.open({
    ...{ directory, metainfo, layer, hotBytesMax: 0 },
    onEvent: (event) => event.type === 'piece-lost' && copy.pieceLost(),
  });
  const onDamaged = () => {
    damages += 1;
  };
  copy = new LocalCopy({ path: join(directory, 'cache.raw'), metainfo, layer, store, onDamaged });
}

const piece = (pieceIndex: number) =>
  IMAGE.bytes.subarray(pieceIndex * PIECE_LENGTH, (pieceIndex + 1) * PIECE_LENGTH);

async function fill(): Promise<void> {
  for (const [index, isZero] of ZEROS.entries()) {
    if (!isZero) await store.write(index, Buffer.from(piece(index)), false);
  }
}

/** As a disk does that rots, or a program that has no business there. */
async function spoil(pieceIndex: number): Promise<void> {
  await using file = await open(copy.path, 'r+');
  await file.write(Buffer.from([0x55]), 0, 1, pieceIndex * PIECE_LENGTH + 77);
}

test('is not to be read before all pieces are there', async () => {
  await expect(copy.verified()).rejects.toMatchObject({
    code: 'image-incomplete',
    message: expect.stringContaining('this node has 2 of the 4 pieces'),
  });
  await store.write(0, Buffer.from(piece(0)), false);
  await expect(copy.verified()).rejects.toMatchObject({ code: 'image-incomplete' });
  expect(copy.isComplete).toBe(false);
  await store.write(2, Buffer.from(piece(2)), false);
  expect([copy.isComplete, copy.isVerified]).toEqual([true, false]);
  expect(await copy.verified()).toBe(join(directory, 'cache.raw'));
  expect(copy.isVerified).toBe(true);
});

test.each([0, 2])('is not to be read with rot in piece %d', async (pieceIndex) => {
  await fill();
  await store.commit();
  await spoil(pieceIndex);
  await expect(copy.verified()).rejects.toMatchObject({
    code: 'image-damaged',
    message: expect.stringContaining(`piece ${pieceIndex} of image`),
  });
  expect(copy.isVerified).toBe(false);
  expect(damages).toBe(1);
  // Nobody has to wait for the scrub: it is gone, to be fetched again.
  expect(store.have.has(pieceIndex)).toBe(false);
  await store.write(pieceIndex, Buffer.from(piece(pieceIndex)), false);
  await copy.verified();
});

test.each([1, 3])(
  'is not to be read with data in zero piece %d, until that is gone',
  async (pieceIndex) => {
    await fill();
    await spoil(pieceIndex);
    await expect(copy.verified()).rejects.toMatchObject({ code: 'image-damaged' });
    expect(await copy.verified()).toBe(copy.path);
  },
);

test('rot that came while the agent was away is dropped, and when fetched again all is well', async () => {
  await fill();
  await store.close();
  await spoil(2);
  await openStore();
  expect(copy.isComplete).toBe(true);
  await expect(copy.verified()).rejects.toMatchObject({ code: 'image-damaged' });
  expect(store.have.has(2)).toBe(false);
  await store.write(2, Buffer.from(piece(2)), false);
  await copy.verified();
});

test('is read again after the store has lost a piece', async () => {
  await fill();
  await copy.verified();
  await spoil(0);
  // Once is enough, until there is a reason for doubt.
  await copy.verified();
  copy.pieceLost();
  expect(copy.isVerified).toBe(false);
  await expect(copy.verified()).rejects.toMatchObject({ code: 'image-damaged' });
});

test('a loss while it is being read counts', async () => {
  await fill();
  const verified = copy.verified();
  copy.pieceLost();
  await expect(verified).rejects.toMatchObject({ code: 'image-incomplete' });
});

test('a closing agent does not wait until all is read', async () => {
  await fill();
  const verified = copy.verified();
  const closed = copy.close();
  await expect(verified).rejects.toMatchObject({ code: 'agent-stopping' });
  await closed;
});
