import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SIGNALLING_VERSION, type TrackerMessage } from '@bootswarm/tracker-proto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ImageSummary } from '../src/api.ts';
import { DataDir } from '../src/data-dir.ts';
import { OriginControl } from '../src/origin-control.ts';
import { runTracker } from '../src/run-tracker.ts';
import { VERSION } from '../src/version.ts';
import { Agent } from './signal-agent.ts';
import { FAKE_ORIGIN, TrackerFixture } from './tracker-fixture.ts';

let fixture: TrackerFixture;

beforeEach(() => {
  fixture = new TrackerFixture();
});

afterEach(() => fixture.end());

const images = async () => (await fixture.json<{ images: ImageSummary[] }>('/v1/images')).images;
const imageDir = (id: string, name = '') => join(fixture.dataDir, 'images', id, name);

describe('a restart', () => {
  test('keeps the images, the key, the token and what is withdrawn', async () => {
    await fixture.start();
    const token = fixture.tracker.adminToken;
    await fixture.published({ source: fixture.image('a.raw', [1]) });
    const gone = await fixture.published({ source: fixture.image('b.raw', [2]) });
    await fixture.withdraw(gone);
    const before = await images();
    await fixture.tracker.close();
    await fixture.start();
    expect(await images()).toEqual(before);
    expect(before.map(({ name }) => name)).toEqual(['a.raw']);
    expect(fixture.tracker.adminToken).toBe(token);
  });

  test('leaves out, but does not delete, directories that are no images', async () => {
    await fixture.start();
    const good = await fixture.published({ source: fixture.image('a.raw', [1]) });
    const others: [string, (path: string) => void][] = [
      ['empty', () => {}],
      ['no-record', (path) => rmSync(join(path, 'image.json'))],
      ['half-a-record', (path) => truncateSync(join(path, 'image.json'), 20)],
      ['no-metainfo', (path) => rmSync(join(path, 'metainfo'))],
      ['another-version', (path) => writeFileSync(join(path, 'image.json'), '{"version": 2}')],
      // Whole, but under a name that is not its id.
      ['0'.repeat(40), () => {}],
    ];
    for (const [name, damage] of others) {
      const path = imageDir(name);
      if (name === 'empty') mkdirSync(path);
      else cpSync(imageDir(good), path, { recursive: true });
      damage(path);
    }
    await fixture.tracker.close();
    await fixture.start();
    expect((await images()).map(({ id }) => id)).toEqual([good]);
    for (const [name] of others) expect(existsSync(imageDir(name))).toBe(true);
  });

  test('marks an image whose disk was cut short as damaged', async () => {
    await fixture.start();
    const id = await fixture.published({ source: fixture.image('a.raw', [1, 2, 3, 4]) });
    await fixture.tracker.close();
    truncateSync(imageDir(id, 'disk.raw'), 100);
    await fixture.start();
    expect((await images())[0]).toMatchObject({ id, state: 'damaged' });
  });
});

test('after kill -9 in the middle of a publish the next tracker has the images before it, and the same origin', async () => {
  await fixture.start();
  const before = await fixture.published({ source: fixture.image('a.raw', [1]) });
  await fixture.tracker.close();

  const web = createServer((_, response) => {
    response.writeHead(200, { 'content-length': 10_000_000 });
    response.write(Buffer.alloc(200_000, 1));
  }).listen(0, '127.0.0.1');
  await once(web, 'listening');

  const script = fileURLToPath(new URL('./tracker-child.ts', import.meta.url));
  const child = spawn(process.execPath, [script, fixture.dataDir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const url = String((await once(child.stdout, 'data'))[0]).trim();
  const requested = once(web, 'request');
  const publishing = fetch(`${url}/v1/images`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${readFileSync(join(fixture.dataDir, 'admin.token'), 'utf8').trim()}`,
      'content-type': 'application/json',
    },
    body: JSON.stringify({
      source: `http://127.0.0.1:${(web.address() as AddressInfo).port}/b.raw`,
    }),
  })
    .then((response) => response.text())
    .then(
      () => 'answered',
      () => 'cut off',
    );
  await requested;
  expect(readdirSync(join(fixture.dataDir, 'staging'))).toHaveLength(1);
  const originBefore = await originPid();

  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
  expect(await publishing).toBe('cut off');
  expect(await originPid()).toBe(originBefore);

  await fixture.start();
  expect((await images()).map(({ id }) => id)).toEqual([before]);
  expect(readdirSync(join(fixture.dataDir, 'staging'))).toEqual([]);
  expect(await originPid()).toBe(originBefore);
  web.closeAllConnections();
  web.close();
  await once(web, 'close');
});

test('nodes and the origin are told of a withdrawal also when files of the image cannot be removed', async () => {
  await fixture.start();
  const id = await fixture.published({ source: fixture.image('a.raw', [1]) });
  const agent = new Agent(Number(new URL(fixture.tracker.url).port));
  await once(agent.socket, 'open');
  agent.say({
    ...{ type: 'hello', version: SIGNALLING_VERSION, node: 'one', zone: 'z', rack: 'r' },
    address: { host: '', port: 6_881 },
  });
  agent.say({ type: 'join', image: id, piecesHad: 0 });
  putIrremovable(imageDir(id));
  const servedByOrigin = () =>
    atOrigin(async (origin) => Object.keys((await origin.request('stats', {}, 5_000)).images));
  expect(await servedByOrigin()).toEqual([id]);

  expect((await fixture.withdraw(id)).status).toBe(204);
  let told: TrackerMessage;
  do told = await agent.next();
  while (told.type !== 'withdrawn');
  expect(told.image).toBe(id);
  expect(await servedByOrigin()).toEqual([]);
  expect(await images()).toEqual([]);
  agent.socket.terminate();

  // What is left is no reason not to start.
  await fixture.tracker.close();
  await fixture.start();
  expect(await images()).toEqual([]);
});

/** Puts below `directory` a path that is too long for the kernel, so that a recursive removal by path fails. */
function putIrremovable(directory: string): void {
  const half = Array(12).fill('d'.repeat(250)).join('/');
  const aside = join(fixture.path, 'aside');
  mkdirSync(join(aside, half), { recursive: true });
  mkdirSync(join(directory, half), { recursive: true });
  renameSync(aside, join(directory, half, 'aside'));
}

function originPid(): Promise<number> {
  return atOrigin(async (origin) => (await origin.request('hello', {}, 5_000)).pid);
}

async function atOrigin<T>(ask: (origin: OriginControl) => Promise<T>): Promise<T> {
  const control = await OriginControl.connect(join(fixture.dataDir, 'origin.sock'));
  const answer = await ask(control);
  control.close();
  return answer;
}

describe('a tracker that cannot start', () => {
  const start = (change: object = {}) =>
    runTracker({
      dataDir: fixture.dataDir,
      listen: { host: '127.0.0.1', port: 0 },
      originListen: { host: '127.0.0.1', port: 0 },
      logLevel: 'silent',
      originMain: FAKE_ORIGIN,
      ...change,
    });

  test('says who uses its data directory', async () => {
    await fixture.start();
    await expect(start()).rejects.toMatchObject({
      code: 'data-dir-in-use',
      message: expect.stringContaining(String(process.pid)),
    });
    await fixture.tracker.close();
    await fixture.start();
  });

  test('says that its data directory cannot be one', async () => {
    const file = join(fixture.path, 'file');
    writeFileSync(file, '');
    for (const dataDir of [file, join(file, 'below'), join(fixture.path, 'x'.repeat(100))]) {
      await expect(start({ dataDir })).rejects.toMatchObject({ code: 'data-dir' });
    }
  });

  test.each([0o640, 0o604, 0o660])('refuses secrets of mode %o', async (mode) => {
    await fixture.start();
    await fixture.tracker.close();
    for (const name of ['publisher.key', 'admin.token']) {
      const path = join(fixture.dataDir, name);
      chmodSync(path, mode);
      await expect(start()).rejects.toMatchObject({ code: 'secret-exposed' });
      chmodSync(path, 0o600);
    }
  });

  test('refuses a key that is none and a token that is too short', async () => {
    await fixture.start();
    await fixture.tracker.close();
    for (const [name, code] of [
      ['publisher.key', 'publisher-key'],
      ['admin.token', 'admin-token'],
    ]) {
      const path = join(fixture.dataDir, name);
      const content = readFileSync(path);
      writeFileSync(path, 'short\n');
      await expect(start()).rejects.toMatchObject({ code });
      writeFileSync(path, content);
    }
  });

  test('names the address it cannot listen on, and leaves neither lock nor origin behind', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as AddressInfo;
    await expect(start({ listen: { host: '127.0.0.1', port } })).rejects.toMatchObject({
      code: 'listen',
      message: expect.stringContaining(`127.0.0.1:${port}`),
    });
    taken.close();
    await expect(originPid()).rejects.toThrow();
    new DataDir(fixture.dataDir).unlock();
  });
});

const HAS_IPV6 = Object.values(networkInterfaces())
  .flat()
  .some((each) => each?.address === '::1');
const WILDCARDS = [
  ['0.0.0.0', '127.0.0.1'],
  ['::', '[::1]'],
];

test.each(WILDCARDS.slice(0, HAS_IPV6 ? 2 : 1))(
  'listens on every address, %s, and gives a URL of use on this host',
  async (host, dialled) => {
    const tracker = await runTracker({
      dataDir: fixture.dataDir,
      listen: { host, port: 0 },
      originListen: { host, port: 0 },
      logLevel: 'silent',
      originMain: FAKE_ORIGIN,
    });
    fixture.tracker = tracker;
    expect(new URL(tracker.url).hostname).toBe(dialled);
    // Agents put the host of the tracker's URL in the place of this one.
    expect(tracker.origin.host).toBe(host);
    expect((await fixture.fetch('/healthz')).status).toBe(200);
  },
);

test('has the version of its package', () => {
  const path = new URL('../package.json', import.meta.url);
  expect(JSON.parse(readFileSync(path, 'utf8')).version).toBe(VERSION);
});
