import { once } from 'node:events';
import { existsSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { VmInfo, VmStatus } from '@bootswarm/agent';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { bootswarm, Cluster, run, type TestAgent, until } from '../cluster.ts';
import { freePorts } from '../free-ports.ts';
import { RunningVm } from '../running-vm.ts';
import { makeTestImage } from '../test-image.ts';
import { Boot, demoImage } from './booting.ts';

const MIB = 1024 * 1024;
const LENGTH = 8 * MIB;

interface Plan {
  readonly create: readonly string[];
  readonly destinationArguments: readonly string[];
}

let cluster: Cluster;
let source: TestAgent;
let destination: TestAgent;
const started: { kill(): unknown }[] = [];
/** --to and the two ports. */
let where: string[];

beforeEach(async () => {
  const [disk, memory] = await freePorts(2);
  where = ['--to', '127.0.0.1', '--disk-port', String(disk), '--memory-port', String(memory)];
});
afterEach(async () => {
  for (const each of started.splice(0)) await each.kill();
  await cluster.stop();
});

async function twoNodes(...options: string[]): Promise<void> {
  cluster = await Cluster.start(2, ['--accel', 'tcg', ...options]);
  [source, destination] = cluster.agents;
}

/** As the plan says: with the same image, name and size. */
async function prepare(name: string): Promise<{ vm: VmInfo; incoming: readonly string[] }> {
  const { stdout } = await bootswarm(
    ...['vm', 'migrate-args', name, '--json', '--run', source.runDir, ...where],
  );
  const { create, destinationArguments } = JSON.parse(stdout) as Plan;
  const made = await bootswarm(...create.slice(1), '--json', '--run', destination.runDir);
  return { vm: JSON.parse(made.stdout) as VmInfo, incoming: destinationArguments };
}

function migrate(name: string, destinationQmp: string) {
  const args = ['--run', source.runDir, '--qmp', destinationQmp, ...where];
  return bootswarm('vm', 'migrate', name, ...args);
}

async function startPaused(vm: VmInfo, ...more: readonly string[]): Promise<RunningVm> {
  const running = await RunningVm.start(vm.qemuCommand, '-m', '64', '-S', ...more);
  started.push(running);
  return running;
}

const vmOf = async (agent: TestAgent) => (await agent.get<{ vms: VmStatus[] }>('/v1/vms')).vms[0];

async function imageWithWrites(name: string): Promise<VmInfo> {
  const path = join(cluster.directory, 'image.raw');
  makeTestImage(path, LENGTH);
  const image = await cluster.publish(path, 'image');
  const vm = await source.createVm(image, name);
  const writes = ['-c', 'write -P 0x77 1M 256k', '-c', 'write -z 4M 128k'];
  await run('qemu-io', ['-f', 'qcow2', ...writes, vm.overlay]);
  return vm;
}

test('a VM moves with what it wrote, and reads the rest from the agent of its new node', async () => {
  await twoNodes();
  const here = await startPaused(await imageWithWrites('web-1'));
  const md5 = await here.md5();
  const { vm, incoming } = await prepare('web-1');
  const there = await startPaused(vm, ...incoming);
  const { stdout, stderr } = await migrate('web-1', vm.qmp!);
  expect(stderr).toBe('');
  expect(stdout).toMatch(/^web-1 runs on 127\.0\.0\.1: stood still \d+ ms; disk 384 KiB, memory /);
  expect(stdout).toContain('remove it here with: bootswarm vm rm web-1\n');
  await until('the QEMU of the source has ended', () => !here.isRunning);
  await source.kill('SIGKILL');
  expect(await there.md5()).toBe(md5);
  expect(await vmOf(destination)).toMatchObject({ backing: 'swarm', connections: 1 });
  await there.quit();
  expect((await run('qemu-img', ['check', vm.overlay])).code).toBe(0);
});

test('a flat VM moves with its whole disk, and one on the local file with what it wrote', async () => {
  await twoNodes('--fill', 'always');
  const here = await imageWithWrites('web-1');
  await until('it is on the local file', async () => (await vmOf(source)).backing === 'local');
  const flat = await bootswarm('vm', 'flatten', 'web-1', '--run', source.runDir);
  expect(flat.stderr).toBe('');
  const md5 = await (await startPaused(here)).md5();
  const { vm, incoming } = await prepare('web-1');
  const there = await startPaused(vm, ...incoming);
  const { stdout, stderr } = await migrate('web-1', vm.qmp!);
  expect(stderr).toBe('');
  expect(stdout).toMatch(/; disk 8 MiB, memory /);
  expect(await there.md5()).toBe(md5);
});

test('a VM that cannot be moved goes on where it is', async () => {
  await twoNodes();
  const here = await startPaused(await imageWithWrites('web-1'));
  const md5 = await here.md5();
  const args = ['migrate-args', 'web-1', '--run', source.runDir, ...where];
  const { stdout } = await bootswarm('vm', ...args);
  expect(stdout).toContain(`--size ${LENGTH}\n2. on 127.0.0.1, run the QEMU command`);
  expect(stdout).toContain('here   {"execute":"blockdev-mirror"');
  expect(stdout).toContain('wait for the event BLOCK_JOB_READY');
  expect((await migrate('web-1', '/nonexistent')).stderr).toContain('no QEMU answers on the QMP');

  // A destination that listens for the disk, but is not waiting for a guest.
  const { vm } = await prepare('web-1');
  const there = await startPaused(vm);
  expect((await migrate('web-1', vm.qmp!)).stderr).toContain('refused');
  expect(there.isRunning).toBe(true);
  await there.quit();

  // One whose port for the memory is taken, which is found out when the disk is there already.
  const taken = createServer().listen(Number(where.at(-1)));
  await once(taken, 'listening');
  const deaf = await startPaused(vm, '-incoming', 'defer');
  const { stderr } = await migrate('web-1', vm.qmp!);
  expect(stderr).toMatch(/refused migrate-incoming: .*Address already in use/);
  await deaf.kill();
  taken.close();
  expect(await here.md5()).toBe(md5);

  const another = await startPaused(vm, '-incoming', 'defer');
  expect((await migrate('web-1', vm.qmp!)).stderr).toBe('');
  expect(await another.md5()).toBe(md5);
});

test('a guest moves in the middle of its boot, and finishes it on its new node', async () => {
  const { path, sha256 } = await demoImage();
  await twoNodes();
  const image = await cluster.publish(path, 'demo', '--in-place');
  const info = await source.createVm(image, 'guest');
  const here = new Boot(info);
  started.push(here);
  const isMidway = async () => (await source.status()).images[0].piecesTouched > 200;
  await until('it is in the middle of its boot', isMidway, 90_000);
  const { vm, incoming } = await prepare('guest');
  const there = new Boot(vm, ...incoming);
  started.push(there);
  await until('its QEMU is waiting', () => existsSync(vm.qmp!));
  const { stdout, stderr } = await migrate('guest', vm.qmp!);
  expect(stderr).toBe('');
  expect(here.isReady).toBe(false);
  expect(statSync(vm.overlay).blocks * 512).toBeLessThan(64 * MIB);
  // What it costs is told, and depends on the machine.
  process.stdout.write(stdout);
  await source.kill('SIGKILL');
  await until('the guest has booted', () => there.isReady, 120_000).catch((error) => {
    throw new Error(`${String(error)}\n${there.tail}`);
  });
  expect(there.sha256).toBe(sha256);
});
