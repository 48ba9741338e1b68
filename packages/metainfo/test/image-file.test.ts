import { mkdtemp, open, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OperatorError } from '@bootswarm/stdx';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type DataExtent, hashImageFile, PieceHasher } from '../src/index.ts';
import { dataBytes, imageOf, KIB, segmentLists } from './images.ts';

const MIB = 1024 * KIB;
let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootswarm-metainfo-'));
});
afterAll(() => rm(directory, { recursive: true }));

describe('hashImageFile', () => {
  it('agrees with PieceHasher on any mix of extents, and reads nothing outside them', async () => {
    const path = join(directory, 'mixed');
    await fc.assert(
      fc.asyncProperty(segmentLists, async (segments) => {
        const image = imageOf(segments);
        const pieceLength = 32 * KIB;
        const hasher = new PieceHasher({ length: image.length, pieceLength });
        hasher.push(image);
        const extents: DataExtent[] = [];
        const file = Buffer.from(image);
        let offset = 0;
        for (const { isHole, length } of segments) {
          // What lies in a hole must not matter.
          if (isHole) file.fill(0xee, offset, offset + length);
          else extents.push({ offset, length });
          offset += length;
        }
        await writeFile(path, file);
        const options = { length: image.length, pieceLength, extents };
        expect(await hashImageFile(path, options)).toEqual(hasher.finish());
      }),
      { numRuns: 15 },
    );
  });

  it('hashes many spans on several threads, from a path and from an open file', async () => {
    const path = join(directory, 'spans');
    const length = 100 * MIB + 4_321;
    const pieceLength = 256 * KIB;
    const hasher = new PieceHasher({ length, pieceLength });
    const file = await open(path, 'w+');
    try {
      for (const [offset, bytes] of [
        [5_000, dataBytes(300_000, 1)],
        [40 * MIB - 7, dataBytes(3 * MIB, 2)],
        [length - 10, dataBytes(10, 3)],
      ] as const) {
        await file.write(bytes, 0, bytes.length, offset);
        hasher.skipZeros(offset - hasher.offset);
        hasher.push(bytes);
      }
      const expected = hasher.finish();
      expect(expected.zeroPieceCount).toBeGreaterThan(380);
      const progress: number[] = [];
      const onProgress = (done: number) => progress.push(done);
      expect(await hashImageFile(path, { length, pieceLength, onProgress })).toEqual(expected);
      expect(progress).toEqual([...progress].sort((a, b) => a - b));
      expect(progress).toHaveLength(4);
      expect(progress.at(-1)).toBe(length);
      expect(await hashImageFile(file, { length, pieceLength })).toEqual(expected);
      // Not closed: it is the caller's.
      expect((await file.stat()).size).toBe(length);
    } finally {
      await file.close();
    }
  });

  it('hashes a piece longer than a span', async () => {
    const path = join(directory, 'long');
    const image = dataBytes(17 * MIB);
    await writeFile(path, image);
    const shape = { length: image.length, pieceLength: 16 * MIB };
    const hasher = new PieceHasher(shape);
    hasher.push(image);
    expect(await hashImageFile(path, shape)).toEqual(hasher.finish());
  });

  it('starts no thread and reads nothing for an image of zeros', async () => {
    const shape = { length: 1024 * MIB + 1, pieceLength: 64 * KIB };
    const hasher = new PieceHasher(shape);
    hasher.skipZeros(shape.length);
    const path = join(directory, 'empty');
    await writeFile(path, '');
    expect(await hashImageFile(path, { ...shape, extents: [] })).toEqual(hasher.finish());
  });

  it('says where a file ends that is too short', async () => {
    const path = join(directory, 'short');
    await writeFile(path, dataBytes(MIB));
    await truncate(path, 100_000);
    const error = await hashImageFile(path, { length: MIB, pieceLength: 64 * KIB }).catch((e) => e);
    expect(error).toBeInstanceOf(OperatorError);
    expect(error).toMatchObject({ code: 'image-truncated' });
    expect(error.message).toContain('byte 100000 of 1048576');
  });

  it('says what cannot be opened or read', async () => {
    const shape = { length: MIB, pieceLength: 64 * KIB };
    await expect(hashImageFile(join(directory, 'absent'), shape)).rejects.toMatchObject({
      code: 'image-unreadable',
      message: expect.stringContaining('absent'),
    });
    await expect(hashImageFile(directory, shape)).rejects.toMatchObject({
      code: 'image-unreadable',
      message: expect.stringContaining('EISDIR'),
    });
  });

  it('stops when it is told to, before and in the middle', async () => {
    const path = join(directory, 'stopped');
    await writeFile(path, '');
    await truncate(path, 2 ** 40);
    const shape = { length: 2 ** 40, pieceLength: 16 * MIB };
    const reason = new Error('enough');
    await expect(hashImageFile(path, { ...shape, signal: AbortSignal.abort(reason) })).rejects.toBe(
      reason,
    );
    const controller = new AbortController();
    const onProgress = () => controller.abort(reason);
    await expect(
      hashImageFile(path, { ...shape, onProgress, signal: controller.signal }),
    ).rejects.toBe(reason);
  });

  it('rejects with what onProgress throws', async () => {
    const path = join(directory, 'thrown');
    await writeFile(path, dataBytes(10));
    const onProgress = () => {
      throw new Error('full');
    };
    const shape = { length: 10, pieceLength: 64 * KIB };
    await expect(hashImageFile(path, { ...shape, onProgress })).rejects.toThrow('full');
  });

  it('asserts that extents ascend and lie within the image', async () => {
    const shape = { length: 100, pieceLength: 64 * KIB };
    for (const extents of [
      [{ offset: 50, length: 51 }],
      [{ offset: 0, length: 0 }],
      [
        { offset: 0, length: 20 },
        { offset: 10, length: 20 },
      ],
    ]) {
      await expect(hashImageFile('unused', { ...shape, extents })).rejects.toThrow('extent');
    }
  });
});
