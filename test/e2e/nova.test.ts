import { chmodSync, existsSync, lstatSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { ConsoleWatch, MARKER_DEFAULT } from '../../apps/cli/src/demo/console-watch.ts';
import { AgentKiller, nextServing, servingPid } from '../agent-killer.ts';
import { bootswarm, Cluster, run, type TestAgent, until } from '../cluster.ts';
import { makeTestImage } from '../test-image.ts';
import { demoImage } from './booting.ts';
import { LibvirtDaemon } from './libvirt-daemon.ts';
import { NovaNode } from './nova-node.ts';

const MIB = 1024 * 1024;
const GLANCE_ID = '3f1c7d1a-0f0e-4b1d-9f3c-1d1b2a3c4d5e';
const INSTANCE = '11111111-2222-4333-8444-555555555555';
const OTHER_INSTANCE = '99999999-2222-4333-8444-555555555555';
const FLAT = '[libvirt]\nimages_type = raw\n';
/** Of one that has long been unused, so that a test need not wait for a day. */
const AGEING = '[image_cache]\nremove_unused_original_minimum_age_seconds = 0\n';

let cluster: Cluster;
let nova: NovaNode;
let libvirt: LibvirtDaemon | undefined;
let killer: AgentKiller | undefined;

afterEach(async () => {
  killer?.stop();
  await libvirt?.stop();
  killer = libvirt = undefined;
  await cluster.stop();
});

/** A compute node with Nova's directories, and an agent that keeps links in them. */
async function computeNode(config?: string, ...extra: string[]): Promise<TestAgent> {
  cluster = new Cluster();
  // QEMU is no root.
  chmodSync(cluster.directory, 0o755);
  nova = new NovaNode(cluster.directory, config);
  await cluster.startTracker();
  return cluster.addAgent('node1', ['--holder', 'yes', ...nova.agentArgs, ...extra]);
}

async function publishSmall(): Promise<string> {
  const raw = join(cluster.directory, 'image.raw');
  makeTestImage(raw, 16 * MIB);
  return cluster.publish(raw, GLANCE_ID);
}

const linkedTo = (wanted: string) =>
  until(`the base image leads to ${wanted}`, () => nova.linkOf(GLANCE_ID) === wanted);

const fuseFile = (image: string) => join(nova.fuseDir, `${image}.raw`);

async function restart(agent: TestAgent): Promise<void> {
  const pid = servingPid(agent)!;
  process.kill(pid, 'SIGKILL');
  await nextServing(agent, pid);
}

describe('Nova, as Debian ships it', () => {
  test('makes a disk on an image that is not here, and libvirt boots it while the agent is killed', async () => {
    const { path, sha256, length } = await withLength(demoImage());
    const agent = await computeNode(undefined, '--fill', 'never');
    const image = await cluster.publish(path, GLANCE_ID, '--in-place');
    await linkedTo(fuseFile(image));
    const disk = await nova.spawn(GLANCE_ID, INSTANCE, length);
    expect(disk).toMatchObject({ backend: 'Qcow2', downloads: [], failure: null });
    expect(disk.xml).toContain('cache="none"');
    const { blocks } = lstatSync(fuseFile(image));
    expect(blocks * 512).toBeLessThan(2 * MIB);

    libvirt = await LibvirtDaemon.start(join(cluster.directory, 'libvirt'));
    const consolePath = await libvirt.boot('nova1', disk.xml);
    killer = new AgentKiller(agent, 3_000);
    const guest = new ConsoleWatch(new RegExp(MARKER_DEFAULT));
    let seen = 0;
    await until(
      'the guest has booted',
      () => {
        const text = readFileSync(consolePath, 'utf8');
        guest.feed(text.slice(seen));
        seen = text.length;
        return guest.isReady;
      },
      150_000,
    ).catch((error) => {
      throw new Error(`${String(error)}\n${guest.tail}\n${agent.log.slice(-2_000)}`);
    });
    killer.stop();
    expect(guest.sha256).toBe(sha256);
    expect(guest.tail).not.toMatch(/I\/O error|Input\/output error/);
    expect(killer.kills.length).toBeGreaterThan(1);
    const { images } = await agent.status();
    expect(images[0].piecesHad).toBeLessThan(images[0].pieceCount);
  });

  test('removes a base image that no instance uses, and finds it again', async () => {
    await computeNode(AGEING);
    const image = await publishSmall();
    await linkedTo(fuseFile(image));
    const { removable } = await nova.age({});
    expect(removable).toEqual([nova.basePath(GLANCE_ID)]);
    expect(existsSync(fuseFile(image))).toBe(true);
    await linkedTo(fuseFile(image));
    await nova.spawn(GLANCE_ID, INSTANCE, 16 * MIB);
    expect((await nova.age({ [INSTANCE]: GLANCE_ID })).removable).toEqual([]);
    expect(nova.linkOf(GLANCE_ID)).toBe(fuseFile(image));
  });

  test('keeps a base image that it has downloaded itself', async () => {
    const agent = await computeNode();
    rmSync(join(nova.instances, '_base'), { recursive: true });
    await nova.spawn(GLANCE_ID, INSTANCE, MIB);
    await publishSmall();
    await until('the image is seen', async () => (await linksOf(agent))[0]?.state === 'foreign');
    expect(lstatSync(nova.basePath(GLANCE_ID))).toMatchObject({ size: MIB });
  });

  test('reads the cache file once that is whole, which is pinned for as long as a disk needs it', async () => {
    const agent = await computeNode(undefined, '--fill', 'always');
    const image = await publishSmall();
    await linkedTo(fuseFile(image));
    readFileSync(fuseFile(image));
    await nova.spawn(GLANCE_ID, INSTANCE, 16 * MIB);
    const file = join(agent.cacheDir, image, 'cache.raw');
    await linkedTo(file);
    expect(lstatSync(file).mode & 0o777).toBe(0o644);
    const disk = await nova.spawn(GLANCE_ID, OTHER_INSTANCE, 16 * MIB);
    expect(disk).toMatchObject({ downloads: [], failure: null });
    await expect(agent.evict(image)).rejects.toThrow(/image-in-use|attached/);
    await restart(agent);
    await expect(agent.evict(image)).rejects.toThrow(/image-in-use|attached/);
    expect(nova.linkOf(GLANCE_ID)).toBe(file);
    for (const each of [INSTANCE, OTHER_INSTANCE])
      rmSync(join(nova.instances, each), { recursive: true });
    await linkedTo(fuseFile(image));
    await agent.evict(image);
    expect(existsSync(fuseFile(image))).toBe(true);
  });

  test('keeps the base image of an instance when the image is withdrawn, and no longer', async () => {
    const agent = await computeNode();
    const image = await publishSmall();
    await linkedTo(fuseFile(image));
    await nova.spawn(GLANCE_ID, INSTANCE, 16 * MIB);
    await withdraw(image);
    // One that comes after that, and finds the image in its cache.
    await restart(agent);
    await until('the agent knows', async () => (await linksOf(agent)).length === 1);
    expect(nova.linkOf(GLANCE_ID)).toBe(fuseFile(image));
    rmSync(join(nova.instances, INSTANCE), { recursive: true });
    await until('the link is gone', () => nova.linkOf(GLANCE_ID) === undefined);
  });
});

describe('the Flat back end, which copies links', () => {
  test('is refused where nova.conf names it', async () => {
    cluster = new Cluster();
    nova = new NovaNode(cluster.directory, FLAT);
    const { code, stderr } = await bootswarm(
      ...['agent', '--tracker', 'http://127.0.0.1:1', '--holder', 'no', ...nova.agentArgs],
      ...['--run', join(cluster.directory, 'run'), '--cache', join(cluster.directory, 'cache')],
    );
    expect(code).toBe(1);
    expect(stderr).toMatch(/Nova is set to copy base images.*\n {2}→ .*images_type=qcow2/);
  });

  test('harms nothing, and ends the links when it is seen at work', async () => {
    const agent = await computeNode();
    const image = await publishSmall();
    await linkedTo(fuseFile(image));
    const flat = join(cluster.directory, 'flat.conf');
    writeFileSync(flat, FLAT);
    const disk = await nova.spawn(GLANCE_ID, INSTANCE, 16 * MIB, flat);
    expect(disk).toMatchObject({ backend: 'Flat', failure: null });
    expect(lstatSync(disk.path).isSymbolicLink()).toBe(true);
    const grown = await run('truncate', ['-s', '32M', disk.path], { env: { LC_ALL: 'C' } });
    expect(grown.stderr).toContain('Read-only file system');
    expect(lstatSync(fuseFile(image)).size).toBe(16 * MIB);
    await until('the link is gone', () => nova.linkOf(GLANCE_ID) === undefined);
    expect((await agent.status()).fuse?.nova?.refusal).toContain(disk.path);
  });
});

async function linksOf(agent: TestAgent) {
  return (await agent.status()).fuse!.nova!.links;
}

async function withLength(image: ReturnType<typeof demoImage>) {
  const found = await image;
  return { ...found, length: lstatSync(found.path).size };
}

async function withdraw(image: string): Promise<void> {
  const result = await bootswarm('withdraw', image, '--tracker', cluster.url);
  if (result.code !== 0) throw new Error(result.stderr);
}
