import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ENTRY_BYTES, encodeEntry, HaveLog } from '../src/have-log.ts';
import { MemoryDisk } from './memory-disk.ts';

const IMAGE = { infoHash: Buffer.alloc(32, 7), pieceCount: 100 };

async function openLog(disk: MemoryDisk, image = IMAGE): Promise<HaveLog> {
  const files = [
    await disk.open('log.0', 'read-write'),
    await disk.open('log.1', 'read-write'),
  ] as const;
  return new HaveLog(files, image);
}

describe('HaveLog', () => {
  test('gives back the pieces of both generations that may be under way', async () => {
    const disk = new MemoryDisk();
    const log = await openLog(disk);
    await log.append(4, [10, 11]);
    await log.append(5, [12]);
    expect(await (await openLog(disk)).load(3)).toEqual({
      pieceIndexes: [10, 11, 12],
      generationMax: 5,
    });
  });

  test('leaves out what a commit made durable before it could empty the log', async () => {
    const disk = new MemoryDisk();
    const log = await openLog(disk);
    await log.append(4, [10, 11]);
    await log.append(5, [12]);
    expect(await (await openLog(disk)).load(4)).toEqual({ pieceIndexes: [12], generationMax: 5 });
  });

  test('empties only the file of the committed generation', async () => {
    const disk = new MemoryDisk();
    const log = await openLog(disk);
    await log.append(4, [10]);
    await log.append(5, [12]);
    await log.empty(4);
    expect(disk.cached('log.0').length).toBe(0);
    expect((await (await openLog(disk)).load(0)).pieceIndexes).toEqual([12]);
  });

  test('appends after what a killed process left', async () => {
    const disk = new MemoryDisk();
    await (await openLog(disk)).append(4, [10]);
    disk.tamper('log.0', Buffer.concat([disk.cached('log.0'), Buffer.alloc(7, 1)]));
    const second = await openLog(disk);
    await second.load(0);
    await second.append(6, [20]);
    expect((await (await openLog(disk)).load(0)).pieceIndexes).toEqual([10, 20]);
  });

  test('an entry has the documented bytes', () => {
    const entry = Buffer.from(encodeEntry(IMAGE.infoHash, 258, 3));
    expect(entry.toString('hex', 0, 12)).toBe('00000102' + '0000000000000003');
    expect(entry.length).toBe(ENTRY_BYTES);
  });

  test('ignores an entry with any bit flipped, and keeps the others', async () => {
    const disk = new MemoryDisk();
    await (await openLog(disk)).append(4, [10, 11, 12]);
    const bytes = Buffer.from(disk.cached('log.0'));
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const flipped = Buffer.from(bytes);
      flipped[bit >>> 3] ^= 1 << (bit & 7);
      disk.tamper('log.0', flipped);
      const expected = [10, 11, 12];
      expected.splice(Math.floor(bit / 8 / ENTRY_BYTES), 1);
      const { pieceIndexes } = await (await openLog(disk)).load(0);
      expect(pieceIndexes, `bit ${bit}`).toEqual(expected);
    }
  });

  test('ignores entries of another image and of pieces beyond the end', async () => {
    const disk = new MemoryDisk();
    await (await openLog(disk, { ...IMAGE, infoHash: Buffer.alloc(32, 8) })).append(4, [1]);
    await (await openLog(disk)).append(5, [100]);
    expect(await (await openLog(disk)).load(0)).toEqual({ pieceIndexes: [], generationMax: 0 });
  });

  test('claims nothing on arbitrary bytes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
        const disk = new MemoryDisk();
        disk.tamper('log.0', Buffer.from(bytes));
        expect((await (await openLog(disk)).load(0)).pieceIndexes).toEqual([]);
      }),
    );
  });

  test('goes on after an emptying that failed', async () => {
    const disk = new MemoryDisk();
    const log = await openLog(disk);
    await log.append(4, [10]);
    disk.faults = [{ at: disk.operations + 1, kind: 'EIO', count: 1 }];
    await log.empty(4);
    await log.append(6, [11]);
    expect((await (await openLog(disk)).load(4)).pieceIndexes).toEqual([11]);
  });
});
