import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeBootRecord } from '../../src/demo/boot-record.ts';
import { type CpioEntry, encodeCpio } from '../../src/demo/cpio-archive.ts';
import { contentOf, serviceFiles, servicesSha256, shareFiles } from '../../src/demo/guest-files.ts';
import { INITRAMFS_INIT, MODULES } from '../../src/demo/guest-scripts.ts';

interface Record {
  readonly path: string;
  readonly mode: number;
  readonly content: Buffer;
}

/** Reads `newc` as the kernel does: fields by position, each part padded to 4 bytes. */
function decodeCpio(archive: Buffer): Record[] {
  const records: Record[] = [];
  let at = 0;
  while (at < archive.length) {
    expect(archive.toString('latin1', at, at + 6)).toBe('070701');
    const field = (index: number) =>
      Number.parseInt(archive.toString('latin1', at + 6 + index * 8, at + 14 + index * 8), 16);
    const [mode, length, nameLength] = [field(1), field(6), field(11)];
    const path = archive.toString('latin1', at + 110, at + 110 + nameLength - 1);
    expect(archive[at + 110 + nameLength - 1]).toBe(0);
    const contentAt = align4(at + 110 + nameLength);
    records.push({ path, mode, content: archive.subarray(contentAt, contentAt + length) });
    at = align4(contentAt + length);
  }
  return records;
}

function align4(offset: number): number {
  return (offset + 3) & ~3;
}

test('encodes a cpio archive that reads back, and ends it with a trailer', () => {
  const path = fc.stringMatching(/^[a-z/.]{1,20}$/);
  const file = fc.record({
    ...{ type: fc.constant('file' as const), path, isExecutable: fc.boolean() },
    content: fc.uint8Array({ maxLength: 30 }),
  });
  const directory = fc.record({ type: fc.constant('directory' as const), path });
  fc.assert(
    fc.property(fc.array(fc.oneof(file, directory)), (entries: CpioEntry[]) => {
      const records = decodeCpio(encodeCpio(entries));
      expect(records.pop()).toMatchObject({ path: 'TRAILER!!!', mode: 0 });
      expect(records.map((record) => record.path)).toEqual(entries.map((entry) => entry.path));
      for (const [index, entry] of entries.entries()) {
        const content = entry.type === 'file' ? [...entry.content] : [];
        expect([...records[index].content]).toEqual(content);
      }
    }),
  );
});

test('encodes a program as an executable file of root', () => {
  const entry: CpioEntry = {
    ...{ type: 'file', path: 'init', isExecutable: true, content: Buffer.from('#!') },
  };
  expect(encodeCpio([entry]).toString('latin1', 0, 120)).toBe(
    `070701${'00000001'}${'000081ed'}${'0'.repeat(16)}${'00000001'}${'0'.repeat(8)}00000002` +
      `${'0'.repeat(32)}${'00000005'}${'0'.repeat(8)}init\0\0#!\0\0`,
  );
});

test('lays out one bootable Linux partition that ends with the disk', () => {
  const bootCode = Buffer.alloc(512, 0xcc);
  const coreImage = Buffer.alloc(700, 0xdd);
  const record = encodeBootRecord(bootCode, coreImage, 512 * 2 ** 20);
  expect(record).toHaveLength(512 + 700);
  expect(record.subarray(0, 440).every((byte) => byte === 0xcc)).toBe(true);
  expect(record.subarray(440, 446)).toEqual(Buffer.alloc(6));
  expect(record.toString('hex', 446, 462)).toBe('80feffff83feffff0008000000f80f00');
  expect(record.subarray(462, 510)).toEqual(Buffer.alloc(48));
  expect(record.toString('hex', 510, 514)).toBe('55aadddd');
});

test('refuses a core image that would run into the partition', () => {
  const gap = 2047 * 512;
  expect(() => encodeBootRecord(Buffer.alloc(512), Buffer.alloc(gap), 2 ** 29)).not.toThrow();
  expect(() => encodeBootRecord(Buffer.alloc(512), Buffer.alloc(gap + 1), 2 ** 29)).toThrow();
});

test('has the guest read 30 to 45 MB of about 200 MB', () => {
  const total = (files: readonly { length: number }[]) =>
    files.reduce((sum, { length }) => sum + length, 0) / 1e6;
  expect(total(serviceFiles())).toBeGreaterThan(30);
  expect(total(serviceFiles())).toBeLessThan(45);
  expect(total([...serviceFiles(), ...shareFiles()])).toBeGreaterThan(180);
});

test('expects the sum that a shell finds when it reads the services in name order', () => {
  const paths = serviceFiles().map((file) => file.path);
  expect(paths).toEqual(paths.toSorted());
  expect(new Set(paths).size).toBe(paths.length);
  const hash = createHash('sha256');
  for (const file of serviceFiles()) hash.update(contentOf(file));
  expect(servicesSha256()).toBe(hash.digest('hex'));
});

test('makes the same content on every machine, and another for every file', () => {
  const sum = (path: string) =>
    createHash('sha256')
      .update(contentOf({ path, length: 100_000 }))
      .digest('hex');
  expect(sum('a')).toBe('f5a8a5f453847e0c504b8b6555faf7855fce01520f99a818c918f3a6211dfb7a');
  expect(sum('b')).not.toBe(sum('a'));
});

test('loads virtio_ring before what needs it', () => {
  const names = MODULES.map((path) => path.split('/').at(-1));
  expect(INITRAMFS_INIT).toContain(`for module in ${names.join(' ')}; do`);
  expect(names.indexOf('virtio_ring')).toBeLessThan(names.indexOf('virtio'));
});
