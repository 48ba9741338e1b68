import { OperatorError } from '@bootswarm/stdx';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseQcow2Header } from '../src/qcow2-header.ts';
import { type HeaderFields, qcow2Head, VALID_FILE_LENGTH } from './qcow2-bytes.ts';

const LENGTH_MAX = 2 ** 44;

function parse(fields: Partial<HeaderFields>, fileLength = VALID_FILE_LENGTH) {
  return parseQcow2Header('disk.qcow2', qcow2Head(fields), fileLength, LENGTH_MAX);
}

function codeOf(action: () => unknown): string {
  try {
    action();
    return 'accepted';
  } catch (error) {
    if (error instanceof OperatorError) return error.code;
    throw error;
  }
}

describe('a qcow2 header', () => {
  test('tells the size of the disk inside', () => {
    expect(parse({})).toEqual({ version: 3, virtualSize: 64 * 1024 ** 2, clusterSize: 65_536 });
    expect(parse({ version: 2 })).toMatchObject({ version: 2, virtualSize: 64 * 1024 ** 2 });
  });

  test.each<[string, Partial<HeaderFields>]>([
    ['zstd compression', { incompatibleFeatures: 8n, compressionType: 1 }],
    ['subclusters', { incompatibleFeatures: 16n }],
    ['a dirty bit, which `qemu-img check` judges', { incompatibleFeatures: 1n }],
    ['a table of feature names', { extensions: [{ type: 0x6803f857, body: Buffer.alloc(384) }] }],
    ['an unknown extension', { extensions: [{ type: 0x12345678, body: Buffer.alloc(5) }] }],
    ['the smallest disk', { virtualSize: 512n }],
    ['internal snapshots', { snapshotCount: 2, snapshotsOffset: 0x2_0000n }],
    ['the short v3 header', { headerLength: 104 }],
  ])('is accepted with %s', (_, fields) => {
    expect(codeOf(() => parse(fields))).toBe('accepted');
  });

  test.each<[string, string, Partial<HeaderFields>]>([
    ['qcow2-backing-file', 'a backing file', { backingFileOffset: 0x200n, backingFileSize: 11 }],
    ['qcow2-backing-file', 'a backing file of no name', { backingFileOffset: 0x200n }],
    ['qcow2-backing-file', 'a backing file at offset 0', { backingFileSize: 1023 }],
    ['qcow2-backing-file', 'a v2 backing file', { version: 2, backingFileOffset: 1n }],
    ['qcow2-data-file', 'the data file feature', { incompatibleFeatures: 4n }],
    [
      'qcow2-data-file',
      'a data file extension alone',
      { extensions: [{ type: 0x44415441, body: Buffer.from('/etc/shadow') }] },
    ],
    [
      'qcow2-data-file',
      'a data file extension behind another in a v2 header',
      {
        version: 2,
        extensions: [
          { type: 0x6803f857, body: Buffer.alloc(48) },
          { type: 0x44415441, body: Buffer.from('json:{}') },
        ],
      },
    ],
    ['qcow2-encrypted', 'AES', { cryptMethod: 1 }],
    ['qcow2-encrypted', 'LUKS', { cryptMethod: 2 }],
    [
      'qcow2-encrypted',
      'a LUKS header extension alone',
      { extensions: [{ type: 0x0537be77, body: Buffer.alloc(16) }] },
    ],
    ['qcow2-corrupt', 'the corrupt bit', { incompatibleFeatures: 2n }],
    ['qcow2-feature-unknown', 'feature bit 5', { incompatibleFeatures: 32n }],
    ['qcow2-feature-unknown', 'feature bit 63', { incompatibleFeatures: 1n << 63n }],
    ['qcow2-version-unsupported', 'version 0', { version: 0 }],
    ['qcow2-version-unsupported', 'version 4', { version: 4 }],
    ['qcow2-damaged', 'clusters of 256 bytes', { clusterBits: 8 }],
    ['qcow2-damaged', 'clusters of 4 MiB', { clusterBits: 22 }],
    ['qcow2-damaged', 'clusters of 2^31 bytes', { clusterBits: 31 }],
    ['qcow2-damaged', 'subclusters of 256 bytes', { incompatibleFeatures: 16n, clusterBits: 13 }],
    ['qcow2-damaged', 'refcounts of 128 bits', { refcountOrder: 7 }],
    ['qcow2-damaged', 'compression without its feature', { compressionType: 1 }],
    ['qcow2-damaged', 'unknown compression', { incompatibleFeatures: 8n, compressionType: 2 }],
    ['qcow2-damaged', 'an L1 table too small for the disk', { l1Size: 0 }],
    ['qcow2-damaged', 'an L1 table of 2^32 - 1 entries', { l1Size: 0xffff_ffff }],
    ['qcow2-damaged', 'an L1 table behind the end', { l1TableOffset: 0x4_0000n }],
    ['qcow2-damaged', 'an L1 table that wraps around', { l1TableOffset: 0xffff_ffff_ffff_0000n }],
    ['qcow2-damaged', 'an L1 table off its cluster', { l1TableOffset: 0x3_0008n }],
    ['qcow2-damaged', 'an L1 table in the header', { l1TableOffset: 0n }],
    ['qcow2-damaged', 'no refcount table', { refcountTableClusters: 0 }],
    ['qcow2-damaged', 'a huge refcount table', { refcountTableClusters: 0xffff_ffff }],
    ['qcow2-damaged', 'a refcount table behind the end', { refcountTableOffset: 0x4_0000n }],
    ['qcow2-damaged', '2^32 - 1 snapshots', { snapshotCount: 0xffff_ffff }],
    ['qcow2-damaged', 'snapshots behind the end', { snapshotCount: 1, snapshotsOffset: 0x4_0000n }],
    ['qcow2-damaged', 'a header of 103 bytes', { headerLength: 103 }],
    ['qcow2-damaged', 'a header longer than the file', { headerLength: 0xffff_fff8 }],
    [
      'qcow2-damaged',
      'an extension longer than its cluster',
      { clusterBits: 9, l1Size: 4096, extensions: [{ type: 1, body: Buffer.alloc(4096) }] },
    ],
    ['image-empty', 'a disk of no bytes', { virtualSize: 0n }],
    ['image-size-invalid', 'a disk of half a sector', { virtualSize: 256n }],
    ['image-too-large', 'a disk over the limit', { virtualSize: 2n ** 44n + 512n }],
    ['image-too-large', 'a disk of 2^63 bytes', { virtualSize: 2n ** 63n }],
  ])('is refused as %s with %s', (code, _, fields) => {
    expect(codeOf(() => parse(fields))).toBe(code);
  });

  test('is refused when the file ends anywhere before its tables do', () => {
    const head = qcow2Head();
    for (let length = 0; length < VALID_FILE_LENGTH - 65_536 + 8; length += 1000) {
      const code = codeOf(() =>
        parseQcow2Header('disk.qcow2', head.subarray(0, length), length, LENGTH_MAX),
      );
      expect(code).toBe('qcow2-damaged');
    }
  });

  test('is refused when its extensions never end', () => {
    const head = qcow2Head({ clusterBits: 21, l1TableOffset: 0x60_0000n });
    head.fill(1, 112);
    head.writeUInt32BE(0, 116);
    for (let offset = 112; offset < head.length; offset += 8) head.writeUInt32BE(0, offset + 4);
    const parseIt = () => parseQcow2Header('disk.qcow2', head, 2 ** 30, LENGTH_MAX);
    expect(codeOf(parseIt)).toBe('qcow2-damaged');
  });

  test('made of random bytes is refused with an OperatorError', () => {
    const bytes = fc.uint8Array({ maxLength: 512 });
    fc.assert(
      fc.property(bytes, fc.nat(2 ** 31 - 1), (tail, fileLength) => {
        const head = Buffer.concat([Buffer.from('QFI\xfb', 'latin1'), tail]);
        codeOf(() => parseQcow2Header('disk.qcow2', head, fileLength, LENGTH_MAX));
      }),
      { numRuns: 2000 },
    );
  });

  test('with any bytes changed never leads outside the file and its limits', () => {
    const change = fc.record({ offset: fc.nat(1023), value: fc.nat(255) });
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 6 }), (changes) => {
        const head = qcow2Head({ extensions: [{ type: 0x6803f857, body: Buffer.alloc(384) }] });
        for (const { offset, value } of changes) head[offset] = value;
        const parsed = { header: undefined as unknown as ReturnType<typeof parseQcow2Header> };
        const code = codeOf(() => {
          parsed.header = parseQcow2Header('disk.qcow2', head, VALID_FILE_LENGTH, LENGTH_MAX);
        });
        if (code !== 'accepted') return;
        expect(parsed.header.virtualSize % 512).toBe(0);
        expect(parsed.header.virtualSize).toBeGreaterThan(0);
        expect(parsed.header.virtualSize).toBeLessThanOrEqual(LENGTH_MAX);
        // What would lead to another file is still as it was: zero.
        expect(head.readBigUInt64BE(8)).toBe(0n);
        expect(head.readUInt32BE(32)).toBe(0);
      }),
      { numRuns: 5000 },
    );
  });
});
