import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { AgentStatus, VmInfo } from '@bootswarm/agent';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { CatalogueServer, signedImage } from '../../agent/test/catalogue-server.ts';
import { pathWithQemuImg } from '../../agent/test/test-agent.ts';
import { runCli } from '../src/cli.ts';
import { capturedTerminal } from './captured-terminal.ts';

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));
let dir: string;
let path: string;
let children: ChildProcess[];
/** Shows the image debian-12, and knows nothing of agents. */
let tracker: CatalogueServer;

beforeEach(async () => {
  tracker = await CatalogueServer.start(signedImage('debian-12'));
  dir = mkdtempSync(join(tmpdir(), 'bootswarm-agent-'));
  path = pathWithQemuImg(dir);
  children = [];
});

afterEach(async () => {
  for (const child of children) {
    if (child.exitCode !== null) continue;
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    await exited;
  }
  await tracker.stop();
  rmSync(dir, { recursive: true });
});

/** Starts an agent from its command line and resolves to its run directory once it says that it is ready. */
async function startAgent(node: string, ...more: string[]): Promise<string> {
  const run = join(dir, node);
  const dirs = ['--cache', join(dir, `${node}-cache`), '--run', run];
  const args = ['agent', '--tracker', tracker.url, ...dirs, '--node', node, ...more];
  const child = spawn(process.execPath, [MAIN, ...args, '--log-level', 'silent'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, PATH: path },
  });
  children.push(child);
  const [line] = await once(child.stdout, 'data');
  expect(String(line)).toBe(`agent ready at ${join(run, 'agent.sock')}\n`);
  return run;
}

async function statusOf(run: string): Promise<AgentStatus> {
  const terminal = capturedTerminal();
  expect(await runCli(['status', '--run', run, '--json'], terminal)).toBe(0);
  return JSON.parse(terminal.out) as AgentStatus;
}

test('several agents run on one host without being told where to listen', async () => {
  const runs = await Promise.all([
    startAgent('a'),
    startAgent('b', '--zone', 'z2', '--rack', 'r9'),
  ]);
  const [a, b] = await Promise.all(runs.map(statusOf));
  expect([a.node, a.zone, a.rack]).toEqual(['a', 'default', 'default']);
  expect([b.node, b.zone, b.rack]).toEqual(['b', 'z2', 'r9']);
  // Any address of this host, and a port that the system chose.
  for (const { peerAddress } of [a, b]) expect(peerAddress).toMatch(/^0\.0\.0\.0:[1-9]\d+$/);
  expect(a.peerAddress).not.toBe(b.peerAddress);
});

test('an agent lets itself be dialled where it is told', async () => {
  const run = await startAgent('a', '--listen', '127.0.0.1:0', '--advertise', '192.0.2.7');
  expect((await statusOf(run)).peerAddress).toMatch(/^192\.0\.2\.7:[1-9]\d+$/);
});

test('an agent prints QEMU commands with the accelerator it is told', async () => {
  const run = await startAgent('a', '--accel', 'tcg');
  const terminal = capturedTerminal();
  const args = ['vm', 'create', 'debian-12', '--name', 'web-1', '--run', run, '--json'];
  expect(await runCli(args, terminal)).toBe(0);
  const { qemuCommand } = JSON.parse(terminal.out) as VmInfo;
  expect(qemuCommand.join(' ')).toMatch(/ -accel tcg /);
  expect(qemuCommand.join(' ')).not.toContain('kvm');
});

test('an agent looks after its cache as it is told', async () => {
  const limits = ['--scrub', '1MiB', '--cache-max', '2G', '--evict-running'];
  const [run, byDefault] = [await startAgent('a', ...limits), await startAgent('b')];
  expect((await statusOf(run)).cache).toMatchObject({
    scrubBytesPerSecond: 2 ** 20,
    bytesMax: 2 ** 31,
  });
  expect((await statusOf(byDefault)).cache).toMatchObject({
    scrubBytesPerSecond: 2 ** 22,
    bytesMax: null,
  });
});

test.each([
  [['--nova-instances', '/x'], /--nova-instances is for an agent with --fuse/, /give --fuse too/],
  [['--fuse', '/x', '--nova-conf', '/y'], /--nova-conf is .* --nova-instances/, /give --nova-inst/],
  [['--evict-running'], /--evict-running is for a cache with a limit/, /--cache-max SIZE/],
  [['--nbd-tcp', '127.0.0.1:0'], /--nbd-tcp needs TLS/, /--nbd-tls-cert FILE/],
])('does not begin with %j alone, nor when it is started again', async (args, what, hint) => {
  const terminal = capturedTerminal({ BOOTSWARM_RUN: join(dir, 'run') });
  // Not 1: systemd would go on trying.
  expect(await runCli(['agent', '--cache', join(dir, 'cache'), ...args], terminal)).toBe(2);
  expect(terminal.err).toMatch(what);
  expect(terminal.err).toMatch(hint);
  expect(existsSync(join(dir, 'run'))).toBe(false);
});

test.each([
  [['--cache-max', 'all'], /argument 'all' is invalid. Write it as 256MiB or 2G/],
  [['--accel', 'hax'], /argument 'hax' is invalid. Allowed choices are auto, kvm, tcg/],
  [['--pivot', 'maybe'], /argument 'maybe' is invalid. Allowed choices are yes, no/],
  [['--publisher-key', 'ab'], /64 hex digits/],
])('refuses %j before it starts anything', async (args, message) => {
  const terminal = capturedTerminal({ BOOTSWARM_RUN: join(dir, 'run') });
  expect(await runCli(['agent', '--cache', join(dir, 'cache'), ...args], terminal)).toBe(2);
  expect(terminal.err).toMatch(message);
});
