import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, lstatSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { nextServing, servingPid } from '../agent-killer.ts';
import { bootswarm, Cluster, run, type TestAgent, until } from '../cluster.ts';
import { makeTestImage } from '../test-image.ts';

const MIB = 1024 * 1024;
const LENGTH = 32 * MIB;

let cluster: Cluster;
let fuseDir: string;
let raw: string;

afterEach(() => cluster.stop());

async function node(holder: 'yes' | 'no', ...extra: string[]): Promise<TestAgent> {
  cluster = new Cluster();
  fuseDir = join(cluster.directory, 'fuse');
  raw = join(cluster.directory, 'image.raw');
  makeTestImage(raw, LENGTH);
  await cluster.startTracker();
  return cluster.addAgent('node1', ['--holder', holder, '--fuse', fuseDir, ...extra]);
}

/** The file of an image that was published just now. */
async function published(): Promise<{ image: string; file: string }> {
  const image = await cluster.publish(raw, 'test');
  return { image, file: join(fuseDir, `${image}.raw`) };
}

const shell = (command: string) => run('sh', ['-c', command], { env: { LC_ALL: 'C' } });

describe('the directory of images', () => {
  test('shows an image that nobody has asked for, with what is here of it', async () => {
    const agent = await node('no', '--fill', 'never');
    const { image, file } = await published();
    await until('it is there', () => readdirSync(fuseDir).includes(`${image}.raw`));
    const { mode, size, uid } = statSync(file);
    expect({ mode, size, uid }).toEqual({ mode: 0o100644, size: LENGTH, uid: 0 });
    expect(statSync(file).blocks).toBe(0);
    expect(await run('cmp', [file, raw])).toMatchObject({ code: 0 });
    // Every fourth MiB is zero and never moves. What stat(2) shows may be a second old.
    const allocated = (LENGTH * 3) / 4;
    await until('its blocks are there', () => statSync(file).blocks * 512 >= allocated);
    expect(statSync(file).blocks * 512).toBeLessThan(allocated + MIB);
    const { piecesTouched, piecesHad, read } = (await agent.status()).images[0];
    expect(piecesTouched).toBe(allocated / 65_536);
    expect(piecesHad).toBe(LENGTH / 65_536);
    expect(read.cache + read.peers + read.origin + read.zero).toBeGreaterThanOrEqual(LENGTH);
  });

  test('gives every byte once, and counts it', async () => {
    const agent = await node('no', '--fill', 'never');
    const { file } = await published();
    const whole = `dd if=${file} bs=64k iflag=direct status=none`;
    expect((await shell(`${whole} | cmp - ${raw}`)).code).toBe(0);
    const before = (await agent.status()).images[0].read;
    expect((await shell(`${whole} | cmp - ${raw}`)).code).toBe(0);
    const after = (await agent.status()).images[0].read;
    expect(after.cache - before.cache).toBe((LENGTH * 3) / 4);
    expect(after.zero - before.zero).toBe(LENGTH / 4);
  });

  test('bears what Nova and libvirt do to a base image, and refuses writing', async () => {
    await node('no');
    const { file } = await published();
    expect(await shell(`touch -d @1700000000 ${file}`)).toMatchObject({ code: 0, stderr: '' });
    expect(statSync(file).mtimeMs).toBe(1_700_000_000_000);
    const refusals = {
      [`chown nobody ${file}`]: 'Operation not permitted',
      [`chmod 600 ${file}`]: 'Operation not permitted',
      [`: >> ${file}`]: 'Read-only file system',
      [`truncate -s 1 ${file}`]: 'Read-only file system',
      [`rm ${file}`]: 'Read-only file system',
      [`mv ${file} ${fuseDir}/x`]: 'Read-only file system',
      [`mkdir ${fuseDir}/x`]: 'Read-only file system',
      [`cat ${fuseDir}/${'0'.repeat(40)}.raw`]: 'No such file or directory',
      [`cat ${fuseDir}/x`]: 'No such file or directory',
    };
    for (const [command, reason] of Object.entries(refusals)) {
      expect({ command, ...(await shell(command)) }).toMatchObject({
        code: expect.not.stringMatching('0'),
        stderr: expect.stringContaining(reason),
      });
    }
    expect((await shell(`dd if=${file} iflag=direct bs=1M of=/dev/null`)).code).toBe(0);
    const info = await run('qemu-img', ['info', '--force-share', '--output=json', file]);
    expect(JSON.parse(info.stdout)).toMatchObject({ format: 'raw', 'virtual-size': LENGTH });
    const asQemu = `setpriv --reuid 65534 --regid 65534 --clear-groups`;
    expect((await shell(`chmod 755 ${cluster.directory}; ${asQemu} cmp ${file} ${raw}`)).code).toBe(
      0,
    );
  });

  test('tells qemu-img which parts are holes', async () => {
    await node('no');
    const { file } = await published();
    const { stdout } = await run('qemu-img', ['map', '-f', 'raw', '--output=json', file]);
    const parts = JSON.parse(stdout) as { start: number; length: number; data: boolean }[];
    expect(parts.slice(0, 2)).toMatchObject([
      { start: 0, length: 3 * MIB, data: true },
      { start: 3 * MIB, length: MIB, data: false },
    ]);
  });

  test('goes with an agent that has no holder, and comes over one that nobody serves', async () => {
    const agent = await node('no');
    await published();
    await agent.kill('SIGTERM');
    expect(mounts()).toBe(0);
    await agent.start();
    await agent.kill('SIGKILL');
    expect(mounts()).toBe(1);
    await agent.start();
    expect(mounts()).toBe(1);
    await until('the image is there', () => readdirSync(fuseDir).length === 1);
  });

  test('is not taken from an agent that serves it', async () => {
    await node('no');
    const other = cluster.addAgent('node2', ['--fuse', fuseDir]);
    await expect(other).rejects.toThrow(/Cannot serve images in .*bootswarm.*is mounted there/);
    cluster.agents.pop();
  });
});

describe('an agent that is killed', () => {
  test('or upgraded only keeps readers waiting, whatever they have open', async () => {
    const agent = await node('yes', '--fill', 'never');
    const { image, file } = await published();
    const slowly = `for i in $(seq 0 31); do dd bs=1M count=1 iflag=direct status=none; sleep 0.1; done`;
    const read = shell(`(${slowly}) < ${file} | cmp - ${raw}`);
    for (let kills = 0; kills < 2; kills += 1) {
      await until('it has read on', async () => {
        const { images, fuse } = await agent.status();
        return fuse!.openFiles > 0 && images[0].piecesTouched > 8;
      });
      const pid = servingPid(agent)!;
      process.kill(pid, 'SIGKILL');
      await nextServing(agent, pid);
    }
    const upgrade = await bootswarm('agent', 'upgrade', '--run', agent.runDir);
    expect(upgrade).toMatchObject({ code: 0, stderr: '' });
    // Opened at the first agent; the one that serves now knows of it.
    await expect(agent.evict(image)).rejects.toThrow(/image-in-use|attached/);
    expect(await read).toMatchObject({ code: 0, stdout: '', stderr: '' });
    await until('no file is open', async () => (await agent.status()).fuse?.openFiles === 0);
    expect(readdirSync(join(agent.runDir, 'fuse-open'))).toEqual([]);
    await agent.kill('SIGTERM');
    expect(mounts()).toBe(0);
  });

  test('has its requests answered that it had read and not answered', async () => {
    const agent = await node('yes', '--fill', 'never');
    const { file } = await published();
    expect(lstatSync(file).size).toBe(LENGTH);
    process.kill(cluster.originPid, 'SIGSTOP');
    const read = run('cmp', [file, raw]);
    await until('a read waits', async () => ((await agent.status()).fuse?.readsWaiting ?? 0) > 0);
    const pid = servingPid(agent)!;
    process.kill(pid, 'SIGKILL');
    await nextServing(agent, pid);
    process.kill(cluster.originPid, 'SIGCONT');
    expect(await read).toMatchObject({ code: 0 });
  });
});

test('a reader that is killed does not wait for bytes that nobody has', async () => {
  const agent = await node('no', '--fill', 'never');
  const { file } = await published();
  expect(lstatSync(file).size).toBe(LENGTH);
  process.kill(cluster.originPid, 'SIGSTOP');
  try {
    const reader = spawn('dd', [`if=${file}`, 'of=/dev/null', 'bs=64k', 'iflag=direct'], {
      stdio: 'ignore',
    });
    const ended = once(reader, 'exit');
    await until('it waits', async () => ((await agent.status()).fuse?.readsWaiting ?? 0) > 0);
    reader.kill('SIGKILL');
    expect(await ended).toEqual([null, 'SIGKILL']);
    await until('nobody waits', async () => {
      const { readsWaiting, replyBytes } = (await agent.status()).fuse!;
      return readsWaiting === 0 && replyBytes === 0;
    });
  } finally {
    process.kill(cluster.originPid, 'SIGCONT');
  }
  expect(existsSync(file)).toBe(true);
});

function mounts(): number {
  const lines = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  return lines.filter((line) => line.split(' ')[1] === fuseDir).length;
}
