import { readFile, stat } from 'node:fs/promises';
import { Random } from '@bootswarm/stdx';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HOLE_LENGTH, SparseFile } from '../src/sparse-file.ts';
import { StreamWriter } from '../src/stream-writer.ts';
import { diskOf, ScratchDirectory } from './disk.ts';

describe('a sparse file', () => {
  test('holds what was written, cut anywhere, and no blocks of zeros', async () => {
    await using directory = await ScratchDirectory.create();
    const block = fc.record({ isZero: fc.boolean(), length: fc.integer({ min: 1, max: 300_000 }) });
    const property = fc.asyncProperty(
      fc.array(block, { minLength: 1, maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 200_000 }), { minLength: 1, maxLength: 5 }),
      async (blocks, cuts) => {
        const disk = Buffer.concat(
          blocks.map(({ isZero, length }) => Buffer.alloc(length, isZero ? 0 : 7)),
        );
        const file = await SparseFile.create(directory.file('disk.raw'));
        const writer = new StreamWriter(file, 0);
        for (let offset = 0, turn = 0; offset < disk.length; turn += 1) {
          const end = Math.min(disk.length, offset + (cuts[turn % cuts.length] ?? 1));
          await writer.push(disk.subarray(offset, end));
          offset = end;
          expect(writer.position).toBe(offset);
        }
        await writer.flush();
        await file.truncate(disk.length);
        await file.publish();
        expect((await readFile(file.path)).equals(disk)).toBe(true);
        expect((await stat(file.path)).blocks * 512).toBeLessThanOrEqual(dataBlocks(disk));
      },
    );
    await fc.assert(property, { numRuns: 40 });
  });

  test('has its name only once it is published, and replaces one of that name', async () => {
    await using directory = await ScratchDirectory.create();
    for (const content of ['first', 'second']) {
      const file = await SparseFile.create(directory.file('disk.raw'));
      await file.write(Buffer.from(content), 0);
      expect((await directory.names()).filter((name) => name.startsWith('.'))).toHaveLength(1);
      await file.publish();
      await file.discard();
      expect(await directory.names()).toEqual(['disk.raw']);
      expect(await readFile(directory.file('disk.raw'), 'utf8')).toBe(content);
    }
  });

  test('that is discarded leaves nothing', async () => {
    await using directory = await ScratchDirectory.create();
    const file = await SparseFile.create(directory.file('disk.raw'));
    await file.write(diskOf(100_000), 0);
    await file.discard();
    expect(await directory.names()).toEqual([]);
  });

  test('in a directory that does not exist is an error for the operator', async () => {
    await using directory = await ScratchDirectory.create();
    await expect(SparseFile.create(directory.file('missing/disk.raw'))).rejects.toMatchObject({
      code: 'target-unwritable',
    });
  });

  test('may be written by several streams at once', async () => {
    await using directory = await ScratchDirectory.create();
    const disk = diskOf(2_000_000);
    const file = await SparseFile.create(directory.file('disk.raw'));
    const random = new Random(3);
    const starts = [0, 300_000, 1_111_111];
    await Promise.all(
      starts.map(async (start, index) => {
        const end = starts[index + 1] ?? disk.length;
        const writer = new StreamWriter(file, start);
        while (writer.position < end) {
          const cut = Math.min(end, writer.position + 1 + random.below(90_000));
          await writer.push(disk.subarray(writer.position, cut));
        }
        await writer.flush();
      }),
    );
    await file.truncate(disk.length);
    await file.publish();
    expect((await readFile(file.path)).equals(disk)).toBe(true);
  });
});

/** Bytes of the blocks that hold something, and one page for each run of them that ends within a page. */
function dataBlocks(disk: Buffer): number {
  let bytes = 0;
  for (let offset = 0; offset < disk.length; offset += HOLE_LENGTH) {
    if (disk.subarray(offset, offset + HOLE_LENGTH).some((byte) => byte !== 0))
      bytes += HOLE_LENGTH;
  }
  return bytes;
}
