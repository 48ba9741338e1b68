import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LEAN_NODE_ENV, LEAN_NODE_FLAGS } from '@bootswarm/stdx';
import type { PeerAddress } from '@bootswarm/tracker-proto';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DataDir } from '../src/data-dir.ts';
import { OriginControl } from '../src/origin-control.ts';
import { OriginProcess } from '../src/origin-process.ts';

const FAKE_ORIGIN = fileURLToPath(new URL('./fake-origin.ts', import.meta.url));
const ORIGIN = fileURLToPath(new URL('../src/origin/main.ts', import.meta.url));
const IMAGE = 'a'.repeat(40);
const OTHER = 'b'.repeat(40);

let path: string;
let dataDir: DataDir;
let running: OriginProcess[];
let addresses: PeerAddress[];
let onAddress: (address: PeerAddress) => void;
let damaged: string[];
/** What the catalogue has. */
let images: string[];

beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), 'origin-process-'));
  dataDir = new DataDir(path);
  running = [];
  addresses = [];
  damaged = [];
  images = [IMAGE];
  onAddress = () => {};
});

afterEach(async () => {
  for (const origin of running) await origin.close();
  dataDir.unlock();
  rmSync(path, { recursive: true });
});

function behave(behaviour: object): void {
  writeFileSync(join(path, 'fake-origin.json'), JSON.stringify(behaviour));
}

async function start(
  listen: PeerAddress = { host: '127.0.0.1', port: 0 },
  bytesPerSecondMax?: number,
): Promise<OriginProcess> {
  const origin = await OriginProcess.start({
    dataDir,
    listen,
    bytesPerSecondMax,
    log: pino({ level: 'silent' }),
    mainPath: FAKE_ORIGIN,
    // Long enough for an origin that answers, on a busy machine.
    requestTimeoutMs: 1_000,
    images: () => images,
    onAddress: (address) => {
      addresses.push(address);
      onAddress(address);
    },
    onDamaged: (image) => damaged.push(image),
  });
  running.push(origin);
  return origin;
}

/** An origin that some tracker before us left behind. */
async function leaveBehind(
  behaviour: object = {},
): Promise<{ pid: number; gone: Promise<unknown> }> {
  behave(behaviour);
  const child = spawn(process.execPath, [FAKE_ORIGIN, '--data', path, '--listen', '127.0.0.1:0']);
  await once(child.stdout, 'data');
  rmSync(join(path, 'fake-origin.json'));
  return { pid: child.pid as number, gone: once(child, 'exit') };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe('a new origin', () => {
  test('is started, told what to serve, and stopped in the end', async () => {
    const origin = await start();
    const pid = origin.pid as number;
    expect(origin.address).toEqual({ host: '127.0.0.1', port: expect.any(Number) });
    expect(addresses).toEqual([origin.address]);
    expect(Object.keys((await origin.stats())?.images ?? {})).toEqual([IMAGE]);
    await origin.close();
    expect(isAlive(pid)).toBe(false);
  });

  test('serves also what was published while it came up', async () => {
    onAddress = () => {
      images = [IMAGE, OTHER];
    };
    const origin = await start();
    expect(Object.keys((await origin.stats())?.images ?? {})).toEqual([IMAGE, OTHER]);
  });

  test('ends when no tracker ever comes', async () => {
    const args = [ORIGIN, '--data', path, '--listen', '127.0.0.1:0', '--orphan-ms', '10'];
    const child = spawn(process.execPath, args);
    try {
      expect(await once(child, 'exit', { signal: AbortSignal.timeout(20_000) })).toEqual([0, null]);
    } finally {
      child.kill('SIGKILL');
    }
  });

  test('runs on a lean Node', async () => {
    const { pid } = await start();
    const { flags, env } = JSON.parse(readFileSync(join(path, 'fake-origin-node.json'), 'utf8'));
    expect(pid).toBeGreaterThan(0);
    expect(flags).toEqual(expect.arrayContaining([...LEAN_NODE_FLAGS]));
    expect(env).toMatchObject(LEAN_NODE_ENV);
  });

  test('takes the place of one that was killed and left its socket', async () => {
    const { pid, gone } = await leaveBehind();
    process.kill(pid, 'SIGKILL');
    await gone;
    expect(existsSync(dataDir.originSocket)).toBe(true);
    expect((await start()).pid).not.toBe(pid);
  });

  test('opens and withdraws images', async () => {
    const origin = await start();
    const other = 'b'.repeat(40);
    await origin.open(other);
    expect((await origin.stats())?.images[other]).toEqual({
      bytesSent: 100,
      piecesSent: 1,
      peers: 2,
      layerBytesSent: 50,
    });
    await origin.withdraw(other);
    expect(Object.keys((await origin.stats())?.images ?? {})).toEqual([IMAGE]);
  });

  test('is told how much it may send', async () => {
    await start({ host: '127.0.0.1', port: 0 }, 5_000_000);
    expect(readFileSync(dataDir.originLog, 'utf8')).toContain('limit 5000000\n');
  });

  test('reports an image that it cannot serve as damaged', async () => {
    behave({ refuses: true });
    await start();
    expect(damaged).toEqual([IMAGE]);
  });

  test('that exits at once is an error that names its log', async () => {
    behave({ exit: 3 });
    await expect(start()).rejects.toMatchObject({
      code: 'origin-not-started',
      message: expect.stringContaining('code 3'),
      hint: expect.stringContaining('origin.log'),
    });
  });

  test('whose port is taken is an error', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as { port: number };
    await expect(start({ host: '127.0.0.1', port })).rejects.toMatchObject({
      code: 'origin-not-started',
    });
    taken.close();
  });
});

describe('an origin that was left behind', () => {
  test('is adopted and told what has changed meanwhile', async () => {
    const { pid } = await leaveBehind({ serves: ['c'.repeat(40)] });
    const origin = await start();
    expect(origin.pid).toBe(pid);
    expect(Object.keys((await origin.stats())?.images ?? {})).toEqual([IMAGE]);
  });

  test('is replaced when it is of another version', async () => {
    const { pid, gone } = await leaveBehind({ version: '0.0.0' });
    const origin = await start();
    await gone;
    expect(origin.pid).not.toBe(pid);
  });

  test('is replaced when it listens elsewhere', async () => {
    const { pid, gone } = await leaveBehind();
    const origin = await start({ host: '127.0.0.2', port: 0 });
    await gone;
    expect(origin.pid).not.toBe(pid);
    expect(origin.address?.host).toBe('127.0.0.2');
  });

  test('is killed when it ought to stop and does not', async () => {
    const { gone } = await leaveBehind({ hangs: true, version: '0.0.0' });
    await start();
    expect(await gone).toEqual([null, 'SIGKILL']);
  });

  test('that does not answer is an error that says so', async () => {
    const { pid, gone } = await leaveBehind({ silent: true });
    await expect(start()).rejects.toMatchObject({
      code: 'origin-not-started',
      message: expect.stringContaining('does not answer'),
    });
    process.kill(pid, 'SIGKILL');
    await gone;
  });
});

test('an origin that dies is started again, on the same port and with the same images', async () => {
  const origin = await start();
  const before = { pid: origin.pid as number, address: origin.address };
  const isUpAgain = new Promise((resolve) => {
    onAddress = resolve;
  });
  process.kill(before.pid, 'SIGKILL');
  expect(await isUpAgain).toEqual(before.address);
  expect(origin.pid).not.toBe(before.pid);
  await origin.open(IMAGE);
  expect(Object.keys((await origin.stats())?.images ?? {})).toEqual([IMAGE]);
});

test('while an origin is being started again, closing waits for it and stops it', async () => {
  const origin = await start();
  process.kill(origin.pid as number, 'SIGKILL');
  await origin.close();
  expect(await origin.stats()).toBeUndefined();
  expect(origin.address).toBeUndefined();
  await expect(OriginControl.connect(dataDir.originSocket)).rejects.toMatchObject({
    code: 'ECONNREFUSED',
  });
});
