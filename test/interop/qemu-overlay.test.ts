import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  watch,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { createOverlay, isOverlayInUse, nbdUri, qemuCommand } from '@bootswarm/qemu';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { VmRegistry } from '../../apps/agent/src/vm/vm-registry.ts';

const run = promisify(execFile);
const MIB = 1024 * 1024;
const IMAGE_LENGTH = 8 * MIB;

let scratch = '';
let image = '';
let socketPath = '';
const servers: NbdServer[] = [];
const programs: ChildProcess[] = [];

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'qemu-overlay-interop-'));
  image = join(scratch, 'image.raw');
  socketPath = join(scratch, 'nbd.sock');
  const file = openSync(image, 'w');
  writeSync(file, Buffer.alloc(MIB, 0xa1), 0, MIB, 0);
  writeSync(file, Buffer.alloc(MIB, 0xb2), 0, MIB, IMAGE_LENGTH - MIB);
  closeSync(file);
});
afterEach(async () => {
  for (const program of programs.splice(0)) {
    if (program.exitCode === null && program.signalCode === null) {
      program.kill('SIGKILL');
      await once(program, 'exit');
    }
  }
  for (const server of servers.splice(0)) await server.kill();
});
afterAll(() => rmSync(scratch, { recursive: true }));

/** nbdkit, which serves `image` under any export name. */
class NbdServer {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(file = image): Promise<NbdServer> {
    rmSync(socketPath, { force: true });
    const pidFile = `nbdkit-${servers.length}-${process.hrtime.bigint()}.pid`;
    // nbdkit writes it once it listens.
    const listening = new Promise<void>((resolve) => {
      const watcher = watch(scratch, (_, name) => {
        if (name !== pidFile) return;
        watcher.close();
        resolve();
      });
    });
    const options = ['--foreground', '--readonly', '--unix', socketPath];
    const child = spawn('nbdkit', [...options, '--pidfile', join(scratch, pidFile), 'file', file]);
    await listening;
    const server = new NbdServer(child);
    servers.push(server);
    return server;
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }
}

/** qemu-io with an overlay open, as a running VM has it; one answer for each command. */
class QemuIo {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(path: string) {
    this.#child = spawn('qemu-io', ['-f', 'qcow2', path], { stdio: ['pipe', 'pipe', 'pipe'] });
    programs.push(this.#child);
    const output = this.#child.stdout as NonNullable<ChildProcess['stdout']>;
    this.#lines = createInterface({ input: output })[Symbol.asyncIterator]();
  }

  send(command: string): void {
    this.#child.stdin?.write(`${command}\n`);
  }

  /** The next line that says how a command went. */
  async answer(): Promise<string> {
    for (;;) {
      const { value, done } = await this.#lines.next();
      if (done) return 'qemu-io ended';
      if (/^(qemu-io> )*(read|wrote|Pattern|write failed|read failed)/.test(value)) {
        return value.replace(/^(qemu-io> )+/, '');
      }
    }
  }

  async ask(command: string): Promise<string> {
    this.send(command);
    return this.answer();
  }
}

const backing = {
  get socketPath() {
    return socketPath;
  },
  exportName: `${'a'.repeat(40)}@vm-1`,
};
const path = (name: string) => join(scratch, name);

async function make(name: string, virtualSize = IMAGE_LENGTH): Promise<string> {
  await createOverlay({ path: path(name), virtualSize, backing });
  return path(name);
}

async function info(file: string) {
  const { stdout } = await run('qemu-img', ['info', '-f', 'qcow2', '--output=json', file]);
  return JSON.parse(stdout) as Record<string, unknown>;
}

describe('an overlay', () => {
  test('is made while no agent runs, and its header says raw', async () => {
    const overlay = await make('vm.qcow2', 20 * MIB);
    const header = await info(overlay);
    expect(header['virtual-size']).toBe(20 * MIB);
    expect(header['backing-filename-format']).toBe('raw');
    const name = String(header['backing-filename']);
    expect(JSON.parse(name.slice('json:'.length)).file).toMatchObject({
      'reconnect-delay': 300,
      'open-timeout': 300,
      export: backing.exportName,
    });
  });

  test.each([1, 511, 513, 1_000_001])(
    'of an image of %d bytes has whole sectors',
    async (length) => {
      const overlay = await make('odd.qcow2', length);
      expect((await info(overlay))['virtual-size']).toBe(Math.ceil(length / 512) * 512);
    },
  );

  test('reads the export, and beyond its end zeros', async () => {
    await NbdServer.start();
    const overlay = await make('larger.qcow2', IMAGE_LENGTH + MIB);
    const { stdout } = await run('qemu-img', [
      'compare',
      '-f',
      'qcow2',
      '-F',
      'raw',
      overlay,
      image,
    ]);
    expect(stdout).toContain('Images are identical');
    const io = new QemuIo(overlay);
    expect(await io.ask('read -P 0xa1 0 1M')).toContain('read 1048576/1048576');
    expect(await io.ask('read -P 0xb2 7M 1M')).toContain('read 1048576/1048576');
    expect(await io.ask(`read -P 0 ${IMAGE_LENGTH} 1M`)).toContain('read 1048576/1048576');
    expect(await io.ask('read -P 0xa1 4M 512')).toContain('Pattern verification failed');
  });

  test('reads an export whose last sector is not whole', async () => {
    writeFileSync(path('odd.raw'), Buffer.alloc(1_000_001, 0xc3));
    await NbdServer.start(path('odd.raw'));
    const io = new QemuIo(await make('odd.qcow2', 1_000_001));
    expect(await io.ask('read -P 0xc3 0 999936')).toContain('read 999936/999936');
    expect(await io.ask('read -P 0xc3 -l 65 999936 512')).toContain('read 512/512');
  });

  test('keeps what is written, and the export keeps what it had', async () => {
    await NbdServer.start();
    const before = readFileSync(image);
    const io = new QemuIo(await make('written.qcow2'));
    expect(await io.ask('write -P 0x77 100k 10k')).toContain('wrote 10240/10240');
    expect(await io.ask('read -P 0x77 100k 10k')).toContain('read 10240/10240');
    expect(await io.ask('read -P 0xa1 0 100k')).toContain('read 102400/102400');
    expect(readFileSync(image).equals(before)).toBe(true);
  });

  test('waits for an agent that starts after the VM', async () => {
    rmSync(socketPath, { force: true });
    const io = new QemuIo(await make('early.qcow2'));
    io.send('read -P 0xa1 0 64k');
    await NbdServer.start();
    expect(await io.answer()).toContain('read 65536/65536');
  });

  test('holds a read while the agent is away, and fails none', async () => {
    const server = await NbdServer.start();
    const io = new QemuIo(await make('held.qcow2'));
    expect(await io.ask('read -P 0xa1 0 64k')).toContain('read 65536/65536');
    await server.kill();
    io.send('read -P 0xb2 7M 64k');
    await NbdServer.start();
    expect(await io.answer()).toContain('read 65536/65536');
  });

  test('is in use as long as a program has it open', async () => {
    await NbdServer.start();
    const overlay = await make('used.qcow2');
    expect(await isOverlayInUse(overlay)).toBe(false);
    const io = new QemuIo(overlay);
    await io.ask('read 0 512');
    expect(await isOverlayInUse(overlay)).toBe(true);
    writeFileSync(path('damaged.qcow2'), 'no qcow2 image');
    expect(await isOverlayInUse(path('damaged.qcow2'))).toBe(false);
    expect(await isOverlayInUse(path('missing.qcow2'))).toBe(false);
  });

  test('that cannot be made leaves nothing and says why', async () => {
    const created = createOverlay({ path: path('none/vm.qcow2'), virtualSize: MIB, backing });
    await expect(created).rejects.toMatchObject({ code: 'overlay-failed' });
  });
});

test('the NBD URI of an export is one that QEMU and libnbd understand', async () => {
  await NbdServer.start();
  const { stdout } = await run('nbdinfo', ['--size', nbdUri(backing)]);
  expect(Number(stdout)).toBe(IMAGE_LENGTH);
  const { stdout: json } = await run('qemu-img', [
    'info',
    '-f',
    'raw',
    '--output=json',
    nbdUri(backing),
  ]);
  expect(JSON.parse(json)['virtual-size']).toBe(IMAGE_LENGTH);
});

test('the QEMU command starts a VM on the overlay', async () => {
  await NbdServer.start();
  const overlay = await make('booted.qcow2');
  const qmpSocketPath = path('qmp.sock');
  const [program = '', ...args] = qemuCommand({
    name: 'vm-1',
    overlayPath: overlay,
    accelerators: ['tcg'],
    memoryMiB: 64,
    serial: { type: 'file', path: path('serial.log') },
    qmpSocketPath,
  });
  const listening = new Promise<void>((resolve) => {
    const watcher = watch(scratch, (_, name) => {
      if (name !== 'qmp.sock') return;
      watcher.close();
      resolve();
    });
  });
  const qemu = spawn(program, [...args, '-S'], { stdio: ['ignore', 'ignore', 'pipe'] });
  programs.push(qemu);
  await listening;
  const socket = await connected(qmpSocketPath);
  const lines = createInterface({ input: socket })[Symbol.asyncIterator]();
  await lines.next();
  const ask = async (execute: string) => {
    socket.write(`${JSON.stringify({ execute })}\n`);
    for (;;) {
      const answer = JSON.parse((await lines.next()).value ?? '{}');
      if ('return' in answer || 'error' in answer) return answer.return;
    }
  };
  await ask('qmp_capabilities');
  expect(await ask('query-status')).toMatchObject({ status: 'prelaunch' });
  const disks = await ask('query-block');
  expect(disks).toHaveLength(1);
  const [disk] = disks;
  expect(disk.inserted).toMatchObject({ drv: 'qcow2', ro: false, 'node-name': 'overlay' });
  expect(disk.inserted.image['full-backing-filename']).toContain('"reconnect-delay":300');
  expect(await isOverlayInUse(overlay)).toBe(true);
  await ask('quit');
  await once(qemu, 'exit');
  expect(await isOverlayInUse(overlay)).toBe(false);
});

/** A connection to a socket that is there but, between bind() and listen(), may still refuse. */
async function connected(socketFile: string): Promise<Socket> {
  for (;;) {
    const socket = connect(socketFile);
    const isOpen = await once(socket, 'connect').then(
      () => true,
      () => false,
    );
    if (isOpen) return socket;
  }
}

describe('the VMs of an agent', () => {
  const IMAGE = { id: 'a'.repeat(40), name: 'debian', length: IMAGE_LENGTH };
  const open = () => VmRegistry.open({ directory: scratch, nbdSocketPath: socketPath });

  test('survive a restart, one of each name, and go when they are removed', async () => {
    const registry = await open();
    const vm = await registry.create(IMAGE, 'vm-1', { sizeBytes: 2 * IMAGE_LENGTH });
    expect(vm).toMatchObject({ export: `${IMAGE.id}@vm-1`, overlay: path('vms/vm-1.qcow2') });
    expect((await info(vm.overlay))['virtual-size']).toBe(2 * IMAGE_LENGTH);
    await expect(registry.create(IMAGE, 'vm-1')).rejects.toMatchObject({ code: 'vm-exists' });
    const created = await Promise.allSettled([
      registry.create(IMAGE, 'vm-2'),
      registry.create(IMAGE, 'vm-2'),
    ]);
    expect(created.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);

    const reopened = await open();
    expect(reopened.list()).toEqual(registry.list());
    expect(reopened.get('vm-1')).toEqual(vm);
    await expect(reopened.create(IMAGE, 'vm-1')).rejects.toMatchObject({ code: 'vm-exists' });
    await reopened.remove('vm-1');
    await reopened.remove('vm-2');
    expect((await open()).list()).toEqual([]);
  });

  test('are not removed while they run, unless by force', async () => {
    await NbdServer.start();
    const registry = await open();
    const vm = await registry.create(IMAGE, 'vm');
    const io = new QemuIo(vm.overlay);
    expect(await io.ask('read -P 0xa1 0 64k')).toContain('read 65536/65536');
    await expect(registry.remove('vm')).rejects.toMatchObject({ code: 'vm-running' });
    expect(registry.list()).toHaveLength(1);
    await registry.remove('vm', { force: true });
    expect(registry.list()).toEqual([]);
  });
});
