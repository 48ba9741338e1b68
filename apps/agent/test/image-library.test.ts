import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { CacheDirectory } from '@bootswarm/piece-store';
import { SwarmHost } from '@bootswarm/swarm-driver';
import pino from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CatalogueClient } from '../src/catalogue-client.ts';
import { ImageLibrary } from '../src/image-library.ts';
import { PublisherPin } from '../src/publisher-pin.ts';
import { answer, CatalogueServer, OTHER_KEY, signedImage } from './catalogue-server.ts';
import { Queue } from './signal-rig.ts';

const IMAGE = signedImage('debian-12');
const OTHER = signedImage('alpine', { seed: 2 });

/** What an agent has of images, until it stops. */
interface Running {
  readonly library: ImageLibrary;
  /** Ids, as they were opened. */
  readonly opened: string[];
  stop(): Promise<void>;
}

let directory: string;
let server: CatalogueServer;
let running: Running[];
let memberships: string[];
let logged: { image?: string; msg: string; error?: string }[];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'image-library-'));
  server = await CatalogueServer.start(IMAGE, OTHER);
  running = [];
  memberships = [];
  logged = [];
});

afterEach(async () => {
  for (const each of running) await each.stop();
  await server.stop();
  rmSync(directory, { recursive: true });
});

async function start(): Promise<Running> {
  const cache = await CacheDirectory.open(directory);
  const host = new SwarmHost({
    listen: { host: '127.0.0.1', port: 0 },
    self: { kind: 'ours', node: 'n', zone: 'z', rack: 'r', isOrigin: false },
    foreignPeersAllowed: false,
    onEvent: () => {},
    onMistake: (error) => {
      throw error;
    },
  });
  await host.listen();
  const opened: string[] = [];
  const library = new ImageLibrary({
    ...{ cache, host, hotBytesMax: 0, fill: 'never' },
    catalogue: new CatalogueClient(server.url),
    pin: new PublisherPin(cache.path, undefined),
    log: pino(new Writable({ write: (line, _, done) => done(void logged.push(JSON.parse(line))) })),
    onJoining: (imageId) => memberships.push(`joins ${imageId.slice(0, 4)}`),
    onGivenUp: (imageId) => memberships.push(`leaves ${imageId.slice(0, 4)}`),
    onTouched: () => {},
    onOpened: ({ id }) => opened.push(id),
    layerStallMs: 50,
  });
  const started = {
    library,
    opened,
    stop: async () => {
      running = running.filter((each) => each !== started);
      await library.close();
      await host.close();
      cache.close();
    },
  };
  running.push(started);
  await library.openCached();
  return started;
}

async function restart(): Promise<Running> {
  for (const each of running) await each.stop();
  return start();
}

const cached = (name: string, { id } = IMAGE) => join(directory, id, name);

test('an image is fetched once, however many want it by whatever name', async () => {
  const { library, opened } = await start();
  const names = ['debian-12', IMAGE.id, IMAGE.id.slice(0, 12)];
  const sessions = await Promise.all(names.map((name) => library.ensure(name)));
  expect(new Set(sessions).size).toBe(1);
  expect(sessions[0].metainfo.name).toBe('debian-12');
  expect(opened).toEqual([IMAGE.id]);
  expect(server.asked.filter((path) => path.endsWith('/metainfo'))).toHaveLength(1);
});

test('a restart without a tracker finds the images of the cache, and where their pieces are', async () => {
  const dialled = new Queue<Socket>();
  const origin = createServer((socket) => dialled.push(socket)).listen(0, '127.0.0.1');
  await once(origin, 'listening');
  const { port } = origin.address() as AddressInfo;
  const first = await start();
  await first.library.ensure('debian-12');
  first.library.setMembers(IMAGE.id, { members: [], origins: [{ host: '127.0.0.1', port }] });
  await dialled.next();
  first.library.tick();
  await expect.poll(() => existsSync(cached('members'))).toBe(true);
  await server.stop();

  const { library, opened } = await restart();
  expect(opened).toEqual([IMAGE.id]);
  for (const name of ['debian-12', IMAGE.id, IMAGE.id.slice(0, 4)]) {
    expect((await library.ensure(name)).id).toBe(IMAGE.id);
    expect(library.find(name).id).toBe(IMAGE.id);
  }
  (await dialled.next()).destroy();
  origin.close();
});

test('without a tracker what is not in the cache is told as that', async () => {
  const { library } = await start();
  await server.stop();
  await expect(library.ensure('debian-12')).rejects.toMatchObject({ code: 'tracker-unreachable' });
  expect(() => library.find('debian-12')).toThrow(
    expect.objectContaining({ code: 'image-not-found' }),
  );
});

describe('a cached image is skipped with a log line, and fetched again, when', () => {
  test.each<[string, () => void]>([
    ['its metainfo is damaged', () => writeFileSync(cached('metainfo'), 'd4:info')],
    ['its metainfo is empty', () => writeFileSync(cached('metainfo'), '')],
    ['its metainfo is too long', () => writeFileSync(cached('metainfo'), Buffer.alloc(100_000))],
    [
      'its files are those of another',
      () => {
        writeFileSync(cached('metainfo'), OTHER.metainfoBytes);
      },
    ],
    [
      'its metainfo is signed with another key',
      () => {
        const { metainfoBytes } = signedImage('debian-12', { key: OTHER_KEY });
        writeFileSync(cached('metainfo'), metainfoBytes);
      },
    ],
    [
      'its metainfo is of the version before',
      () => {
        const text = Buffer.from(IMAGE.metainfoBytes).toString('latin1');
        writeFileSync(cached('metainfo'), text.replace('7:versioni2e', '7:versioni1e'), 'latin1');
      },
    ],
  ])('%s', async (_, damage) => {
    await (await start()).library.ensure('debian-12');
    await running[0].stop();
    damage();
    const { library, opened } = await restart();
    expect(opened).toEqual([]);
    expect(logged).toMatchObject([{ image: IMAGE.id, msg: 'cached image not opened' }]);
    expect(logged[0].error).not.toBe('');
    expect((await library.ensure('debian-12')).id).toBe(IMAGE.id);
    expect((await restart()).opened).toEqual([IMAGE.id]);
  });
});

test('one damaged image does not keep the others from being opened', async () => {
  const { library } = await start();
  await library.ensure('debian-12');
  await library.ensure('alpine');
  await running[0].stop();
  writeFileSync(cached('metainfo'), '');
  expect((await start()).opened).toEqual([OTHER.id]);
});

test('member lists that are damaged cost nothing but themselves', async () => {
  await (await start()).library.ensure('debian-12');
  await running[0].stop();
  writeFileSync(cached('members'), '{"version":1,"members":[7]');
  expect((await start()).opened).toEqual([IMAGE.id]);
  expect(logged).toEqual([]);
});

test('a tracker cannot pass off another image under a name, even one it may serve', async () => {
  server.answers.set('/v1/images/debian-12', answer(200, JSON.stringify({ id: OTHER.id })));
  const { library } = await start();
  for (const _ of ['fetched', 'known']) {
    await expect(library.ensure('debian-12')).rejects.toMatchObject({
      code: 'tracker-answer',
      message: expect.stringContaining('signed as alpine'),
    });
  }
});

test('after the first image those of another publisher are refused', async () => {
  const stranger = signedImage('stranger', { key: OTHER_KEY, seed: 3 });
  server.publish(stranger);
  const { library } = await start();
  await library.ensure('debian-12');
  await expect(library.ensure('stranger')).rejects.toMatchObject({ code: 'tracker-answer' });
  expect(existsSync(cached('metainfo', stranger))).toBe(false);
});

test('of two first images of two publishers, on their way at once, one is refused', async () => {
  const stranger = signedImage('stranger', { key: OTHER_KEY, seed: 3 });
  server.publish(stranger);
  const { library } = await start();
  const results = await Promise.allSettled(['debian-12', 'stranger'].map((n) => library.ensure(n)));
  const refused = results.filter((each) => each.status === 'rejected');
  expect(refused.map(({ reason }) => reason.code)).toEqual(['publisher-pin']);
  expect(readFileSync(join(directory, 'publisher.pub'), 'utf8')).toMatch(/^[0-9a-f]{64}\n$/);
});

test('an image that is let go can be opened again at once', async () => {
  const { library, opened } = await start();
  await library.ensure('debian-12');
  const released = library.release(IMAGE.id);
  expect(library.get(IMAGE.id)).toBeUndefined();
  const again = library.ensure('debian-12');
  await released;
  expect((await again).id).toBe(IMAGE.id);
  expect(opened).toEqual([IMAGE.id, IMAGE.id]);
});

test('files are removed when whoever is letting go of the image has closed them', async () => {
  const { library } = await start();
  const session = await library.ensure('debian-12');
  const steps: string[] = [];
  const close = session.close.bind(session);
  session.close = async () => {
    await close();
    steps.push(existsSync(join(directory, IMAGE.id)) ? 'closed' : 'closed too late');
  };
  const released = library.release(IMAGE.id);
  const evicted = library.evict(IMAGE.id).then(() => steps.push('evicted'));
  await Promise.all([released, evicted]);
  expect(steps).toEqual(['closed', 'evicted']);
});

test('an image that arrives after the end is not opened, and leaves no trace', async () => {
  const { library, stop } = await start();
  const asked = Promise.withResolvers<() => void>();
  server.answers.set(`/v1/images/${IMAGE.id}/metainfo`, (response) => {
    asked.resolve(() => void response.end(IMAGE.metainfoBytes));
  });
  const ensured = library.ensure('debian-12');
  const refused = expect(ensured).rejects.toMatchObject({ code: 'agent-stopping' });
  const goOn = await asked.promise;
  await stop();
  goOn();
  await refused;
  expect([...library.sessions]).toEqual([]);
  expect(existsSync(cached('metainfo'))).toBe(false);
});
