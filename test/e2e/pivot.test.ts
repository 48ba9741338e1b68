import { createHash } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { VmInfo, VmStatus } from '@bootswarm/agent';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { bootswarm, Cluster, type TestAgent, until } from '../cluster.ts';
import { RunningVm } from '../running-vm.ts';
import { makeTestImage } from '../test-image.ts';
import { Boot, demoImage } from './booting.ts';

const LENGTH = 6 * 1024 * 1024 + 4096;

let cluster: Cluster;
let agent: TestAgent;
const running: RunningVm[] = [];

beforeEach(() => {
  running.length = 0;
});
afterEach(async () => {
  for (const vm of running) await vm.kill();
  await cluster.stop();
});

/** A cloud of one node with an image on it; `--fill never` unless told otherwise. */
async function cloud(...options: string[]): Promise<{ image: string; md5: string }> {
  cluster = await Cluster.start(1, ['--accel', 'tcg', ...options]);
  [agent] = cluster.agents;
  const path = join(cluster.directory, 'image.raw');
  makeTestImage(path, LENGTH);
  const image = await cluster.publish(path, 'image');
  return { image, md5: createHash('md5').update(readFileSync(path)).digest('hex') };
}

/** A QEMU on the VM's disk whose guest never starts, so that its disk holds still. */
async function boot(vm: VmInfo): Promise<RunningVm> {
  const started = await RunningVm.start(vm.qemuCommand, '-m', '64', '-S');
  running.push(started);
  return started;
}

const vms = () => agent.get<{ vms: VmStatus[] }>('/v1/vms').then((answer) => answer.vms);
const vm = (...args: string[]) => bootswarm('vm', ...args, '--run', agent.runDir);
const backingOf = (name: string) => vms().then((all) => all.find((each) => each.name === name));

async function isComplete(): Promise<boolean> {
  const [{ piecesHad, pieceCount }] = (await agent.status()).images;
  return piecesHad === pieceCount;
}

async function backed(name: string, backing: VmStatus['backing']): Promise<void> {
  await until(`${name} is on ${backing}`, async () => {
    const found = await backingOf(name);
    return found?.backing === backing && !found.isMoving;
  });
}

test('VMs, running or not, move to the local file by themselves; then the agent may die', async () => {
  const { image, md5 } = await cloud('--fill', 'always');
  const [one, two] = await Promise.all([
    agent.createVm(image, 'running'),
    agent.createVm(image, 'stopped'),
  ]);
  const vmOne = await boot(one);
  await Promise.all([backed('running', 'local'), backed('stopped', 'local')]);
  const [{ connections }] = await vms();
  expect(connections).toBe(0);

  // One that is created now begins on the local file.
  const three = await agent.createVm(image, 'third');
  expect(three).toMatchObject({ backing: 'local' });
  expect(three.libvirtDiskXml).toContain(`<source file='${agent.cacheDir}/${image}/cache.raw'/>`);

  await agent.kill('SIGKILL');
  await cluster.tracker.kill('SIGKILL');
  rmSync(join(agent.runDir, 'nbd.sock'));
  expect(await vmOne.md5()).toBe(md5);
  await vmOne.quit();
  for (const each of [one, two, three]) expect(await (await boot(each)).md5()).toBe(md5);
});

test('a guest is moved in the middle of its boot, and boots on when the agent is killed', async () => {
  const { path, sha256 } = await demoImage();
  cluster = await Cluster.start(1, ['--fill', 'always', '--pivot', 'no']);
  [agent] = cluster.agents;
  const image = await cluster.publish(path, 'demo', '--in-place');
  const info = await agent.createVm(image, 'guest');
  await until('the image is complete', isComplete, 60_000);
  const guest = new Boot(info);
  try {
    const isMidway = async () => (await agent.status()).images[0].piecesTouched > 200;
    await until('it is in the middle of its boot', isMidway, 90_000);
    expect((await vm('pivot', 'guest')).stderr).toBe('');
    await agent.kill('SIGKILL');
    expect(guest.isReady).toBe(false);
    await until('the guest has booted', () => guest.isReady, 120_000);
    expect(guest.sha256).toBe(sha256);
  } finally {
    guest.kill();
  }
});

test('a person moves VMs, there and back, and is told what is in the way', async () => {
  const { image, md5 } = await cloud('--pivot', 'no');
  const info = await agent.createVm(image, 'web-1');
  const failing = async (...args: string[]) => {
    const { code, stderr } = await vm(...args);
    expect(code).toBe(1);
    return stderr;
  };
  expect(await failing('pivot', 'web-2')).toContain('there is no VM "web-2" on this node');
  expect(await failing('pivot', 'web-1')).toContain('VM web-1 is not running');
  expect(await failing('rebase', 'web-1')).toMatch(/this node has \d+ of the 97 pieces/);
  expect(await backingOf('web-1')).toMatchObject({ backing: 'swarm', isMoving: false });

  const guest = await boot(info);
  expect(await failing('pivot', 'web-1')).toMatch(/this node has \d+ of the 97 pieces/);
  // Reads every piece, which is one way to complete an image.
  expect(await guest.md5()).toBe(md5);
  await until('the image is complete', isComplete);
  expect(await failing('rebase', 'web-1')).toContain('a program, usually its VM, has it open');
  expect(await failing('flatten', 'web-1')).toContain('a program, usually its VM, has it open');
  expect(await backingOf('web-1')).toMatchObject({ backing: 'swarm', isMoving: false });

  expect((await vm('pivot', 'web-1')).stdout).toBe('web-1 reads the image from the local file\n');
  await agent.kill('SIGKILL');
  expect(await guest.md5()).toBe(md5);
  await agent.start();
  expect(await backingOf('web-1')).toMatchObject({ backing: 'local', connections: 0 });
  await guest.quit();

  const back = await vm('rebase', 'web-1', '--to', 'swarm');
  expect(back.stdout).toBe('web-1 reads the image from the swarm\n');
  const again = await boot(info);
  expect(await again.md5()).toBe(md5);
  expect((await backingOf('web-1'))?.connections).toBe(1);
  await again.quit();

  expect((await vm('flatten', 'web-1')).stdout).toBe('web-1 has its whole disk in its overlay\n');
  expect(await failing('rebase', 'web-1')).toContain('has all of its disk in its overlay');
  await agent.kill('SIGKILL');
  expect(await (await boot(info)).md5()).toBe(md5);
});
