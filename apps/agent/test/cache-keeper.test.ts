import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { CacheDirectory, CachePieceStore } from '@bootswarm/piece-store';
import { SwarmHost } from '@bootswarm/swarm-driver';
import pino from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { CacheKeeper, type CacheKeeperOptions } from '../src/cache-keeper.ts';
import { CatalogueClient } from '../src/catalogue-client.ts';
import { ImageLibrary } from '../src/image-library.ts';
import { PublisherPin } from '../src/publisher-pin.ts';
import { CatalogueServer, PIECE_LENGTH, signedImage } from './catalogue-server.ts';

const IMAGE = signedImage('debian-12');
const OTHER = signedImage('alpine', { seed: 2 });
const PATH = process.env.PATH;

let directory: string;
let cache: CacheDirectory;
let host: SwarmHost;
let server: CatalogueServer;
let library: ImageLibrary;
let options: CacheKeeperOptions;
let logged: { msg: string; image?: string; hint?: string }[];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'cache-keeper-'));
  server = await CatalogueServer.start(IMAGE, OTHER);
  cache = await CacheDirectory.open(join(directory, 'cache'));
  host = new SwarmHost({
    listen: { host: '127.0.0.1', port: 0 },
    self: { kind: 'ours', node: 'n', zone: 'z', rack: 'r', isOrigin: false },
    foreignPeersAllowed: false,
    onEvent: () => {},
    onMistake: (error) => {
      throw error;
    },
  });
  await host.listen();
  logged = [];
  const log = pino(
    new Writable({ write: (line, _, done) => done(void logged.push(JSON.parse(line))) }),
  );
  library = new ImageLibrary({
    ...{ cache, host, log, hotBytesMax: 0, fill: 'never' },
    catalogue: new CatalogueClient(server.url),
    pin: new PublisherPin(cache.path, undefined),
    onJoining: () => {},
    onGivenUp: () => {},
    onTouched: () => {},
    onOpened: () => {},
  });
  options = { cache, library, log, scrubBytesPerSecond: 0, cacheBytesMax: 1, evictRunning: false };
});

afterEach(async () => {
  process.env.PATH = PATH;
  await library.close();
  await host.close();
  cache.close();
  await server.stop();
  rmSync(directory, { recursive: true });
});

/** A program that is found first. */
function standIn(name: string, script: string): void {
  const bin = join(directory, 'bin');
  mkdirSync(bin);
  writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(bin, name), 0o755);
  process.env.PATH = `${bin}:${PATH}`;
}

/** A guest reads it, and one piece of it is in the cache. */
async function use({ id, metainfo, layer, bytes }: typeof IMAGE): Promise<void> {
  const store = await CachePieceStore.open({
    ...{ directory: await cache.openImage(id), metainfo, layer },
    onEvent: () => {},
  });
  await store.write(0, Buffer.from(bytes.subarray(0, PIECE_LENGTH)), false);
  await store.close();
  (await library.ensure(id)).isAttached = true;
}

/** Has looked at the cache. */
async function looked(more: Partial<CacheKeeperOptions>): Promise<CacheKeeper> {
  const keeper = new CacheKeeper({ ...options, ...more });
  keeper.tick(0);
  await keeper.close();
  return keeper;
}

const told = () => logged.map(({ msg }) => msg);

test('a limit holds although the pieces of an image in use cannot be given back', async () => {
  await use(IMAGE);
  standIn('fallocate', 'echo "fallocate failed: Operation not supported" >&2; exit 1');
  const keeper = await looked({ evictRunning: true });
  expect(keeper.status().isFull).toBe(true);
  expect(told()).toEqual(['space of evicted pieces not given back']);
  expect(logged[0]).toMatchObject({ image: IMAGE.id, hint: expect.stringContaining('fallocate') });
});

test('a limit holds although the use of an image cannot be noted', async () => {
  await use(IMAGE);
  await use(OTHER);
  rmSync(join(cache.path, IMAGE.id, 'metainfo'));
  const keeper = await looked({});
  expect(keeper.status().isFull).toBe(true);
  expect(told()).toEqual(['use of an image not noted']);
});

/** Both are in the cache and nobody uses them; the first for longer. */
async function leaveBoth(): Promise<void> {
  for (const [age, image] of [IMAGE, OTHER].entries()) {
    await use(image);
    (await library.ensure(image.id)).isAttached = false;
    utimesSync(join(cache.path, image.id, 'metainfo'), age, age);
  }
}

const inCache = async () => (await cache.list()).map(({ imageId }) => imageId);

test('an image that is wanted while others leave stays', async () => {
  await leaveBoth();
  const other = await library.ensure(OTHER.id);
  const onEvicted = new Writable({
    write: (_line, _, done) => {
      other.wantedAt = Date.now();
      done();
    },
  });
  await looked({ log: pino(onEvicted) });
  expect(await inCache()).toEqual([OTHER.id]);
});

test('an image that was wanted by a clock that was ahead leaves all the same', async () => {
  await leaveBoth();
  for (const { id } of [IMAGE, OTHER]) {
    (await library.ensure(id)).wantedAt = Date.now() + 3_600_000;
  }
  await looked({});
  expect(await inCache()).toEqual([]);
});

test('an image that cannot be removed keeps no other from leaving', async () => {
  await leaveBoth();
  // As a removal that the disk cut short leaves it.
  mkdirSync(join(cache.path, `${IMAGE.id}.removed`, 'rest'), { recursive: true });
  await looked({});
  expect(await inCache()).toEqual([IMAGE.id]);
  expect(logged).toMatchObject([
    { msg: 'image evicted', image: IMAGE.id },
    { msg: 'image not removed', image: IMAGE.id },
    { msg: 'image evicted', image: OTHER.id },
  ]);
});

test('does not try every second what did not succeed', async () => {
  await use(IMAGE);
  standIn('fallocate', `echo once >> ${join(directory, 'calls')}; exit 1`);
  const keeper = new CacheKeeper({ ...options, evictRunning: true });
  const tick = async (now: number): Promise<void> => {
    keeper.tick(now);
    await keeper.idle();
  };
  for (let second = 0; second < 60; second += 1) await tick(second * 1_000);
  expect(readFileSync(join(directory, 'calls'), 'utf8')).toBe('once\n');
  await tick(60_000);
  expect(readFileSync(join(directory, 'calls'), 'utf8')).toBe('once\nonce\n');
  await keeper.close();
});

test('forgets an image that is no more', async () => {
  await use(IMAGE);
  const keeper = new CacheKeeper({ ...options, cacheBytesMax: undefined });
  const look = async (now: number): Promise<void> => {
    keeper.tick(now);
    await keeper.idle();
  };
  await look(0);
  expect(keeper.useOf(IMAGE.id).lastUsedAt).not.toBeNull();
  await library.evict(IMAGE.id);
  await look(60_000);
  expect(keeper.useOf(IMAGE.id)).toEqual({ diskBytes: 0, lastUsedAt: null });
  await keeper.close();
});
