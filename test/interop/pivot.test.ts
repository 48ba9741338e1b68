import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, statSync, watch } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createOverlay,
  flattenOverlay,
  isOverlayInUse,
  type PivotOptions,
  pivotOverlay,
  qemuCommand,
  readBackingName,
  rebaseOverlay,
} from '@bootswarm/qemu';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { run } from '../cluster.ts';
import { RunningVm } from '../running-vm.ts';
import { makeTestImage } from '../test-image.ts';

const MIB = 1024 * 1024;
const LENGTH = 8 * MIB;

let scratch = '';
let original = '';
/** The local copy: what the agent's cache file becomes. */
let local = '';
let overlay = '';
let nbdkit: ChildProcess | undefined;
let vm: RunningVm | undefined;
const path = (name: string) => join(scratch, name);
const backing = {
  get socketPath() {
    return path('nbd.sock');
  },
  exportName: `${'a'.repeat(40)}@vm`,
};

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'pivot-'));
  [original, local, overlay] = ['original.raw', 'cache.raw', 'vm.qcow2'].map(path);
  makeTestImage(original, LENGTH);
  copyFileSync(original, local);
});
beforeEach(async () => {
  await createOverlay({ path: overlay, virtualSize: LENGTH + MIB, backing });
  // What the guest has written, before and after what it reads of the image; and zeros over data.
  await qemuIo('write -P 0x77 100k 10k', `write -P 0x78 ${LENGTH} 64k`, 'write -z 2M 128k');
});
afterEach(async () => {
  await vm?.kill();
  vm = undefined;
  await stopServing();
});
afterAll(() => rmSync(scratch, { recursive: true }));

async function serve(): Promise<void> {
  const listening = new Promise<void>((resolve) => {
    const watcher = watch(scratch, (_, name) => {
      if (name !== 'nbdkit.pid') return;
      watcher.close();
      resolve();
    });
  });
  const options = ['--foreground', '--readonly', '--unix', backing.socketPath];
  nbdkit = spawn('nbdkit', [...options, '--pidfile', path('nbdkit.pid'), 'file', original]);
  await listening;
}

async function stopServing(): Promise<void> {
  const server = nbdkit;
  nbdkit = undefined;
  if (server === undefined || server.exitCode !== null) return;
  server.kill('SIGKILL');
  await once(server, 'exit');
  rmSync(backing.socketPath, { force: true });
  rmSync(path('nbdkit.pid'), { force: true });
}

/** Writes offline, with the original served as the backing file. */
async function qemuIo(...commands: string[]): Promise<void> {
  await serve();
  for (const command of commands) {
    const { stdout } = await run('qemu-io', ['-f', 'qcow2', '-c', command, overlay]);
    expect(stdout).toContain('wrote');
  }
  await stopServing();
}

/** What the VM's disk is to read as. */
function diskMd5(): string {
  const disk = Buffer.alloc(LENGTH + MIB);
  readFileSync(original).copy(disk);
  disk.fill(0x77, 100 * 1024, 110 * 1024);
  disk.fill(0x78, LENGTH, LENGTH + 64 * 1024);
  disk.fill(0, 2 * MIB, 2 * MIB + 128 * 1024);
  return createHash('md5').update(disk).digest('hex');
}

async function boot(): Promise<RunningVm> {
  const command = qemuCommand({
    ...{ name: 'vm', overlayPath: overlay, accelerators: ['tcg'], memoryMiB: 64 },
    serial: { type: 'file', path: path('serial.log') },
    qmpSocketPath: path('qmp.sock'),
  });
  vm = await RunningVm.start(command, '-S');
  return vm;
}

function pivot(running: RunningVm, more: Partial<PivotOptions> = {}): Promise<void> {
  const options = { overlayPath: overlay, imagePath: local, ...more };
  return running.withQmp((qmp) => pivotOverlay(qmp, options));
}

async function backingFile() {
  const { stdout } = await run('qemu-img', ['info', '-U', '--output=json', overlay]);
  const info = JSON.parse(stdout) as Record<string, unknown>;
  return { name: info['backing-filename'], format: info['backing-filename-format'] };
}

describe('a running VM', () => {
  test('is moved to the local file: the server is not needed again, nor for the next start', async () => {
    await serve();
    const running = await boot();
    expect(await running.md5()).toBe(diskMd5());
    const takenBefore = statSync(overlay).blocks;
    await pivot(running);
    await stopServing();
    expect(await running.md5()).toBe(diskMd5());
    expect(await backingFile()).toEqual({ name: local, format: 'raw' });
    // Nothing of the image was copied into the overlay.
    expect(statSync(overlay).blocks - takenBefore).toBeLessThanOrEqual(2 * 128);
    await running.quit();
    expect((await run('qemu-img', ['check', overlay])).code).toBe(0);
    expect(await (await boot()).md5()).toBe(diskMd5());
  });

  test('may be moved again, and after an attempt that got no further than the file', async () => {
    await serve();
    const running = await boot();
    await running.withQmp(async (qmp) => {
      const file = { driver: 'file', filename: local };
      const add = { driver: 'raw', 'node-name': 'bootswarm-local', 'read-only': true, file };
      await qmp.execute({ execute: 'blockdev-add', arguments: add });
    });
    expect((await backingFile()).name).toContain('json:');
    await pivot(running);
    await pivot(running);
    await stopServing();
    expect(await running.md5()).toBe(diskMd5());
  });

  test('goes on as it was when the local file cannot be opened', async () => {
    await serve();
    const running = await boot();
    await expect(pivot(running, { imagePath: path('none.raw') })).rejects.toMatchObject({
      code: 'qmp-refused',
      message: expect.stringContaining('No such file'),
    });
    expect(await running.md5()).toBe(diskMd5());
    await pivot(running);
    expect(await running.md5()).toBe(diskMd5());
  });

  test('is not moved by the QMP socket of another', async () => {
    await serve();
    const running = await boot();
    const overlayPath = path('other.qcow2');
    await createOverlay({ path: overlayPath, virtualSize: LENGTH, backing });
    await expect(pivot(running, { overlayPath })).rejects.toMatchObject({
      code: 'vm-disk-unknown',
    });
    expect(await readBackingName(overlayPath)).toContain('json:');
  });

  test('is not moved while its disk is being copied', async () => {
    await serve();
    const running = await boot();
    await running.withQmp(async (qmp) => {
      const add = { driver: 'null-co', 'node-name': 'target', size: LENGTH + MIB };
      await qmp.execute({ execute: 'blockdev-add', arguments: add });
      const copy = { 'job-id': 'copy', device: 'overlay', target: 'target', sync: 'none' };
      await qmp.execute({ execute: 'blockdev-mirror', arguments: copy });
    });
    await expect(pivot(running)).rejects.toMatchObject({ code: 'vm-migrating' });
    expect((await backingFile()).name).toContain('json:');
  });

  test('is neither rebased nor flattened behind its back', async () => {
    await serve();
    const running = await boot();
    expect(await isOverlayInUse(overlay)).toBe(true);
    const rebase = rebaseOverlay(overlay, { imagePath: local });
    await expect(rebase).rejects.toMatchObject({ code: 'vm-running' });
    await expect(flattenOverlay(overlay)).rejects.toMatchObject({ code: 'vm-running' });
    expect(await running.md5()).toBe(diskMd5());
  });
});

describe('a VM that is not running', () => {
  test('is rebased to the local file, and back, while no server runs', async () => {
    await rebaseOverlay(overlay, { imagePath: local });
    expect(await backingFile()).toEqual({ name: local, format: 'raw' });
    const running = await boot();
    expect(await running.md5()).toBe(diskMd5());
    await running.quit();
    await rebaseOverlay(overlay, backing);
    expect((await backingFile()).name).toContain('"reconnect-delay":300');
    await serve();
    expect(await (await boot()).md5()).toBe(diskMd5());
  });

  test('is flattened: it needs neither a server nor a file, and is not given one again', async () => {
    await serve();
    await flattenOverlay(overlay);
    await stopServing();
    expect(await readBackingName(overlay)).toBeUndefined();
    expect(await (await boot()).md5()).toBe(diskMd5());
    await vm?.quit();
    const rebase = rebaseOverlay(overlay, { imagePath: local });
    await expect(rebase).rejects.toMatchObject({ code: 'overlay-flat' });
    expect(await readBackingName(overlay)).toBeUndefined();
  });

  test('reads as before when its flattening was cut off, and can be flattened then', async () => {
    // Nobody serves: the copy hangs, as it would on a swarm that is away, until it is cut off.
    const controller = new AbortController();
    const flattening = flattenOverlay(overlay, controller.signal);
    while (!(await isOverlayInUse(overlay)));
    controller.abort(new Error('stopping'));
    await expect(flattening).rejects.toThrow('stopping');
    expect(await readBackingName(overlay)).toContain('json:');
    await serve();
    await flattenOverlay(overlay);
    await stopServing();
    expect(await (await boot()).md5()).toBe(diskMd5());
  });
});
