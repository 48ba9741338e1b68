import { join } from 'node:path';
import type { VmInfo } from '@bootswarm/agent';
import { afterEach, describe, expect, test } from 'vitest';
import { AgentKiller, nextServing, servingPid } from '../agent-killer.ts';
import { bootswarm, Cluster, run, type TestAgent, until } from '../cluster.ts';
import { StorageDaemon } from '../storage-daemon.ts';
import { makeTestImage } from '../test-image.ts';
import { Boot, demoImage } from './booting.ts';

const MIB = 1024 * 1024;
const KILL_EVERY_MS = 3_000;

let cluster: Cluster;
let killer: AgentKiller | undefined;
let boot: Boot | undefined;
let daemon: StorageDaemon | undefined;

afterEach(async () => {
  killer?.stop();
  boot?.kill();
  await daemon?.stop();
  killer = boot = daemon = undefined;
  await cluster.stop();
});

/** An agent with a socket holder, and a VM of an image of `length` bytes. */
async function agentWithVm(length: number): Promise<{ agent: TestAgent; vm: VmInfo; raw: string }> {
  cluster = await Cluster.start(1, ['--holder', 'yes']);
  const raw = join(cluster.directory, 'image.raw');
  makeTestImage(raw, length);
  const image = await cluster.publish(raw, 'test');
  const [agent] = cluster.agents;
  return { agent, vm: await agent.createVm(image, 'vm1'), raw };
}

/** fio's own verdict: every block that it wrote has the checksum it was given. Takes some `seconds`. */
async function fioVerify({ uri }: StorageDaemon, length: number, seconds: number): Promise<void> {
  const operations = (2 * length) / 4_096;
  const result = await run(
    'fio',
    [
      ...['--name=verify', '--ioengine=nbd', `--uri=${uri}`, '--rw=randwrite', '--bs=4k'],
      ...[`--size=${length}`, '--iodepth=16', '--verify=crc32c', '--verify_fatal=1'],
      ...[`--rate_iops=${Math.ceil(operations / seconds / 2)}`, '--output-format=terse'],
    ],
    { timeoutMs: 120_000 },
  );
  expect(result).toMatchObject({ code: 0, stderr: '' });
}

describe('an agent that is killed every 3 s', () => {
  test('boots a VM, without one I/O error', async () => {
    const { path, sha256 } = await demoImage();
    cluster = await Cluster.start(1, ['--holder', 'yes']);
    const image = await cluster.publish(path, 'demo', '--in-place');
    const [agent] = cluster.agents;
    const vm = await agent.createVm(image, 'vm1');
    boot = new Boot(vm);
    const guest = boot;
    killer = new AgentKiller(agent, KILL_EVERY_MS);
    await until('the VM has booted', () => guest.isReady, 150_000).catch((error) => {
      throw new Error(`${String(error)}\n${guest.tail}\n${agent.log.slice(-2_000)}`);
    });
    killer.stop();
    expect(guest.sha256).toBe(sha256);
    expect(guest.tail).not.toMatch(/I\/O error|Input\/output error/);
    expect(killer.kills.length).toBeGreaterThan(1);
    expect(new Set(killer.kills.map(({ pid }) => pid)).size).toBe(killer.kills.length);
  });

  test('passes fio with verify, through an overlay', async () => {
    const length = 64 * MIB;
    const { agent, vm } = await agentWithVm(length);
    daemon = await StorageDaemon.start(vm.overlay, join(cluster.directory, 'disk.sock'));
    killer = new AgentKiller(agent, KILL_EVERY_MS);
    await fioVerify(daemon, length, 20);
    expect(killer.kills.length).toBeGreaterThan(3);
  });

  test('is read whole by qemu-img, byte for byte, while it fetches from the origin', async () => {
    const { agent, vm, raw } = await agentWithVm(64 * MIB);
    daemon = await StorageDaemon.start(vm.overlay, join(cluster.directory, 'disk.sock'));
    const compared = run('qemu-img', ['compare', '-f', 'raw', '-F', 'raw', daemon.uri, raw]);
    for (let kills = 0; kills < 3; kills += 1) {
      const pid = await until('the agent has fetched for a while', async () => {
        const { images, pid } = await agent.status();
        return (images[0]?.bytesFromOrigin ?? 0) > 8 * MIB && pid;
      });
      process.kill(pid, 'SIGKILL');
      await nextServing(agent, pid);
    }
    expect(await compared).toMatchObject({ code: 0, stdout: 'Images are identical.\n' });
  });
});

describe('an upgrade', () => {
  test('under fio costs no error', async () => {
    const length = 32 * MIB;
    const { agent, vm } = await agentWithVm(length);
    daemon = await StorageDaemon.start(vm.overlay, join(cluster.directory, 'disk.sock'));
    let isVerifying = true;
    const verified = fioVerify(daemon, length, 8).finally(() => {
      isVerifying = false;
    });
    const pids = [servingPid(agent)!];
    while (isVerifying) {
      const { code, stdout, stderr } = await bootswarm(
        ...['agent', 'upgrade', '--json', '--run', agent.runDir],
      );
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      const { from, to } = JSON.parse(stdout) as Record<'from' | 'to', { pid: number }>;
      expect(from.pid).toBe(pids.at(-1));
      pids.push(to.pid);
    }
    await verified;
    expect(pids.length).toBeGreaterThan(2);
    expect(agent.log).not.toContain('agent died');
  });

  test('is refused where nobody would start the next agent', async () => {
    cluster = await Cluster.start(1);
    const [agent] = cluster.agents;
    const result = await bootswarm('agent', 'upgrade', '--run', agent.runDir);
    expect(result).toMatchObject({ code: 1, stdout: '' });
    expect(result.stderr).toMatch(/Nobody would start this agent again.*\n {2}→ .*--holder no/);
    expect((await agent.status()).pid).toBe(agent.pid);
  });
});
