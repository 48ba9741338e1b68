import { execFileSync } from 'node:child_process';
import {
  closeSync,
  copyFileSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { OperatorError } from '@bootswarm/stdx';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { flattenQcow2 } from '../../packages/image-source/src/flatten.ts';
import { LocalFile } from '../../packages/image-source/src/local-file.ts';
import { SparseFile } from '../../packages/image-source/src/sparse-file.ts';
import { ImageScratch, MIB, qemuImg } from './image-scratch.ts';

let scratch: ImageScratch;
beforeAll(() => {
  scratch = new ImageScratch();
});
afterEach(() => scratch.clear());
afterAll(() => scratch.remove());

describe('an image that leads elsewhere is refused', () => {
  const make = (...args: string[]) => qemuImg('create', '-q', ...args);

  test('a backing file, however it is spelled', async () => {
    const file = scratch.file('backed.qcow2');
    make('-f', 'qcow2', '-F', 'raw', '-b', scratch.secret, file);
    expect(await scratch.failureOf(file)).toBe('qcow2-backing-file');
    for (const backing of [
      'secret',
      `json:${JSON.stringify({ driver: 'raw', file: { driver: 'file', filename: scratch.secret } })}`,
      'nbd+unix:///x?socket=/run/x.sock',
      'x'.repeat(1023),
    ]) {
      make('-u', '-f', 'qcow2', '-F', 'raw', '-b', backing, file, '1M');
      expect(await scratch.failureOf(file)).toBe('qcow2-backing-file');
    }
    make('-u', '-f', 'qcow2', '-o', 'compat=0.10', '-F', 'raw', '-b', scratch.secret, file, '1M');
    expect(await scratch.failureOf(file)).toBe('qcow2-backing-file');
  });

  test('an external data file', async () => {
    const data = scratch.file('data.raw');
    make(
      '-f',
      'qcow2',
      '-o',
      `data_file=${data},data_file_raw=on`,
      scratch.file('data.qcow2'),
      '1M',
    );
    expect(await scratch.failureOf(scratch.file('data.qcow2'))).toBe('qcow2-data-file');
  });

  test('an encrypted disk', async () => {
    const key = [
      '--object',
      'secret,id=k,data=abc',
      '-o',
      'encrypt.format=aes,encrypt.key-secret=k',
    ];
    make(...key, '-f', 'qcow2', scratch.file('aes.qcow2'), '1M');
    expect(await scratch.failureOf(scratch.file('aes.qcow2'))).toBe('qcow2-encrypted');
  });

  test.each([
    ['vmdk', ['-f', 'vmdk']],
    ['vmdk', ['-f', 'vmdk', '-o', 'subformat=monolithicFlat']],
    ['vmdk', ['-f', 'vmdk', '-o', 'subformat=streamOptimized']],
    ['vdi', ['-f', 'vdi']],
    ['vhdx', ['-f', 'vhdx']],
    ['vhd', ['-f', 'vpc']],
    ['qed', ['-f', 'qed']],
    ['qcow', ['-f', 'qcow']],
    ['parallels', ['-f', 'parallels']],
  ])('a real %s image (%j), whatever its label', async (format, options) => {
    const file = scratch.file(`foreign.${format}`);
    make(...options, file, '4M');
    expect(await scratch.failureOf(file)).toBe('format-unsupported');
    expect(await scratch.failureOf(file, { format: 'raw' })).toBe('format-mismatch');
    expect(await scratch.failureOf(file, { format: 'qcow2' })).toBe('format-mismatch');
  });

  test('an image inside an image', async () => {
    make('-f', 'qcow2', '-F', 'raw', '-b', scratch.secret, scratch.file('inner.qcow2'));
    qemuImg(
      'convert',
      '-f',
      'raw',
      '-O',
      'qcow2',
      scratch.file('inner.qcow2'),
      scratch.file('outer.qcow2'),
    );
    expect(await scratch.failureOf(scratch.file('outer.qcow2'))).toBe('image-nested');
  });

  test('a header that got its backing file after it was inspected', async () => {
    make('-f', 'qcow2', '-F', 'raw', '-b', scratch.secret, scratch.file('late.qcow2'));
    await using source = await LocalFile.open(scratch.file('late.qcow2'), 2 ** 40);
    const target = await SparseFile.create(join(scratch.out, 'late.raw'));
    const header = { version: 3, virtualSize: MIB, clusterSize: 65_536 } as const;
    await flattenQcow2('late.qcow2', source, header, target, {});
    expect((await target.head(MIB)).every((byte) => byte === 0)).toBe(true);
    await target.discard();
  });

  test('and a sound one opens no file but itself', async () => {
    qemuImg('convert', '-f', 'raw', '-O', 'qcow2', scratch.disk, scratch.file('alone.qcow2'));
    const log = scratch.file('strace.log');
    const program = `
      import { fetchImage } from ${JSON.stringify(import.meta.resolve('@bootswarm/image-source'))};
      await fetchImage(${JSON.stringify(scratch.file('alone.qcow2'))}, {
        directory: ${JSON.stringify(scratch.out)},
        name: 'alone',
      });`;
    const node = [process.execPath, '--input-type=module', '--eval', program];
    const options = ['-f', '-qq', '-y', '-e', 'trace=open,openat,openat2', '-o', log];
    execFileSync('strace', [...options, ...node], { stdio: 'pipe' });
    const opened = readFileSync(log, 'utf8').matchAll(/= \d+<([^>]*)>$/gm);
    const inScratch = new Set(
      [...opened].map(([, file]) => file ?? '').filter((file) => file.startsWith(scratch.path)),
    );
    const names = [...inScratch].map((file) => file.slice(scratch.path.length + 1)).toSorted();
    expect(names.map((name) => name.replace(/\.[0-9a-f]{12}\.partial$/, '.partial'))).toEqual([
      'alone.qcow2',
      'out',
      'out/.alone.raw.partial',
    ]);
  });
});

describe('a damaged qcow2 image is refused', () => {
  test('cut short anywhere, where QEMU itself would read zeros', async () => {
    const file = scratch.file('cut.qcow2');
    qemuImg('convert', '-f', 'raw', '-O', 'qcow2', scratch.disk, scratch.file('whole.qcow2'));
    const { size } = statSync(scratch.file('whole.qcow2'));
    const codes = new Set<string>();
    for (const part of [0.01, 0.1, 0.3, 0.5, 0.8, 0.95]) {
      copyFileSync(scratch.file('whole.qcow2'), file);
      truncateSync(file, Math.floor(size * part));
      codes.add(await scratch.failureOf(file));
    }
    expect([...codes]).toEqual(['qcow2-damaged']);
  });

  test('with an L1 entry that points nowhere', async () => {
    const file = scratch.file('l1.qcow2');
    qemuImg('convert', '-f', 'raw', '-O', 'qcow2', scratch.disk, file);
    const handle = openSync(file, 'r+');
    const header = readFileSync(file).subarray(0, 72);
    writeSync(handle, Buffer.alloc(8, 0xff), 0, 8, Number(header.readBigUInt64BE(40)));
    closeSync(handle);
    expect(await scratch.failureOf(file)).toBe('qcow2-damaged');
  });

  test('with compressed data that does not inflate', async () => {
    const file = scratch.file('inflate.qcow2');
    qemuImg('convert', '-f', 'raw', '-O', 'qcow2', '-c', scratch.secret, file);
    const bytes = readFileSync(file);
    bytes.fill(0xa5, 5 * 65_536);
    writeFileSync(file, bytes);
    expect(await scratch.failureOf(file)).toBe('flatten-failed');
  });

  test('or read within its bounds, with any bytes of a real one changed', async () => {
    const whole = scratch.file('fuzz-whole.qcow2');
    qemuImg('convert', '-f', 'raw', '-O', 'qcow2', '-o', 'cluster_size=4k', scratch.secret, whole);
    const bytes = readFileSync(whole);
    const change = fc.record({
      // Half of the changes in the header, half in the tables and the data behind it.
      offset: fc.oneof(fc.nat(600), fc.nat(bytes.length - 1)),
      value: fc.nat(255),
    });
    const property = fc.asyncProperty(
      fc.array(change, { minLength: 1, maxLength: 4 }),
      async (changes) => {
        const changed = Buffer.from(bytes);
        for (const { offset, value } of changes) changed[offset] = value;
        writeFileSync(scratch.file('fuzz.qcow2'), changed);
        const result = await scratch
          .fetch(scratch.file('fuzz.qcow2'))
          .catch((reason: unknown) => reason);
        if (result instanceof OperatorError) {
          expect(readdirSync(scratch.out)).toEqual([]);
          return;
        }
        expect(result).toMatchObject({ isInPlace: false });
        rmSync(join(scratch.out, 'flat.raw'));
      },
    );
    await fc.assert(property, { numRuns: 60 });
  });
});
