/** Images whose piece layer is too long for the metainfo: a library, a seeder of the layer and a tracker, on real sockets. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { carryLayer, type LayerTorrent } from '@bootswarm/metainfo';
import { CacheDirectory, MemoryPieceStore, type PieceStore } from '@bootswarm/piece-store';
import { Bitfield, BufferPool, Random } from '@bootswarm/stdx';
import { type SwarmEvent, SwarmHost } from '@bootswarm/swarm-driver';
import pino from 'pino';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { CatalogueClient } from '../src/catalogue-client.ts';
import { ImageLibrary } from '../src/image-library.ts';
import { PublisherPin } from '../src/publisher-pin.ts';
import type { SwarmView } from '../src/swarm-view.ts';
import {
  answer,
  CatalogueServer,
  imageOf,
  type SignedImage,
  signedWith,
} from './catalogue-server.ts';

/** The shortest that does not fit: two pieces of 16 KiB. */
const PIECES = 600;

let image: SignedImage;
let packed: Uint8Array;
let torrent: LayerTorrent;
let directory: string;
let server: CatalogueServer;
let undo: (() => unknown)[];
let memberships: string[];
let logged: { msg: string; reason?: string; error?: string }[];
let library: ImageLibrary;
let listeningPort: number;
let events: SwarmEvent[];

beforeAll(() => {
  image = imageOf('debian-12', new Array(PIECES).fill(false));
  const made = carryLayer(image.metainfo, image.layer);
  if (made.carried.type !== 'swarm') throw new Error('the layer fits into the metainfo');
  packed = made.packed;
  torrent = made.carried;
});

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'layer-swarm-'));
  server = await CatalogueServer.start(image);
  undo = [];
  memberships = [];
  logged = [];
  events = [];
  await startLibrary();
});

afterEach(async () => {
  await stopLibrary();
  await server.stop();
  rmSync(directory, { recursive: true });
});

/** `layerStallMs`: short where the tracker is to be asked in the end, beyond any load of the machine where it is not. */
async function startLibrary(layerStallMs = 100): Promise<void> {
  const cache = await CacheDirectory.open(directory);
  const host = newHost('n', false);
  listeningPort = (await host.listen()).port;
  library = new ImageLibrary({
    ...{ cache, host, hotBytesMax: 0, fill: 'never', layerStallMs, onTouched: () => {} },
    catalogue: new CatalogueClient(server.url),
    pin: new PublisherPin(cache.path, undefined),
    log: pino(new Writable({ write: (line, _, done) => done(void logged.push(JSON.parse(line))) })),
    onJoining: () => memberships.push('joins'),
    onGivenUp: () => memberships.push('leaves'),
    onOpened: () => memberships.push('opened'),
  });
  undo.push(
    () => cache.close(),
    () => host.close(),
    () => library.close(),
  );
  await library.openCached();
}

async function stopLibrary(): Promise<void> {
  for (const step of undo.splice(0).reverse()) await step();
}

function newHost(node: string, isOrigin: boolean): SwarmHost {
  return new SwarmHost({
    listen: { host: '127.0.0.1', port: 0 },
    self: { kind: 'ours', node, zone: 'z', rack: 'r', isOrigin },
    foreignPeersAllowed: false,
    onEvent: (_, event) => events.push(event),
    onMistake: (error) => {
      throw error;
    },
  });
}

/** An origin of the layer's swarm, and of nothing else. */
async function seed(content: LayerTorrent, bytes: Uint8Array): Promise<SwarmView> {
  const host = newHost('origin', true);
  const store = new MemoryPieceStore(content);
  if (!store.adopt(bytes)) throw new Error('these are not the bytes of the torrent');
  host.open({ ...content, store });
  const { port } = await host.listen();
  undo.push(() => host.close());
  return { members: [], origins: [{ host: '127.0.0.1', port }] };
}

const cached = (name: string) => join(directory, image.id, name);
const layerStatus = () => library.find('debian-12').status().layer;
const askedForLayer = () => server.asked.filter((path) => path.endsWith('/piece-layer')).length;

const PATIENT_MS = 60_000;

/** Tells the members as soon as this node has joined, as the tracker does. */
async function ensureIn(view: SwarmView): Promise<void> {
  const ensured = library.ensure('debian-12');
  await expect.poll(() => memberships[0]).toBe('joins');
  library.setMembers(image.id, view);
  await ensured;
}

test('the layer comes from its swarm, is kept, and is served to others after that', async () => {
  await stopLibrary();
  await startLibrary(PATIENT_MS);
  const view = await seed(torrent, packed);
  await ensureIn(view);
  expect(memberships).toEqual(['joins', 'joins', 'opened']);
  expect(layerStatus()).toMatchObject({ from: 'swarm', bytesFromOrigin: packed.length });
  expect(library.find('debian-12').reader.driver.layer.bytes).toEqual(image.layer.bytes);
  expect(askedForLayer()).toBe(0);
  expect(readFileSync(cached('packed-layer')).equals(packed)).toBe(true);
  await stopLibrary();
  await server.stop();
  await startLibrary();
  expect(layerStatus()).toMatchObject({ from: 'cache', bytesFromOrigin: 0 });
});

test('a boot order that is told while the layer is fetched is known when the image is open', async () => {
  const ensured = library.ensure('debian-12');
  await expect.poll(() => memberships[0]).toBe('joins');
  const change = { kind: 1, pieceIndexes: Uint32Array.of(5) };
  const order = { revision: 3, isFull: true, kinds: [{ ...change, from: 0 }] };
  expect(library.applyOrder(image.id, order)).toBe(true);
  await ensured;
  const next = { revision: 4, isFull: false, kinds: [{ ...change, from: 1 }] };
  expect(library.applyOrder(image.id, next)).toBe(true);
  library.rejoin(image.id);
  expect(library.applyOrder(image.id, { ...next, revision: 5 })).toBe(false);
});

test('a swarm in which nobody is known, or nobody answers, is given up for the tracker, with the reason', async () => {
  await library.ensure('debian-12');
  expect(layerStatus()).toMatchObject({ from: 'tracker', fallback: 'no-members' });
  expect(logged).toMatchObject([{ reason: 'no-members' }]);
  await library.release(image.id);
  rmSync(directory, { recursive: true });
  const nobody = { members: [], origins: [{ host: '127.0.0.1', port: 1 }] };
  memberships = [];
  await ensureIn(nobody);
  expect(layerStatus()).toMatchObject({ from: 'tracker', fallback: 'no-progress' });
  expect(askedForLayer()).toBe(2);
});

test('who has it from the tracker serves it to others as well', async () => {
  await library.ensure('debian-12');
  expect(layerStatus().from).toBe('tracker');
  const whole = Promise.withResolvers<void>();
  const store = new MemoryPieceStore({ ...torrent, onWhole: whole.resolve });
  const host = newHost('m', false);
  const { port } = await host.listen();
  undo.push(() => host.close());
  const driver = host.open({ ...torrent, store });
  const address = { zone: 'z', rack: 'r', host: '127.0.0.1' };
  const members = [
    { node: 'n', place: 0, ...address, port: listeningPort },
    { node: 'm', place: 1, ...address, port },
  ];
  driver.setMembers(members, []);
  for (const pieceIndex of [0, 1]) driver.handle({ type: 'demand', pieceIndex });
  await whole.promise;
  expect(store.bytes).toEqual(packed);
  expect(layerStatus().bytesSent).toBe(packed.length);
});

test("when neither has it the error is the tracker's, and the node leaves the swarm", async () => {
  server.answers.set(`/v1/images/${image.id}/piece-layer`, answer(503));
  await expect(library.ensure('debian-12')).rejects.toMatchObject({ code: 'tracker-answer' });
  expect(memberships).toEqual(['joins', 'leaves']);
  // And comes back, now that the tracker can give it.
  server.publish(image);
  await library.ensure('debian-12');
  expect(layerStatus().from).toBe('tracker');
});

describe("a layer that its publisher signed and that is not the image's is refused, naming the image", () => {
  const random = new Random(7);
  const wrong = (): Uint8Array => {
    const bytes = packed.slice();
    bytes[bytes.length - 1] ^= 1 + random.below(255);
    return bytes;
  };
  test.each<[string, () => Uint8Array]>([
    ['with a wrong hash', wrong],
    [
      'with spare bits and lengths that do not fit together',
      () => {
        const bytes = packed.slice();
        bytes[0] ^= 0x80;
        return bytes;
      },
    ],
  ])('%s', async (_, make) => {
    const bytes = make();
    const signed = signedWith(image, bytes);
    server.answers.set(`/v1/images/${image.id}/metainfo`, answer(200, signed.metainfoBytes));
    const view = await seed(signed.torrent, bytes);
    const ensured = library.ensure('debian-12');
    const refused = expect(ensured).rejects.toMatchObject({
      code: 'layer-refused',
      message: expect.stringContaining(`image debian-12 (${image.id})`),
    });
    await expect.poll(() => memberships[0]).toBe('joins');
    library.setMembers(image.id, view);
    await refused;
    expect(memberships).toEqual(['joins', 'leaves']);
    expect(existsSync(cached('packed-layer'))).toBe(false);
  });
});

test('a peer that sends wrong bytes of the layer is left, and the tracker asked', async () => {
  const bytes = packed.slice();
  bytes.fill(7, 100, 200);
  // It says that it has the right layer, and has other bytes.
  const host = newHost('origin', true);
  const store: PieceStore = {
    pieceCount: torrent.metainfo.pieceCount,
    have: Bitfield.full(torrent.metainfo.pieceCount),
    buffers: new BufferPool(torrent.metainfo.pieceLength, 1),
    readNow: (pieceIndex, offset, target) => {
      const start = pieceIndex * torrent.metainfo.pieceLength + offset;
      target.set(bytes.subarray(start, start + target.length));
      return true;
    },
    read: async () => false,
    write: async () => false,
    commit: async () => {},
    close: async () => {},
  };
  host.open({ ...torrent, store });
  const { port } = await host.listen();
  undo.push(() => host.close());
  await ensureIn({ members: [], origins: [{ host: '127.0.0.1', port }] });
  expect(events.some(({ type }) => type === 'piece-refuted')).toBe(true);
  expect(layerStatus()).toMatchObject({ from: 'tracker', fallback: 'no-progress' });
});

describe('after a stop in the middle', () => {
  async function stopInTheMiddle(view: SwarmView): Promise<void> {
    server.answers.set(`/v1/images/${image.id}/piece-layer`, () => {});
    const ensured = library.ensure('debian-12');
    const refused = expect(ensured).rejects.toMatchObject({ code: 'agent-stopping' });
    await expect.poll(() => memberships[0]).toBe('joins');
    library.setMembers(image.id, view);
    library.tick();
    await expect.poll(() => existsSync(cached('members'))).toBe(true);
    await stopLibrary();
    await refused;
    memberships = [];
  }

  test('the layer is fetched from the members last known, without a tracker', async () => {
    const host = newHost('origin', true);
    const { port } = await host.listen();
    await stopInTheMiddle({ members: [], origins: [{ host: '127.0.0.1', port }] });
    await server.stop();
    const store = new MemoryPieceStore(torrent);
    store.adopt(packed);
    host.open({ ...torrent, store });
    await startLibrary(PATIENT_MS);
    undo.push(() => host.close());
    expect((await library.ensure('debian-12')).id).toBe(image.id);
    expect(layerStatus()).toMatchObject({ from: 'swarm', bytesFromOrigin: packed.length });
  });

  test('it is tried again until somebody can be asked', async () => {
    await stopInTheMiddle({ members: [], origins: [] });
    await server.stop();
    await startLibrary();
    await expect(library.ensure('debian-12')).rejects.toMatchObject({
      code: 'tracker-unreachable',
    });
    server.publish(image);
    await server.listen();
    await expect
      .poll(
        () => {
          library.tick();
          return memberships;
        },
        { timeout: 5_000 },
      )
      .toContain('opened');
    expect(layerStatus().from).toBe('tracker');
  });
});

test('a cached layer that is damaged is fetched again', async () => {
  const view = await seed(torrent, packed);
  await ensureIn(view);
  library.tick();
  await expect.poll(() => existsSync(cached('members'))).toBe(true);
  const seeding = undo.splice(3);
  await stopLibrary();
  undo.push(...seeding);
  const bytes = Buffer.from(packed);
  bytes[500] ^= 1;
  writeFileSync(cached('packed-layer'), bytes);
  memberships = [];
  await startLibrary(PATIENT_MS);
  await expect.poll(() => memberships.at(-1)).toBe('opened');
  expect(layerStatus()).toMatchObject({ from: 'swarm', bytesFromOrigin: packed.length });
  expect(readFileSync(cached('packed-layer')).equals(packed)).toBe(true);
});
