/** Volumes as originals, through real servers: read as raw unless told otherwise, and refused when they change meanwhile. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../cluster.ts';
import { DISK_LENGTH, ImageScratch } from './image-scratch.ts';

let scratch: ImageScratch;
let socket: string;
let qcow2: string;
let server: ChildProcess | undefined;

beforeAll(() => {
  scratch = new ImageScratch();
  socket = scratch.file('nbd.sock');
  qcow2 = scratch.file('disk.qcow2');
  execFileSync('qemu-img', ['convert', '-O', 'qcow2', scratch.disk, qcow2]);
});

afterAll(() => scratch.remove());

afterEach(async () => {
  rmSync(scratch.out, { recursive: true });
  mkdirSync(scratch.out);
  if (server?.exitCode !== null) return;
  const ended = once(server, 'exit');
  server.kill();
  await ended;
});

async function serve(...plugin: string[]): Promise<string> {
  rmSync(socket, { force: true });
  server = spawn('nbdkit', ['--foreground', '--unix', socket, ...plugin], { stdio: 'ignore' });
  await until('nbdkit listens', () => existsSync(socket));
  return `nbd+unix:///?socket=${socket}`;
}

describe('an NBD export', () => {
  test('is copied as it is, with holes for its zeros', async () => {
    const fetched = await scratch.fetch(await serve('file', scratch.disk));
    expect(fetched).toMatchObject({ length: DISK_LENGTH, sourceFormat: 'raw', isInPlace: false });
    expect(readFileSync(fetched.rawPath).equals(readFileSync(scratch.disk))).toBe(true);
  });

  test('that has a qcow2 image on it is flattened when the publisher says so', async () => {
    const uri = await serve('file', qcow2);
    const fetched = await scratch.fetch(uri, { format: 'qcow2' });
    expect(fetched).toMatchObject({ length: DISK_LENGTH, sourceFormat: 'qcow2' });
    expect(readFileSync(fetched.rawPath).equals(readFileSync(scratch.disk))).toBe(true);
  });

  test('and is refused when he does not: nothing is guessed', async () => {
    expect(await scratch.failureOf(await serve('file', qcow2))).toBe('format-mismatch');
  });

  test('that names a backing file gives nothing of it', async () => {
    const evil = scratch.file('evil.qcow2');
    const backed = ['-f', 'qcow2', '-u', '-F', 'raw', '-b', scratch.secret];
    execFileSync('qemu-img', ['create', ...backed, evil, '1M'], { stdio: 'ignore' });
    const uri = await serve('file', evil);
    expect(await scratch.failureOf(uri, { format: 'qcow2' })).toMatch(/^qcow2-/);
  });

  test('that gives other bytes the second time is refused', async () => {
    const other = 'dd if=/dev/urandom bs=$3 count=1 iflag=fullblock 2>/dev/null';
    const uri = await serve('eval', 'get_size=echo 1048576', `pread=${other}`);
    expect(await scratch.failureOf(uri)).toBe('source-changed');
  });

  test('that fails while it is read is refused', async () => {
    const failing = ['--filter=error', 'pattern', '4M', 'error-pread-rate=100%'];
    expect(await scratch.failureOf(await serve(...failing))).toBe('source-unavailable');
  });

  test('that is empty, or not there, is refused', async () => {
    expect(await scratch.failureOf(await serve('memory', '0'))).toBe('image-empty');
    const nowhere = `nbd+unix:///?socket=${scratch.file('nothing')}`;
    expect(await scratch.failureOf(nowhere)).toBe('source-unavailable');
  });
});

describe('a block device', () => {
  function attach(path: string): string {
    return execFileSync('losetup', ['--find', '--show', path], { encoding: 'utf8' }).trim();
  }

  test.each(['raw', 'qcow2'] as const)('with a %s image on it is copied', async (format) => {
    const padded = scratch.file('padded');
    // A device has whole sectors.
    const image = readFileSync(format === 'raw' ? scratch.disk : qcow2);
    writeFileSync(padded, Buffer.concat([image, Buffer.alloc((512 - (image.length % 512)) % 512)]));
    const device = attach(padded);
    try {
      const fetched = await scratch.fetch(device);
      expect(fetched).toMatchObject({ length: DISK_LENGTH, sourceFormat: format });
      expect(readFileSync(fetched.rawPath).equals(readFileSync(scratch.disk))).toBe(true);
    } finally {
      execFileSync('losetup', ['--detach', device]);
    }
  });

  test('that is written to while it is read is refused', async () => {
    const disk = scratch.file('written');
    writeFileSync(disk, readFileSync(scratch.disk));
    const device = attach(disk);
    try {
      let isWritten = false;
      const onProgress = ({ bytesDone }: { bytesDone: number }) => {
        if (isWritten || bytesDone < 4 * 1024 * 1024) return;
        isWritten = true;
        // Behind what was read, where only a second look sees it.
        writeFileSync(device, 'changed', { flag: 'r+' });
      };
      expect(await scratch.failureOf(device, { onProgress })).toBe('source-changed');
    } finally {
      execFileSync('losetup', ['--detach', device]);
    }
  });
});
