import { createHash } from 'node:crypto';
import { Bitfield } from '@bootswarm/stdx';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import './bitfield-equality.ts';
import { CommitSlots, decodeSlot, encodeSlot, slotBytes } from '../src/commit-slots.ts';
import { MemoryDisk } from './memory-disk.ts';

const IMAGE = { infoHash: Buffer.alloc(32, 7), pieceCount: 21, pieceLength: 65536 };

function bitsWith(...indexes: number[]): Bitfield {
  const bits = new Bitfield(IMAGE.pieceCount);
  for (const index of indexes) bits.set(index);
  return bits;
}

async function openSlots(disk: MemoryDisk, image = IMAGE) {
  const slots = new CommitSlots(await disk.open('have.bits', 'read-write'), image);
  return { slots, loaded: await slots.load() };
}

async function diskWith(...commits: Bitfield[]): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  const { slots } = await openSlots(disk);
  for (const [index, bits] of commits.entries()) await slots.write(bits, index + 1);
  return disk;
}

describe('a slot', () => {
  test('has the documented bytes', () => {
    const bytes = Buffer.from(encodeSlot(IMAGE, 258, bitsWith(0, 20)));
    expect(bytes.length).toBe(4096);
    expect(bytes.toString('latin1', 0, 8)).toBe('bsw-have');
    expect(bytes.toString('hex', 8, 32)).toBe(
      '00000001' + '00000015' + '00010000' + '00000000' + '0000000000000102',
    );
    expect(bytes.subarray(32, 64)).toEqual(IMAGE.infoHash);
    expect(bytes.toString('hex', 128, 131)).toBe('800008');
    const sha256 = (part: Buffer) => createHash('sha256').update(part).digest();
    expect(bytes.subarray(64, 96)).toEqual(sha256(bytes.subarray(128, 131)));
    expect(bytes.subarray(96, 128)).toEqual(sha256(bytes.subarray(0, 96)));
  });

  test('gives back what was put in, for any size', () => {
    const arbitrary = fc
      .tuple(fc.integer({ min: 1, max: 70_000 }), fc.integer({ min: 1, max: 2 ** 52 }))
      .chain(([pieceCount, generation]) =>
        fc.record({
          pieceCount: fc.constant(pieceCount),
          generation: fc.constant(generation),
          indexes: fc.array(fc.integer({ min: 0, max: pieceCount - 1 }), { maxLength: 50 }),
        }),
      );
    fc.assert(
      fc.property(arbitrary, ({ pieceCount, generation, indexes }) => {
        const bits = new Bitfield(pieceCount);
        for (const index of indexes) bits.set(index);
        const image = { ...IMAGE, pieceCount };
        const bytes = encodeSlot(image, generation, bits);
        expect(bytes.length).toBe(slotBytes(pieceCount));
        expect(decodeSlot(image, bytes)).toEqual({ type: 'claims', generation, bits });
      }),
      { numRuns: 50 },
    );
  });

  test('is damaged when any bit of header or bits is flipped', () => {
    const bytes = encodeSlot(IMAGE, 3, bitsWith(1, 2, 3));
    for (let bit = 0; bit < (128 + 3) * 8; bit += 1) {
      const flipped = bytes.slice();
      flipped[bit >>> 3] ^= 1 << (bit & 7);
      expect(decodeSlot(IMAGE, flipped), `bit ${bit}`).toEqual({ type: 'damaged' });
    }
  });

  test('is damaged when cut short anywhere, and empty when it is all zeros', () => {
    const bytes = encodeSlot(IMAGE, 3, bitsWith(1));
    for (let length = 1; length < 128 + 3; length += 1) {
      expect(decodeSlot(IMAGE, bytes.subarray(0, length)).type).toBe('damaged');
    }
    expect(decodeSlot(IMAGE, new Uint8Array(4096)).type).toBe('empty');
    expect(decodeSlot(IMAGE, new Uint8Array(0)).type).toBe('empty');
  });

  test('never throws, and claims nothing, on arbitrary bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(['empty', 'damaged']).toContain(decodeSlot(IMAGE, bytes).type);
      }),
    );
  });
});

describe('CommitSlots', () => {
  test('believes the highest generation', async () => {
    const disk = await diskWith(bitsWith(1), bitsWith(1, 2), bitsWith(1, 2, 3));
    const { slots, loaded } = await openSlots(disk);
    expect(loaded).toEqual({ bits: bitsWith(1, 2, 3) });
    expect(slots.generation).toBe(3);
  });

  test('falls back to the other slot when the newest is damaged, and then writes over the damaged one', async () => {
    const disk = await diskWith(bitsWith(1), bitsWith(1, 2));
    disk.cached('have.bits')[4096 + 128] ^= 1;
    const { slots, loaded } = await openSlots(disk);
    expect(loaded).toEqual({ bits: bitsWith(1) });
    await slots.write(bitsWith(5), 2);
    const bytes = disk.cached('have.bits');
    expect(decodeSlot(IMAGE, bytes.subarray(0, 4096))).toMatchObject({ generation: 1 });
    expect(decodeSlot(IMAGE, bytes.subarray(4096))).toMatchObject({ generation: 2 });
  });

  test('never writes over the newest durable slot, also after failed writes', async () => {
    const disk = await diskWith(bitsWith(1));
    const { slots } = await openSlots(disk);
    for (let generation = 2; generation < 6; generation += 1) {
      disk.faults = [{ at: disk.operations + 1, kind: 'EIO', count: 1 }];
      await expect(slots.write(bitsWith(2), generation)).rejects.toThrow('EIO');
      expect(slots.generation).toBe(1);
      expect(decodeSlot(IMAGE, disk.cached('have.bits').subarray(0, 4096))).toMatchObject({
        generation: 1,
      });
    }
  });

  test('discards everything, with the reason, when both slots are damaged', async () => {
    const disk = await diskWith(bitsWith(1), bitsWith(2));
    disk.cached('have.bits')[0] ^= 1;
    disk.cached('have.bits')[4096] ^= 1;
    const { slots, loaded } = await openSlots(disk);
    expect(loaded).toEqual({ bits: bitsWith(), discarded: 'damaged' });
    expect(slots.generation).toBe(0);
    expect(disk.cached('have.bits').length).toBe(0);
  });

  test('discards everything when either slot belongs to another image', async () => {
    const disk = await diskWith(bitsWith(1), bitsWith(2));
    const other = { ...IMAGE, infoHash: Buffer.alloc(32, 8) };
    Buffer.from(encodeSlot(other, 1, bitsWith(3))).copy(disk.cached('have.bits'), 0);
    expect((await openSlots(disk)).loaded).toEqual({ bits: bitsWith(), discarded: 'other-image' });
    expect((await openSlots(disk)).loaded).toEqual({ bits: bitsWith() });
  });

  test('discards everything when either slot has a version it does not know', async () => {
    const disk = await diskWith(bitsWith(1), bitsWith(2));
    const newer = disk.cached('have.bits').subarray(0, 4096);
    newer.writeUInt32BE(2, 8);
    createHash('sha256').update(newer.subarray(0, 96)).digest().copy(newer, 96);
    expect((await openSlots(disk)).loaded).toEqual({
      bits: bitsWith(),
      discarded: 'unknown-version',
    });
  });

  test('flushes what it believes: a killed writer may have left it in the page cache only', async () => {
    const disk = await diskWith(bitsWith(1));
    const grown = Buffer.concat([disk.cached('have.bits'), encodeSlot(IMAGE, 2, bitsWith(1, 2))]);
    disk.contents.get('have.bits')!.cached = grown;
    await disk.syncDirectory();
    expect((await openSlots(disk)).loaded).toEqual({ bits: bitsWith(1, 2) });
    const { loaded } = await openSlots(disk.afterPowerCut());
    expect(loaded).toEqual({ bits: bitsWith(1, 2) });
  });

  test('believes nothing that it cannot flush', async () => {
    const disk = await diskWith(bitsWith(1));
    disk.faults = [{ at: disk.operations + 3, kind: 'EIO', count: 1 }];
    expect((await openSlots(disk)).loaded).toEqual({ bits: bitsWith(), discarded: 'damaged' });
  });

  test('reserves the space of both slots without touching what is there', async () => {
    const disk = await diskWith(bitsWith(4));
    const { slots } = await openSlots(disk);
    await slots.reserve();
    expect(disk.cached('have.bits').length).toBe(8192);
    expect((await openSlots(disk)).loaded).toEqual({ bits: bitsWith(4) });
  });

  test('starts empty, discarding nothing, on a new file', async () => {
    expect((await openSlots(new MemoryDisk())).loaded).toEqual({ bits: bitsWith() });
  });
});
