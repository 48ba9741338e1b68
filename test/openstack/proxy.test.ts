/** The Glance proxy of an agent between Debian's nova and a real Glance. */

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Random } from '@bootswarm/stdx';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bootswarm, Cluster, run, type TestAgent } from '../cluster.ts';
import { GlanceService } from './glance-service.ts';

const MIB = 1024 * 1024;
const FETCH = new URL('nova-fetch.py', import.meta.url).pathname;
const random = new Random(3);
const RAW = Buffer.alloc(9 * MIB + 512);
for (let at = 0; at < 5 * MIB; at += 4) RAW.writeUInt32LE(random.uint32(), at + MIB);

const directory = mkdtempSync(join(tmpdir(), 'bootswarm-proxy-'));
let glance: GlanceService;
let cluster: Cluster;
let agent: TestAgent;
let owner: string;
let stranger: string;
let proxy: string;
/** In the swarm, private. */
let id: string;

beforeAll(async () => {
  glance = await GlanceService.start();
  owner = glance.identity.token('owner');
  stranger = glance.identity.token('stranger');
  cluster = new Cluster();
  cluster.trackerExtra.push(...glance.credentials, '--glance-follow', 'none');
  await cluster.startTracker();
  agent = await cluster.addAgent('node1', [
    ...['--glance-proxy', '127.0.0.1:0', '--glance-url', glance.identity.url],
  ]);
  proxy = `http://${(await agent.status()).glanceProxy!.address}`;
  id = await glance.create(owner, RAW, { visibility: 'private' });
  await publish(id);
  glance.identity.seen.length = 0;
});

afterAll(async () => {
  await cluster?.stop();
  await glance?.[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

async function publish(image: string): Promise<void> {
  const { code, stderr } = await bootswarm(
    'publish',
    `glance:${image}`,
    '--tracker',
    cluster.url,
    '--json',
  );
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
}

function fetchAsNova(token: string, image: string, path: string) {
  return run('/usr/bin/python3', [FETCH, proxy, token, image, path], { timeoutMs: 100_000 });
}

function file(image: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${proxy}/v2/images/${image}/file`, {
    headers: { 'x-auth-token': owner, ...headers },
  });
}

describe('Nova, unmodified', () => {
  test('gets an image without a request for its bytes reaching Glance', async () => {
    const path = join(directory, 'base');
    expect(await fetchAsNova(owner, id, path)).toMatchObject({ code: 0 });
    expect(glance.identity.filesAsked).toBe(0);
    const { os_hash_value: promised } = (await (
      await glance.ask(owner, 'GET', `/v2/images/${id}`)
    ).json()) as { os_hash_value: string };
    expect(createHash('sha512').update(readFileSync(path)).digest('hex')).toBe(promised);
    expect((await agent.status()).glanceProxy).toMatchObject({
      ...{ filesServed: 1, filesPassed: 0, bytesServed: RAW.length },
    });
  });

  test('gets 404 for a caller whom Glance does not show the image', async () => {
    const { code, stdout } = await fetchAsNova(stranger, id, join(directory, 'stolen'));
    expect({ code, stdout }).toEqual({ code: 3, stdout: '404\n' });
    expect((await file(id, { 'x-auth-token': stranger })).status).toBe(404);
    expect((await file(id, { 'x-auth-token': 'nonsense' })).status).toBe(401);
  });
});

test('ranges are those of the image', async () => {
  const ranges = [
    ['bytes=0-0', 0, 1],
    [`bytes=${3 * MIB - 5}-${4 * MIB + 7}`, 3 * MIB - 5, 4 * MIB + 8],
    ['bytes=9437000-', 9_437_000, RAW.length],
    ['bytes=-100', RAW.length - 100, RAW.length],
    ['bytes=9437000-99999999', 9_437_000, RAW.length],
  ] as const;
  const before = glance.identity.filesAsked;
  for (const [range, start, end] of ranges) {
    const answer = await file(id, { range });
    expect(answer.status).toBe(206);
    expect(answer.headers.get('content-range')).toBe(`bytes ${start}-${end - 1}/${RAW.length}`);
    expect(Buffer.from(await answer.arrayBuffer()).equals(RAW.subarray(start, end))).toBe(true);
  }
  expect(glance.identity.filesAsked).toBe(before);
});

test.each(['bytes=0-1,4-5', 'bytes=99999999-', 'bytes=5-1', 'lines=1-2'])(
  'Glance itself answers the range %s',
  async (range) => {
    const before = glance.identity.filesAsked;
    const direct = await fetch(`${glance.identity.url}/v2/images/${id}/file`, {
      headers: { 'x-auth-token': owner, range },
    });
    const through = await file(id, { range });
    expect(through.status).toBe(direct.status);
    await Promise.all([direct.arrayBuffer(), through.arrayBuffer()]);
    expect(glance.identity.filesAsked - before).toBe(2);
  },
);

test('an image that is not in the swarm is passed on', async () => {
  const other = await glance.create(owner, RAW.subarray(0, MIB));
  const before = glance.identity.filesAsked;
  const answer = await file(other);
  expect(Buffer.from(await answer.arrayBuffer()).equals(RAW.subarray(0, MIB))).toBe(true);
  expect(glance.identity.filesAsked - before).toBe(1);
});

test('a qcow2 image comes from Glance, as the file whose hash Glance promises', async () => {
  const [raw, qcow2] = [join(directory, 'disk.raw'), join(directory, 'disk.qcow2')];
  writeFileSync(raw, RAW);
  execFileSync('qemu-img', ['convert', '-O', 'qcow2', raw, qcow2]);
  const image = await glance.create(owner, readFileSync(qcow2), { disk_format: 'qcow2' });
  await publish(image);
  const before = glance.identity.filesAsked;
  const answer = await file(image);
  expect(Buffer.from(await answer.arrayBuffer()).equals(readFileSync(qcow2))).toBe(true);
  expect(glance.identity.filesAsked - before).toBe(1);
});

test('a deactivated image is refused, as Glance refuses it', async () => {
  const image = await glance.create(owner, RAW.subarray(0, MIB), { visibility: 'public' });
  await publish(image);
  expect((await file(image)).status).toBe(200);
  const service = glance.identity.token('service', 'admin,member,reader');
  await glance.ask(service, 'POST', `/v2/images/${image}/actions/deactivate`);
  expect((await file(image)).status).toBe(403);
});

test('uploads, descriptions and lists go through as they are', async () => {
  const through = { 'x-auth-token': owner, 'content-type': 'application/json' };
  const body = JSON.stringify({ name: 'new', disk_format: 'raw', container_format: 'bare' });
  const created = await fetch(`${proxy}/v2/images`, { method: 'POST', headers: through, body });
  expect(created.status).toBe(201);
  const { id: image } = (await created.json()) as { id: string };
  const uploaded = await fetch(`${proxy}/v2/images/${image}/file`, {
    method: 'PUT',
    headers: { 'x-auth-token': owner, 'content-type': 'application/octet-stream' },
    body: new Blob([RAW]).stream(),
    duplex: 'half',
  } as RequestInit);
  expect(uploaded.status).toBe(204);
  const path = `/v2/images/${image}`;
  const described = await (await fetch(proxy + path, { headers: through })).text();
  expect(described).toBe(await (await glance.ask(owner, 'GET', path)).text());
  expect(JSON.parse(described)).toMatchObject({ size: RAW.length, status: 'active' });
  const head = await fetch(`${proxy}${path}/file`, { method: 'HEAD', headers: through });
  expect(head.status).toBe(405);
});

test('a caller that goes away in the middle leaves nothing behind', async () => {
  await new Promise<void>((resolve, reject) => {
    const asked = request(`${proxy}/v2/images/${id}/file`, { headers: { 'x-auth-token': owner } });
    asked.on('response', (answer) => answer.once('data', () => asked.destroy()));
    asked.on('close', resolve).on('error', () => {});
    asked.on('timeout', reject).end();
  });
  expect(Buffer.from(await (await file(id)).arrayBuffer()).equals(RAW)).toBe(true);
});

test('while the tracker is away, what this node has is served still', async () => {
  await cluster.tracker.kill('SIGKILL');
  const before = glance.identity.filesAsked;
  expect(Buffer.from(await (await file(id)).arrayBuffer()).equals(RAW)).toBe(true);
  expect(glance.identity.filesAsked).toBe(before);
});

test('while Glance is away, the answer is 503', async () => {
  await glance.identity.close();
  expect((await file(id)).status).toBe(503);
});
