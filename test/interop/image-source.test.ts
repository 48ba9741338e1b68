import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { FetchProgress } from '@bootswarm/image-source';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { DISK_LENGTH, ImageScratch, MIB, qemuImg } from './image-scratch.ts';

let scratch: ImageScratch;
beforeAll(() => {
  scratch = new ImageScratch();
});
afterEach(() => scratch.clear());
afterAll(() => scratch.remove());

describe('a qcow2 image becomes the disk inside it', () => {
  test.each([
    ['as qemu-img makes it', []],
    ['version 2', ['-o', 'compat=0.10']],
    ['compressed with zlib', ['-c']],
    ['compressed with zstd', ['-c', '-o', 'compression_type=zstd']],
    ['in clusters of 512 bytes', ['-o', 'cluster_size=512']],
    ['in clusters of 2 MiB', ['-o', 'cluster_size=2M']],
    ['in subclusters', ['-o', 'extended_l2=on,cluster_size=128k']],
    ['with refcounts of 1 bit', ['-o', 'refcount_bits=1']],
    ['with refcounts of 64 bits', ['-o', 'refcount_bits=64']],
    ['with lazy refcounts', ['-o', 'lazy_refcounts=on']],
    ['with its metadata preallocated', ['-o', 'preallocation=metadata']],
  ])('%s', async (_, options) => {
    qemuImg(
      'convert',
      '-f',
      'raw',
      '-O',
      'qcow2',
      ...options,
      scratch.disk,
      scratch.file('disk.qcow2'),
    );
    const progress: FetchProgress[] = [];
    const image = await scratch.fetch(scratch.file('disk.qcow2'), {
      onProgress: (event) => progress.push(event),
    });
    expect(image).toMatchObject({ length: DISK_LENGTH, isInPlace: false, sourceFormat: 'qcow2' });
    expect(image.rawPath).toBe(join(scratch.out, 'flat.raw'));
    expect(readFileSync(image.rawPath).equals(readFileSync(scratch.disk))).toBe(true);
    // 4 MiB of data and a few blocks around their ends.
    expect(statSync(image.rawPath).blocks * 512).toBeLessThan(5 * MIB);
    const extentBytes = image.extents.reduce((sum, extent) => sum + extent.length, 0);
    expect(extentBytes).toBeLessThan(5 * MIB);
    expect(progress.at(-1)).toEqual({
      stage: 'flatten',
      bytesDone: DISK_LENGTH,
      bytesTotal: DISK_LENGTH,
    });
    expect(readdirSync(scratch.out)).toEqual(['flat.raw']);
  });

  test('with an internal snapshot, as it is and not as it was', async () => {
    qemuImg('convert', '-f', 'raw', '-O', 'qcow2', scratch.disk, scratch.file('disk.qcow2'));
    qemuImg('snapshot', '-c', 'before', scratch.file('disk.qcow2'));
    execFileSync('qemu-io', [
      '-f',
      'qcow2',
      '-c',
      'write -P 7 20M 64k',
      scratch.file('disk.qcow2'),
    ]);
    const { rawPath } = await scratch.fetch(scratch.file('disk.qcow2'));
    const flat = readFileSync(rawPath);
    expect(flat.subarray(20 * MIB, 20 * MIB + 65_536).every((byte) => byte === 7)).toBe(true);
  });

  test('of 4 TiB of holes, in no time and no space', async () => {
    qemuImg('create', '-f', 'qcow2', scratch.file('huge.qcow2'), '4T');
    const image = await scratch.fetch(scratch.file('huge.qcow2'));
    expect(image.length).toBe(4 * 1024 ** 4);
    // QEMU writes the first block of a file, to learn its alignment from it.
    expect(image.extents).toEqual([{ offset: 0, length: 4096 }]);
    expect(statSync(image.rawPath).blocks).toBe(8);
  });
});

describe('a source', () => {
  test('that a VM has open for writing is refused', async () => {
    const file = scratch.file('running.qcow2');
    qemuImg('convert', '-f', 'raw', '-O', 'qcow2', scratch.disk, file);
    const vm = await openForWriting(file);
    expect(await scratch.failureOf(file)).toBe('source-in-use');
    await close(vm);
    expect((await scratch.fetch(file)).length).toBe(DISK_LENGTH);
  });

  test('that is a FIFO is refused without waiting for a writer', async () => {
    execFileSync('mkfifo', [scratch.file('fifo')]);
    expect(await scratch.failureOf(scratch.file('fifo'))).toBe('source-not-a-file');
  });

  test.runIf(process.getuid?.() === 0)('may be a block device', async () => {
    const device = execFileSync('losetup', ['--find', '--show', '--read-only', scratch.disk], {
      encoding: 'utf8',
    }).trim();
    try {
      const image = await scratch.fetch(device);
      expect(image.length).toBe(DISK_LENGTH);
      expect(readFileSync(image.rawPath).equals(readFileSync(scratch.disk))).toBe(true);
      expect(statSync(image.rawPath).blocks * 512).toBeLessThan(5 * MIB);
    } finally {
      execFileSync('losetup', ['--detach', device]);
    }
  });

  test('that is a sparse raw file is copied as one', async () => {
    const { extents, rawPath, length } = await scratch.fetch(scratch.disk);
    expect(length).toBe(DISK_LENGTH);
    expect(readFileSync(rawPath).equals(readFileSync(scratch.disk))).toBe(true);
    // The 2 MiB of zeros at 8 MiB were data in the source and are a hole in the copy.
    expect(extents.every(({ offset }) => offset < 8 * MIB || offset >= 15 * MIB)).toBe(true);
    expect(extents.length).toBeGreaterThanOrEqual(3);
  });

  test('that is qcow2 on a web server is downloaded and flattened', async () => {
    qemuImg('convert', '-f', 'raw', '-O', 'qcow2', scratch.disk, scratch.file('web.qcow2'));
    const body = readFileSync(scratch.file('web.qcow2'));
    const server = createServer((_, response) => response.end(body));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const stages = new Set<string>();
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/web.qcow2`;
    const image = await scratch.fetch(url, { onProgress: ({ stage }) => stages.add(stage) });
    expect([...stages]).toEqual(['fetch', 'flatten']);
    expect(readFileSync(image.rawPath).equals(readFileSync(scratch.disk))).toBe(true);
    expect(readdirSync(scratch.out)).toEqual(['flat.raw']);
    server.close();
  });

  test('that changes while it is flattened is refused', async () => {
    qemuImg('convert', '-f', 'raw', '-O', 'qcow2', scratch.disk, scratch.file('changing.qcow2'));
    let isChanged = false;
    const onProgress = () => {
      if (!isChanged) appendFileSync(scratch.file('changing.qcow2'), 'x');
      isChanged = true;
    };
    expect(await scratch.failureOf(scratch.file('changing.qcow2'), { onProgress })).toBe(
      'source-changed',
    );
  });

  test('that is being flattened leaves nothing when the fetch is aborted', async () => {
    qemuImg('convert', '-f', 'raw', '-O', 'qcow2', scratch.disk, scratch.file('aborted.qcow2'));
    const abort = new AbortController();
    const reason = new Error('enough');
    const fetching = scratch.fetch(scratch.file('aborted.qcow2'), {
      signal: abort.signal,
      onProgress: () => abort.abort(reason),
    });
    await expect(fetching).rejects.toBe(reason);
    expect(readdirSync(scratch.out)).toEqual([]);
  });
});

describe.runIf(process.getuid?.() === 0)('a full disk', () => {
  let small = '';
  beforeAll(() => {
    small = scratch.file('small');
    mkdirSync(small);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', small]);
  });
  afterAll(() => {
    execFileSync('umount', [small]);
  });

  test('ends a copy, a download and a conversion with its own code, and nothing is left', async () => {
    expect(await scratch.failureOf(scratch.disk, { directory: small })).toBe('disk-full');
    qemuImg('convert', '-f', 'raw', '-O', 'qcow2', scratch.disk, scratch.file('full.qcow2'));
    expect(await scratch.failureOf(scratch.file('full.qcow2'), { directory: small })).toBe(
      'disk-full',
    );
    const body = readFileSync(scratch.disk);
    const server = createServer((_, response) => response.end(body));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/disk`;
    expect(await scratch.failureOf(url, { directory: small })).toBe('disk-full');
    server.close();
  });
});

/** qemu-io with the image open, as a running VM has it; resolves once it is. */
async function openForWriting(file: string): Promise<ChildProcess> {
  const io = spawn('qemu-io', ['-f', 'qcow2', file], { stdio: ['pipe', 'pipe', 'inherit'] });
  io.stdin?.write('read 0 512\n');
  await once(io.stdout as NonNullable<typeof io.stdout>, 'data');
  while (
    (await promisify(execFile)('qemu-img', ['info', file]).catch(() => undefined)) !== undefined
  );
  return io;
}

async function close(io: ChildProcess): Promise<void> {
  io.stdin?.end('quit\n');
  await once(io, 'exit');
}
