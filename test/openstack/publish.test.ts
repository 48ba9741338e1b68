/** Images of a real Glance, published by hand, from stores that serve ranges and from stores that do not. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Random } from '@bootswarm/stdx';
import type { ImageSummary } from '@bootswarm/tracker';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bootswarm, Cluster } from '../cluster.ts';
import { GlanceService } from './glance-service.ts';

const MIB = 1024 * 1024;
const random = new Random(11);
const RAW = Buffer.alloc(20 * MIB);
for (let at = 0; at < 3 * MIB; at += 4) RAW.writeUInt32LE(random.uint32(), at + 2 * MIB);
RAW.write('the end', RAW.length - 7);

const directory = mkdtempSync(join(tmpdir(), 'bootswarm-publish-'));
let glance: GlanceService;
let cluster: Cluster;
let owner: string;

beforeAll(async () => {
  glance = await GlanceService.start();
  owner = glance.identity.token('owner');
  cluster = new Cluster();
  cluster.trackerExtra.push(...glance.credentials, '--glance-follow', 'none');
  await cluster.startTracker();
});

afterAll(async () => {
  await cluster?.stop();
  await glance?.[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

function publish(id: string) {
  return bootswarm('publish', `glance:${id}`, '--json', '--tracker', cluster.url);
}

async function published(id: string): Promise<ImageSummary> {
  const { code, stdout, stderr } = await publish(id);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return (JSON.parse(stdout) as { image: ImageSummary }).image;
}

function diskOf({ id }: ImageSummary): Buffer {
  return readFileSync(join(cluster.dataDir, 'images', id, 'disk.raw'));
}

describe.each(['served', 'refused', 'ignored'] as const)(
  'a store whose ranges are %s',
  (ranges) => {
    test('gives a raw image, which then goes by its Glance id', async () => {
      glance.identity.ranges = ranges;
      const id = await glance.create(owner, RAW, { name: `raw ${ranges}`, visibility: 'public' });
      const image = await published(id);
      expect(diskOf(image).equals(RAW)).toBe(true);
      const { data } = {
        data: (await (await glance.ask(owner, 'GET', `/v2/images/${id}`)).json()) as Record<
          string,
          unknown
        >,
      };
      expect(image).toMatchObject({ name: id, source: `glance:${id}`, sourceFormat: 'raw' });
      expect(image.glance).toEqual({
        ...{ id, name: `raw ${ranges}`, visibility: 'public', owner: 'owner', diskFormat: 'raw' },
        ...{ size: RAW.length, osHashAlgo: 'sha512', osHashValue: data.os_hash_value },
        isFollowed: false,
      });
    });
  },
);

test('a qcow2 image is verified as it is stored, and flattened', async () => {
  const [raw, qcow2] = [join(directory, 'disk.raw'), join(directory, 'disk.qcow2')];
  writeFileSync(raw, RAW);
  execFileSync('qemu-img', ['convert', '-O', 'qcow2', '-c', raw, qcow2]);
  const id = await glance.create(owner, readFileSync(qcow2), { disk_format: 'qcow2' });
  const image = await published(id);
  expect(image).toMatchObject({ sourceFormat: 'qcow2', length: RAW.length });
  expect(image.glance?.size).toBe(readFileSync(qcow2).length);
  expect(diskOf(image).equals(RAW)).toBe(true);
});

test('an image whose bytes are not those that Glance promises is refused', async () => {
  const id = await glance.create(owner, RAW.subarray(0, MIB));
  const stored = join(glance.directory, 'images', id);
  const bytes = readFileSync(stored);
  bytes[4_711] ^= 1;
  writeFileSync(stored, bytes);
  const { code, stderr } = await publish(id);
  expect(code).toBe(1);
  expect(stderr).toContain('sha512 that was promised');
});

test('a label that the content contradicts is refused', async () => {
  const qcow2 = readFileSync(join(directory, 'disk.qcow2'));
  const id = await glance.create(owner, qcow2, { disk_format: 'raw' });
  expect((await publish(id)).stderr).toContain('given as raw but its content is qcow2');
});

test('what is published already is not downloaded again', async () => {
  const id = await glance.create(owner, RAW.subarray(0, MIB), { visibility: 'public' });
  await published(id);
  const before = glance.identity.filesAsked;
  const again = JSON.parse((await publish(id)).stdout) as { alreadyThere: boolean };
  expect(again.alreadyThere).toBe(true);
  expect(glance.identity.filesAsked).toBe(before);
});

test('nothing else may go by the name of an image of Glance, and that goes by no other', async () => {
  const file = join(directory, 'disk.raw');
  const name = '6f0b2e5e-8d8c-4c0c-9c5e-0b6a3e1f7a42';
  const posing = await bootswarm('publish', file, '--name', name, '--tracker', cluster.url);
  expect(posing.stderr).toContain('a name that images of Glance have');
  const renamed = await bootswarm(
    'publish',
    `glance:${name}`,
    '--name',
    'x',
    '--tracker',
    cluster.url,
  );
  expect(renamed.stderr).toContain('goes by its Glance id');
  expect((await publish(name)).stderr).toContain('Glance has no image');
});

test('the credential is in no log', () => {
  expect(cluster.tracker.log).toContain('glance:');
  expect(cluster.tracker.log).not.toContain('the-secret-of-the-tracker');
  expect(cluster.tracker.log).not.toContain('token-of-');
});
