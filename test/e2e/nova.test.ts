import { chmodSync, existsSync, lstatSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ImageSummary } from '@bootswarm/tracker';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { ConsoleWatch, MARKER_DEFAULT } from '../../apps/cli/src/demo/console-watch.ts';
import { AgentKiller, nextServing, servingPid } from '../agent-killer.ts';
import { bootswarm, Cluster, run, type TestAgent, until } from '../cluster.ts';
import { GlanceService } from '../openstack/glance-service.ts';
import { makeTestImage } from '../test-image.ts';
import { demoImage } from './booting.ts';
import { LibvirtDaemon } from './libvirt-daemon.ts';
import { NovaNode } from './nova-node.ts';

const MIB = 1024 * 1024;
const INSTANCE = '11111111-2222-4333-8444-555555555555';
const OTHER_INSTANCE = '99999999-2222-4333-8444-555555555555';
const FLAT = '[libvirt]\nimages_type = raw\n';
/** Of one that has long been unused, so that a test need not wait for a day. */
const AGEING = '[image_cache]\nremove_unused_original_minimum_age_seconds = 0\n';

let glance: GlanceService;
/** Of a project that owns all images. */
let token: string;
let glanceId = '';
let cluster: Cluster;
let nova: NovaNode;
let libvirt: LibvirtDaemon | undefined;
let killer: AgentKiller | undefined;

beforeAll(async () => {
  glance = await GlanceService.start();
  token = glance.identity.token('service', 'admin,member,reader');
});

afterAll(() => glance?.[Symbol.asyncDispose]());

afterEach(async () => {
  killer?.stop();
  await libvirt?.stop();
  killer = libvirt = undefined;
  await cluster.stop();
  if (glanceId !== '') await glance.ask(token, 'DELETE', `/v2/images/${glanceId}`);
  glanceId = '';
});

/** A compute node with Nova's directories, and an agent that keeps links in them. */
async function computeNode(config?: string, ...extra: string[]): Promise<TestAgent> {
  cluster = new Cluster();
  // QEMU is no root.
  chmodSync(cluster.directory, 0o755);
  nova = new NovaNode(cluster.directory, config);
  cluster.trackerExtra.push(...glance.credentials, '--glance-poll', '0.3');
  await cluster.startTracker();
  return cluster.addAgent('node1', ['--holder', 'yes', ...nova.agentArgs, ...extra]);
}

/** Its bytes are in Glance; only who marks it has it published. */
async function upload(path: string, bootswarm?: 'publish'): Promise<void> {
  glanceId = await glance.create(token, readFileSync(path), { visibility: 'public', bootswarm });
}

/** Puts it into Glance, marked, and waits until the tracker has found it; resolves with its id here. */
async function publish(path: string): Promise<string> {
  await upload(path, 'publish');
  return published();
}

async function published(): Promise<string> {
  let found: ImageSummary | undefined;
  await until(
    'the image of Glance is published',
    async () => {
      const { images } = await cluster.trackerGet<{ images: ImageSummary[] }>('/v1/images');
      found = images.find(({ name }) => name === glanceId);
      return found !== undefined;
    },
    60_000,
  );
  return found!.id;
}

function smallImage(): string {
  const raw = join(cluster.directory, 'image.raw');
  makeTestImage(raw, 16 * MIB);
  return raw;
}

const linkedTo = (wanted: string) =>
  until(`the base image leads to ${wanted}`, () => nova.linkOf(glanceId) === wanted);

const fuseFile = (image: string) => join(nova.fuseDir, `${image}.raw`);

async function restart(agent: TestAgent): Promise<void> {
  const pid = servingPid(agent)!;
  process.kill(pid, 'SIGKILL');
  await nextServing(agent, pid);
}

describe('Nova, as Debian ships it', () => {
  test('makes a disk on an image of Glance that is not here, and libvirt boots it while the agent is killed', async () => {
    const { path, sha256, length } = await withLength(demoImage());
    const agent = await computeNode(undefined, '--fill', 'never');
    const image = await publish(path);
    // By the tracker, which has read the image once.
    const { filesAsked } = glance.identity;
    await linkedTo(fuseFile(image));
    const disk = await nova.spawn(glanceId, INSTANCE, length);
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
    expect(glance.identity.filesAsked).toBe(filesAsked);
    expect(killer.kills.length).toBeGreaterThan(1);
    const { images } = await agent.status();
    expect(images[0].piecesHad).toBeLessThan(images[0].pieceCount);
  });

  test('removes a base image that no instance uses, and finds it again', async () => {
    await computeNode(AGEING);
    const image = await publish(smallImage());
    await linkedTo(fuseFile(image));
    const { removable } = await nova.age({});
    expect(removable).toEqual([nova.basePath(glanceId)]);
    expect(existsSync(fuseFile(image))).toBe(true);
    await linkedTo(fuseFile(image));
    await nova.spawn(glanceId, INSTANCE, 16 * MIB);
    expect((await nova.age({ [INSTANCE]: glanceId })).removable).toEqual([]);
    expect(nova.linkOf(glanceId)).toBe(fuseFile(image));
  });

  test('keeps a base image that it has downloaded itself', async () => {
    const agent = await computeNode();
    rmSync(join(nova.instances, '_base'), { recursive: true });
    await upload(smallImage());
    await nova.spawn(glanceId, INSTANCE, MIB);
    const marked = [{ op: 'add', path: '/bootswarm', value: 'publish' }];
    await glance.ask(token, 'PATCH', `/v2/images/${glanceId}`, {
      type: 'application/openstack-images-v2.1-json-patch',
      body: JSON.stringify(marked),
    });
    await published();
    await until('the image is seen', async () => (await linksOf(agent))[0]?.state === 'foreign');
    expect(lstatSync(nova.basePath(glanceId))).toMatchObject({ size: MIB });
  });

  test('reads the cache file once that is whole, which is pinned for as long as a disk needs it', async () => {
    const agent = await computeNode(undefined, '--fill', 'always');
    const image = await publish(smallImage());
    await linkedTo(fuseFile(image));
    readFileSync(fuseFile(image));
    await nova.spawn(glanceId, INSTANCE, 16 * MIB);
    const file = join(agent.cacheDir, image, 'cache.raw');
    await linkedTo(file);
    expect(lstatSync(file).mode & 0o777).toBe(0o644);
    const disk = await nova.spawn(glanceId, OTHER_INSTANCE, 16 * MIB);
    expect(disk).toMatchObject({ downloads: [], failure: null });
    await expect(agent.evict(image)).rejects.toThrow(/image-in-use|attached/);
    await restart(agent);
    await expect(agent.evict(image)).rejects.toThrow(/image-in-use|attached/);
    expect(nova.linkOf(glanceId)).toBe(file);
    for (const each of [INSTANCE, OTHER_INSTANCE])
      rmSync(join(nova.instances, each), { recursive: true });
    await linkedTo(fuseFile(image));
    await agent.evict(image);
    expect(existsSync(fuseFile(image))).toBe(true);
  });

  test('keeps the base image of an instance when the image is withdrawn, and no longer', async () => {
    const agent = await computeNode();
    const image = await publish(smallImage());
    await linkedTo(fuseFile(image));
    await nova.spawn(glanceId, INSTANCE, 16 * MIB);
    await glance.ask(token, 'POST', `/v2/images/${glanceId}/actions/deactivate`);
    await until('it is withdrawn', async () => {
      const { images } = await cluster.trackerGet<{ images: unknown[] }>('/v1/images');
      return images.length === 0;
    });
    // One that comes after that, and finds the image in its cache.
    await restart(agent);
    await until('the agent knows', async () => (await linksOf(agent)).length === 1);
    expect(nova.linkOf(glanceId)).toBe(fuseFile(image));
    rmSync(join(nova.instances, INSTANCE), { recursive: true });
    await until('the link is gone', () => nova.linkOf(glanceId) === undefined);
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
    expect(code).toBe(3);
    expect(stderr).toMatch(/Nova is set to copy base images.*\n {2}→ .*images_type=qcow2/);
  });

  test('harms nothing, and ends the links when it is seen at work', async () => {
    const agent = await computeNode();
    const image = await publish(smallImage());
    await linkedTo(fuseFile(image));
    const flat = join(cluster.directory, 'flat.conf');
    writeFileSync(flat, FLAT);
    const disk = await nova.spawn(glanceId, INSTANCE, 16 * MIB, flat);
    expect(disk).toMatchObject({ backend: 'Flat', failure: null });
    expect(lstatSync(disk.path).isSymbolicLink()).toBe(true);
    const grown = await run('truncate', ['-s', '32M', disk.path], { env: { LC_ALL: 'C' } });
    expect(grown.stderr).toContain('Read-only file system');
    expect(lstatSync(fuseFile(image)).size).toBe(16 * MIB);
    await until('the link is gone', () => nova.linkOf(glanceId) === undefined);
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
