/** A tracker that follows a real Glance: what comes and goes there comes and goes here, and is for whom it is there. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Random } from '@bootswarm/stdx';
import type { GlanceFollowStatus, ImageSummary } from '@bootswarm/tracker';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BOOTSWARM, Cluster, run, until } from '../cluster.ts';
import { GlanceService } from './glance-service.ts';

const MIB = 1024 * 1024;
const directory = mkdtempSync(join(tmpdir(), 'bootswarm-follow-'));
let glance: GlanceService;
let cluster: Cluster;
let owner: string;
let stranger: string;

beforeAll(async () => {
  glance = await GlanceService.start();
  owner = glance.identity.token('owner');
  stranger = glance.identity.token('stranger');
  cluster = new Cluster();
  cluster.trackerExtra.push(...glance.credentials, '--glance-poll', '0.3');
  await cluster.startTracker();
});

afterAll(async () => {
  await cluster?.stop();
  await glance?.[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

let seed = 0;
function disk(): Buffer {
  const random = new Random(++seed);
  return Buffer.from(Uint8Array.from({ length: 2 * MIB }, () => random.uint32() & 0xff));
}

async function ask(path: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(cluster.url + path, { headers });
}

async function images(headers: Record<string, string> = {}): Promise<ImageSummary[]> {
  const { images } = (await (await ask('/v1/images', headers)).json()) as {
    images: ImageSummary[];
  };
  return images;
}

function admin(): Record<string, string> {
  const token = cluster.adminToken;
  return { authorization: `Bearer ${token}` };
}

/** Once Glance was looked at again from beginning to end. */
async function looked(): Promise<void> {
  const lookedAt = async () =>
    ((await (await ask('/v1/glance', admin())).json()) as GlanceFollowStatus).lookedAt;
  // The look that is under way now may have begun before.
  for (let looks = 0; looks < 2; looks += 1) {
    const before = await lookedAt();
    await until('Glance is looked at', async () => (await lookedAt()) !== before);
  }
}

function published(id: string): Promise<ImageSummary> {
  return until(`${id} is published`, async () =>
    (await images(admin())).find(({ glance: source }) => source?.id === id),
  );
}

function withdrawn(id: string): Promise<boolean> {
  return until(`${id} is withdrawn`, async () =>
    (await images(admin())).every(({ glance: source }) => source?.id !== id),
  );
}

function mark(id: string, op: 'add' | 'remove'): Promise<Response> {
  const change = { op, path: '/bootswarm', ...(op === 'add' && { value: 'publish' }) };
  return glance.ask(owner, 'PATCH', `/v2/images/${id}`, {
    type: 'application/openstack-images-v2.1-json-patch',
    body: JSON.stringify([change]),
  });
}

test('an image that is marked is published once, and withdrawn when its mark is gone', async () => {
  const before = glance.identity.filesAsked;
  const id = await glance.create(owner, disk(), { visibility: 'public' });
  const other = await glance.create(owner, disk(), { visibility: 'public' });
  await mark(id, 'add');
  const image = await published(id);
  expect(image).toMatchObject({ name: id, prejoin: 'all', glance: { isFollowed: true } });
  await looked();
  // 2 MiB are one range: more than one request would be a second download.
  expect(glance.identity.filesAsked - before).toBe(1);
  expect((await images()).map(({ name }) => name)).not.toContain(other);
  await mark(id, 'remove');
  await withdrawn(id);
});

test('a deactivated image is withdrawn, and published again when it is reactivated', async () => {
  const id = await glance.create(owner, disk(), { bootswarm: 'publish', visibility: 'public' });
  await published(id);
  const service = glance.identity.token('service', 'admin,member,reader');
  await glance.ask(service, 'POST', `/v2/images/${id}/actions/deactivate`);
  await withdrawn(id);
  await glance.ask(service, 'POST', `/v2/images/${id}/actions/reactivate`);
  await published(id);
});

test('a deleted image is withdrawn', async () => {
  const id = await glance.create(owner, disk(), { bootswarm: 'publish', visibility: 'public' });
  await published(id);
  await glance.ask(owner, 'DELETE', `/v2/images/${id}`);
  await withdrawn(id);
});

test('tokens that Keystone revokes are replaced', async () => {
  const issued = glance.identity.tokensIssued;
  glance.identity.revokeAll();
  owner = glance.identity.token('owner');
  stranger = glance.identity.token('stranger');
  await looked();
  expect(glance.identity.tokensIssued).toBeGreaterThan(issued);
});

test('Glance may be down: nothing is lost, the status says so, and what came meanwhile is found', async () => {
  const id = await glance.create(owner, disk(), { bootswarm: 'publish', visibility: 'public' });
  await published(id);
  await glance.stop();
  const failing = await until('it is noticed', async () => {
    const status = (await (await ask('/v1/glance', admin())).json()) as GlanceFollowStatus;
    return status.state === 'failing' && status;
  });
  expect(failing.error).toMatchObject({ code: 'openstack-unreachable' });
  expect((await images()).map(({ name }) => name)).toContain(id);
  await glance.run();
  const next = await glance.create(owner, disk(), { bootswarm: 'publish', visibility: 'public' });
  await published(next);
});

test('a tracker that is restarted downloads nothing again', async () => {
  await looked();
  const before = glance.identity.filesAsked;
  await cluster.tracker.kill('SIGKILL');
  await cluster.restartTracker();
  await looked();
  expect(glance.identity.filesAsked).toBe(before);
});

describe('a private image', () => {
  let id: string;
  let image: ImageSummary;

  beforeAll(async () => {
    id = await glance.create(owner, disk(), { bootswarm: 'publish', visibility: 'private' });
    image = await published(id);
  });

  test('is listed to its project and to nobody else', async () => {
    const names = async (headers?: Record<string, string>) =>
      (await images(headers)).map(({ name }) => name);
    expect(await names({ 'x-auth-token': owner })).toContain(id);
    expect(await names({ 'x-auth-token': stranger })).not.toContain(id);
    expect(await names({ 'x-auth-token': 'nonsense' })).not.toContain(id);
    expect(await names()).not.toContain(id);
  });

  test.each(['', '/metainfo', '/torrent', '/piece-layer', '/boot-order'])(
    'is found by name at …%s by its project and by nobody else',
    async (route) => {
      const statusFor = async (headers?: Record<string, string>) =>
        (await ask(`/v1/images/${id}${route}`, headers)).status;
      expect(await statusFor({ 'x-auth-token': owner })).toBe(200);
      expect(await statusFor({ 'x-auth-token': stranger })).toBe(404);
      expect(await statusFor()).toBe(404);
      expect((await ask(`/v1/images/${image.id.slice(0, 30)}${route}`)).status).toBe(404);
    },
  );

  test('comes to an agent whose project may have it, and whose members others do not see', async () => {
    const mine = join(directory, 'agent-openrc');
    writeFileSync(mine, glance.identity.openrcOf('owner'), { mode: 0o600 });
    const theirs = join(directory, 'stranger-openrc');
    writeFileSync(theirs, glance.identity.openrcOf('stranger'), { mode: 0o600 });
    const entitled = await cluster.addAgent('entitled', ['--openstack-credentials', mine]);
    const other = await cluster.addAgent('other', ['--openstack-credentials', theirs]);
    const nobody = await cluster.addAgent('nobody');
    expect((await entitled.attach(id)).image).toBe(image.id);
    await expect(other.attach(id)).rejects.toThrow('404');
    await expect(nobody.attach(id)).rejects.toThrow('404');
    for (const path of ['/v1/swarms', '/v1/nodes']) {
      expect(await (await ask(path)).text()).not.toContain(image.id);
      expect(await (await ask(path, admin())).text()).toContain(image.id);
    }
    // Nor was anybody told who has not asked.
    expect(nobody.log).not.toContain(image.id);
    const { code, stdout } = await run(process.execPath, [
      ...[BOOTSWARM, 'images', '--tracker', cluster.url, '--json'],
    ]);
    expect({ code, isThere: stdout.includes(id) }).toEqual({ code: 0, isThere: false });
  });

  test('is for everybody once Glance says so', async () => {
    await glance.ask(owner, 'PATCH', `/v2/images/${id}`, {
      type: 'application/openstack-images-v2.1-json-patch',
      body: JSON.stringify([{ op: 'replace', path: '/visibility', value: 'public' }]),
    });
    await until('it is listed', async () => (await images()).some(({ name }) => name === id));
  });
});
