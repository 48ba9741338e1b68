import { existsSync, mkdirSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { AgentStatus, ExportInfo, TouchedPieces, VmInfo } from '../src/api.ts';
import { answer, signedImage } from './catalogue-server.ts';
import { TestAgent } from './test-agent.ts';

const IMAGE = signedImage('debian-12');
const OTHER = signedImage('alpine', { seed: 2 });

let agent: TestAgent;

beforeEach(async () => {
  agent = await TestAgent.start([IMAGE, OTHER]);
});

afterEach(() => agent.end());

const ask: TestAgent['ask'] = (...args) => agent.ask(...args);
const status = async () => (await ask('GET', '/v1/status')).body as AgentStatus;
const createVm = (name: string, more = {}) =>
  ask('POST', '/v1/vms', { image: 'debian-12', name, ...more });

/** What every refusal looks like. */
const problem = (httpStatus: number, code: string) => ({
  status: httpStatus,
  type: 'application/problem+json',
  body: {
    title: code.replaceAll('-', ' '),
    status: httpStatus,
    code,
    detail: expect.stringMatching(/\w/),
    hint: expect.stringMatching(/\w.*\.|: bootswarm \w+$/),
  },
});

describe('the socket', () => {
  test('is for its owner and group', () => {
    expect(statSync(join(agent.runDir, 'agent.sock')).mode & 0o777).toBe(0o660);
  });

  test.each([
    '/',
    '/v1',
    '/v1/statuses',
    '/v1/status/',
    '/v1/vms/a/b',
    '/v2/status',
    '/v1/exports//',
    '//',
    '//[',
  ])('has nothing at %s', async (path) => {
    expect(await ask('GET', path)).toEqual(problem(404, 'route-not-found'));
  });

  test.each([
    ['PUT', '/v1/status'],
    ['GET', '/v1/exports'],
    ['POST', '/v1/vms/web-1'],
  ])('has no %s %s', async (method, path) => {
    expect(await ask(method, path)).toEqual(problem(405, 'method-not-allowed'));
  });

  test.each(['/v1/vms/%ff', '/v1/images/%/touched'])('refuses the path %s', async (path) => {
    expect(await ask('GET', path)).toEqual(problem(400, 'path-malformed'));
  });

  test.each(['?x=1', '?force=2', '?force=1&x=1'])('refuses the query %s', async (query) => {
    expect(await ask('DELETE', `/v1/vms/web-1${query}`)).toEqual(problem(400, 'bad-request'));
  });

  test.each(['{', 'null', '[]', '7', '"debian-12"', '{"image":"debian-12"'])(
    'refuses a body like %s',
    async (body) => {
      expect(await ask('POST', '/v1/exports', body)).toEqual(problem(400, 'bad-request'));
    },
  );

  test('answers that a body is too long, and does not just hang up', async () => {
    const body = `{"image":"${'x'.repeat(1_000_000)}"}`;
    expect(await ask('POST', '/v1/exports', body)).toEqual(problem(400, 'bad-request'));
  });

  test('goes on after callers that break off or talk nonsense', async () => {
    for (const text of [
      'nonsense\r\n\r\n',
      'POST /v1/vms HTTP/1.1\r\ncontent-length: 99\r\n\r\n{',
    ]) {
      const socket = connect(join(agent.runDir, 'agent.sock'));
      const closed = new Promise((resolve) => socket.on('close', resolve));
      socket.on('error', () => {});
      socket.end(text);
      socket.resume();
      await closed;
    }
    expect((await ask('GET', '/v1/status')).status).toBe(200);
  });
});

test('tells its status', async () => {
  expect(await ask('GET', '/v1/status')).toEqual({
    status: 200,
    type: 'application/json',
    body: {
      ...{ version: expect.stringMatching(/^\d+\.\d+\.\d+$/), node: 'n1', zone: 'z', rack: 'r' },
      ...{ pid: process.pid, uptimeSeconds: expect.any(Number), rssBytes: expect.any(Number) },
      tracker: { url: agent.tracker.url, isConnected: false },
      peerAddress: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
      cacheDir: agent.cacheDir,
      cache: { bytesUsed: 0, bytesMax: null, isFull: false, scrubBytesPerSecond: 0 },
      nbdSocket: join(agent.runDir, 'nbd.sock'),
      nbd: { connections: 0, replyBytes: 0, replyBytesMax: 2 ** 26 },
      ...{ images: [], vms: [], supervision: { by: 'nobody' }, alarms: [] },
    },
  });
});

describe('exports', () => {
  test('are made of an image by name, and are gone when it is detached', async () => {
    const attached = await ask('POST', '/v1/exports', { image: 'debian-12' });
    const socket = join(agent.runDir, 'nbd.sock');
    expect(attached).toMatchObject({ status: 200, type: 'application/json' });
    expect(attached.body).toEqual({
      ...{ image: IMAGE.id, imageName: 'debian-12', length: IMAGE.metainfo.length, socket },
      ...{ export: IMAGE.id, uri: `nbd+unix:///${IMAGE.id}?socket=${socket}` },
    } satisfies ExportInfo);
    expect((await status()).images).toMatchObject([{ id: IMAGE.id, isAttached: true }]);
    // Again is no mistake.
    expect((await ask('POST', '/v1/exports', { image: IMAGE.id })).status).toBe(200);

    const path = `/v1/exports/${IMAGE.id.slice(0, 12)}`;
    const detached = { status: 204, type: undefined, body: undefined };
    expect(await ask('DELETE', path)).toEqual(detached);
    expect((await status()).images).toMatchObject([{ id: IMAGE.id, isAttached: false }]);
    expect(await ask('DELETE', path)).toEqual(problem(404, 'not-attached'));
  });

  test('are there again after a restart without a tracker', async () => {
    await ask('POST', '/v1/exports', { image: 'debian-12' });
    await agent.stopAgent();
    await agent.tracker.stop();
    await agent.startAgent();
    expect((await status()).images).toMatchObject([{ id: IMAGE.id, isAttached: true }]);
  });

  test.each([{}, { image: '' }, { image: 7 }, { image: null }, { name: 'debian-12' }])(
    'are not made of %j',
    async (body) => {
      expect(await ask('POST', '/v1/exports', body)).toEqual(problem(400, 'bad-request'));
    },
  );

  test('are not made of what the tracker does not have, cannot tell apart, or tells wrongly', async () => {
    const attach = (image: string) => ask('POST', '/v1/exports', { image });
    expect(await attach('fedora')).toEqual(problem(404, 'image-not-found'));
    const words = '{"detail":"may be two.","hint":"Give more."}';
    agent.tracker.answers.set('/v1/images/a', answer(409, words));
    expect(await attach('a')).toEqual(problem(409, 'image-ambiguous'));
    agent.tracker.answers.set('/v1/images/b', answer(500));
    expect(await attach('b')).toEqual(problem(502, 'tracker-answer'));
    await agent.tracker.stop();
    expect(await attach('debian-12')).toEqual(problem(503, 'tracker-unreachable'));
  });

  test('of an image that is not here cannot be detached', async () => {
    expect(await ask('DELETE', '/v1/exports/debian-12')).toEqual(problem(404, 'image-not-found'));
  });
});

describe('evicting', () => {
  test('removes an image that nobody uses from the cache, and no other', async () => {
    await ask('POST', '/v1/exports', { image: 'debian-12' });
    const path = '/v1/images/debian-12';
    expect(await ask('DELETE', path)).toEqual(problem(409, 'image-in-use'));
    await ask('POST', '/v1/vms', { image: 'debian-12', name: 'web-1' });
    await ask('DELETE', '/v1/exports/debian-12');
    expect(await ask('DELETE', path)).toEqual(problem(409, 'image-in-use'));
    await ask('DELETE', '/v1/vms/web-1');
    expect(existsSync(join(agent.cacheDir, IMAGE.id, 'cache.raw'))).toBe(true);
    expect((await ask('DELETE', path)).status).toBe(204);
    expect(existsSync(join(agent.cacheDir, IMAGE.id))).toBe(false);
    expect((await status()).images).toEqual([]);
    expect(await ask('DELETE', path)).toEqual(problem(404, 'image-not-found'));
    // And it may come again.
    expect((await ask('POST', '/v1/exports', { image: 'debian-12' })).status).toBe(200);
  });
});

describe('touched pieces', () => {
  test('are a bitfield of the image', async () => {
    await ask('POST', '/v1/exports', { image: 'debian-12' });
    const { pieceCount, pieceLength, length } = IMAGE.metainfo;
    expect(await ask('GET', '/v1/images/debian-12/touched')).toEqual({
      ...{ status: 200, type: 'application/json' },
      body: {
        ...{ image: IMAGE.id, pieceCount, pieceLength, length, bitfield: 'AA==' },
      } satisfies TouchedPieces,
    });
  });

  test('are not told of an image that is not here', async () => {
    const answered = await ask('GET', '/v1/images/debian-12/touched');
    expect(answered).toEqual(problem(404, 'image-not-found'));
  });
});

describe('VMs', () => {
  test('are made, listed and removed', async () => {
    const made = await createVm('web-1', { sizeBytes: 2 ** 30 });
    const overlay = join(agent.cacheDir, 'vms', 'web-1.qcow2');
    expect(made).toMatchObject({ status: 200, type: 'application/json' });
    const vm = made.body as VmInfo;
    expect(vm).toMatchObject({
      ...{ name: 'web-1', image: IMAGE.id, imageName: 'debian-12', overlay },
      ...{ socket: join(agent.runDir, 'nbd.sock'), export: `${IMAGE.id}@web-1` },
    });
    expect(vm.qemuCommand.join(' ')).toContain('-accel kvm -accel tcg');
    expect(vm.libvirtDiskXml).toContain(overlay);
    expect(await ask('GET', '/v1/vms')).toEqual({
      ...{ status: 200, type: 'application/json' },
      body: { vms: (await status()).vms },
    });
    expect((await status()).vms).toMatchObject([{ name: 'web-1', connections: 0 }]);
    expect((await ask('DELETE', '/v1/vms/web-1')).status).toBe(204);
    expect((await status()).vms).toEqual([]);
  });

  test.each<[object, string]>([
    [{ name: 'web-1' }, 'bad-request'],
    [{ image: 'debian-12' }, 'bad-request'],
    [{ image: 'debian-12', name: 7 }, 'bad-request'],
    [{ image: 'debian-12', name: 'web-1', sizeBytes: '1G' }, 'bad-request'],
    [{ image: 'debian-12', name: 'web-1', sizeBytes: -1 }, 'bad-request'],
    [{ image: 'debian-12', name: 'web-1', sizeBytes: 1.5 }, 'bad-request'],
    [{ image: 'debian-12', name: 'web-1', sizeBytes: 1 }, 'vm-size-invalid'],
    [{ image: 'debian-12', name: '../web' }, 'vm-name-invalid'],
    [{ image: 'debian-12', name: 'web-1', qmp: 7 }, 'bad-request'],
    [{ image: 'debian-12', name: 'web-1', qmp: 'here' }, 'vm-qmp-invalid'],
  ])('are not made of %j', async (body, code) => {
    expect(await ask('POST', '/v1/vms', body)).toEqual(problem(400, code));
    expect((await status()).vms).toEqual([]);
  });

  test('are shown with the QMP socket that was asked for', async () => {
    const { body } = await createVm('web-1', { qmp: '/run/web-1.qmp' });
    expect(body).toMatchObject({ qmp: '/run/web-1.qmp', backing: 'swarm' });
    expect(await ask('GET', '/v1/vms/web-1')).toEqual({
      ...{ status: 200, type: 'application/json', body },
    });
    expect(await ask('GET', '/v1/vms/web-2')).toEqual(problem(404, 'vm-not-found'));
  });

  test.each<[string, object, number, string]>([
    ['web-2/pivot', {}, 404, 'vm-not-found'],
    ['web-1/pivot', {}, 409, 'vm-not-running'],
    ['web-2/rebase', { to: 'local' }, 404, 'vm-not-found'],
    ['web-2/rebase', { to: 'swarm' }, 404, 'vm-not-found'],
    ['web-1/rebase', { to: 'local' }, 409, 'image-incomplete'],
    ['web-1/rebase', {}, 400, 'bad-request'],
    ['web-1/rebase', { to: 'tape' }, 400, 'bad-request'],
    ['web-2/flatten', {}, 404, 'vm-not-found'],
    ['web-1/melt', {}, 404, 'route-not-found'],
  ])('are not moved by %s %j when it cannot be', async (path, body, code, reason) => {
    await createVm('web-1');
    expect(await ask('POST', `/v1/vms/${path}`, body)).toEqual(problem(code, reason));
    expect((await status()).vms).toMatchObject([{ backing: 'swarm', isMoving: false }]);
  });

  test('that run and cannot be reached are told so', async () => {
    await createVm('web-1');
    writeFileSync(join(agent.cacheDir, 'vms', 'web-1.qcow2.locked'), '');
    expect(await ask('POST', '/v1/vms/web-1/pivot')).toEqual(problem(502, 'qmp-unreachable'));
  });

  test('of one name are one, and what is not there is not removed', async () => {
    await createVm('web-1');
    expect(await createVm('web-1')).toEqual(problem(409, 'vm-exists'));
    expect(await ask('DELETE', '/v1/vms/web-2')).toEqual(problem(404, 'vm-not-found'));
    expect(await ask('DELETE', '/v1/vms/web-2?force=1')).toEqual(problem(404, 'vm-not-found'));
  });

  test('that run are removed only by force', async () => {
    await createVm('web-1');
    writeFileSync(join(agent.cacheDir, 'vms', 'web-1.qcow2.locked'), '');
    for (const path of ['/v1/vms/web-1', '/v1/vms/web-1?force=0']) {
      expect(await ask('DELETE', path)).toEqual(problem(409, 'vm-running'));
    }
    expect((await ask('DELETE', '/v1/vms/web-1?force=1')).status).toBe(204);
  });

  test('that could not be removed for our own fault are told so, and can be removed later', async () => {
    await createVm('web-1');
    const { PATH } = process.env;
    process.env.PATH = agent.directory;
    expect(await ask('DELETE', '/v1/vms/web-1')).toEqual(problem(500, 'tool-missing'));
    process.env.PATH = PATH;
    expect((await ask('DELETE', '/v1/vms/web-1')).status).toBe(204);
  });

  test('that were removed by half are removed to the end', async () => {
    await createVm('web-1');
    const overlay = join(agent.cacheDir, 'vms', 'web-1.qcow2');
    rmSync(overlay);
    mkdirSync(overlay);
    expect(await ask('DELETE', '/v1/vms/web-1')).toMatchObject({ status: 500 });
    expect((await status()).vms).toEqual([]);
    rmdirSync(overlay);
    expect((await ask('DELETE', '/v1/vms/web-1')).status).toBe(204);
    expect((await createVm('web-1')).status).toBe(200);
  });
});

test('an agent makes way for its successor although whoever asked for that has hung up', async () => {
  await agent.stopAgent();
  const [asked, loaded] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const prepareSuccessor = () => {
    asked.resolve();
    return loaded.promise;
  };
  await agent.startAgent({ prepareSuccessor });
  const client = connect(join(agent.runDir, 'agent.sock'));
  client.write('POST /v1/upgrade HTTP/1.1\r\nhost: agent\r\n\r\n');
  await asked.promise;
  client.destroy();
  // By the time that this is answered the agent knows.
  await status();
  loaded.resolve();
  await agent.replaced;
});
