import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createInfo,
  type Metainfo,
  makePieceLayer,
  PieceHasher,
  type PieceLayer,
} from '@bootswarm/metainfo';
import { CachePieceStore, OriginalPieceStore } from '@bootswarm/piece-store';
import { Random } from '@bootswarm/stdx';
import { ImageReader, noReadBytes, type SwarmDriver, SwarmHost } from '@bootswarm/swarm-driver';
import type { SwarmMember } from '@bootswarm/swarm-proto';
import { afterEach, beforeEach, expect, test } from 'vitest';

const PIECE_LENGTH = 65_536;
/** 40 pieces, of which 10..19 are zero, and a short last one. */
const LENGTH = 40 * PIECE_LENGTH - 1_000;

interface TestNode {
  readonly host: SwarmHost;
  readonly driver: SwarmDriver;
  readonly reader: ImageReader;
  readonly member: SwarmMember;
}

let directory: string;
let image: Buffer;
let metainfo: Metainfo;
let layer: PieceLayer;
let closers: (() => Promise<void>)[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'swarm-host-'));
  closers = [];
  const random = new Random(1);
  image = Buffer.alloc(LENGTH);
  for (let at = 0; at + 4 <= LENGTH; at += 4) {
    const isHole = at >= 10 * PIECE_LENGTH && at < 20 * PIECE_LENGTH;
    if (!isHole) image.writeUInt32LE(random.uint32(), at);
  }
  const hasher = new PieceHasher({ length: LENGTH, pieceLength: PIECE_LENGTH });
  hasher.push(image);
  const { piecesRoot, pieceLayer } = hasher.finish();
  metainfo = createInfo({
    name: 'test.raw',
    length: LENGTH,
    pieceLength: PIECE_LENGTH,
    piecesRoot,
  });
  layer = makePieceLayer(metainfo, pieceLayer);
});

afterEach(async () => {
  for (const close of closers.reverse()) await close();
  rmSync(directory, { recursive: true });
});

async function startOrigin(): Promise<{ host: string; port: number; driver: SwarmDriver }> {
  const path = join(directory, 'original.raw');
  writeFileSync(path, image);
  const store = await OriginalPieceStore.open({ path, metainfo, layer, onEvent: () => {} });
  const host = new SwarmHost({
    listen: { host: '127.0.0.1', port: 0 },
    self: { kind: 'ours', node: 'origin', zone: '', rack: '', isOrigin: true },
    foreignPeersAllowed: false,
    onEvent: () => {},
  });
  const address = await host.listen();
  const driver = host.open({ metainfo, layer, store });
  closers.push(async () => {
    await host.close();
    await store.close();
  });
  return { ...address, driver };
}

async function startNode(node: string): Promise<TestNode> {
  const cache = mkdtempSync(join(directory, `${node}-`));
  const store = await CachePieceStore.open({
    directory: cache,
    metainfo,
    layer,
    onEvent: () => {},
  });
  const host = new SwarmHost({
    listen: { host: '127.0.0.1', port: 0 },
    self: { kind: 'ours', node, zone: 'z', rack: 'r', isOrigin: false },
    foreignPeersAllowed: false,
    onEvent: () => {},
  });
  const { port } = await host.listen();
  const driver = host.open({ metainfo, layer, store });
  closers.push(async () => {
    await host.close();
    await store.close();
  });
  const member = { node, zone: 'z', rack: 'r', host: '127.0.0.1', port };
  return { host, driver, reader: new ImageReader(driver), member };
}

function read(
  reader: ImageReader,
  offset: number,
  length: number,
  counted = noReadBytes(),
): Promise<Buffer> {
  const target = Buffer.alloc(length);
  const guest = reader.guest(counted);
  return new Promise((resolve) => guest.read(offset, target, () => resolve(target)));
}

test('nodes that read the same at once get the right bytes, and the origin sends each piece once', async () => {
  const origin = await startOrigin();
  const nodes = await Promise.all(['a', 'b', 'c'].map(startNode));
  for (const { driver } of nodes)
    driver.setMembers(
      nodes.map(({ member }) => member),
      [origin],
    );
  const reads = nodes.flatMap(({ reader }) =>
    [0, 5 * PIECE_LENGTH - 7, 9 * PIECE_LENGTH, LENGTH - 5_000].map(async (offset) => {
      const length = Math.min(3 * PIECE_LENGTH, LENGTH - offset);
      const bytes = await read(reader, offset, length);
      expect(bytes.equals(image.subarray(offset, offset + length))).toBe(true);
    }),
  );
  await Promise.all(reads);
  const touched = nodes[0].reader.touched.count;
  expect(touched).toBeGreaterThan(7);
  expect(origin.driver.snapshot().stats.piecesSent).toBe(touched);
  expect(origin.driver.snapshot().stats.bytesSent).toBe(nodes[0].reader.bytesTouched);
});

test('a second guest reads at once what the first one waited for, and it is counted as cache', async () => {
  const origin = await startOrigin();
  const node = await startNode('a');
  node.driver.setMembers([node.member], [origin]);
  const first = noReadBytes();
  const second = noReadBytes();
  await read(node.reader, 1_000, 200_000, first);
  const target = Buffer.alloc(200_000);
  expect(node.reader.guest(second).readNow(1_000, target)).toBe(true);
  expect(target.equals(image.subarray(1_000, 201_000))).toBe(true);
  expect(first).toEqual({ cache: 0, peers: 0, origin: 200_000, zero: 0 });
  expect(second).toEqual({ cache: 200_000, peers: 0, origin: 0, zero: 0 });
});

test('zero pieces are read from nowhere', async () => {
  const node = await startNode('a');
  const counted = noReadBytes();
  const target = Buffer.alloc(2 * PIECE_LENGTH, 1);
  expect(node.reader.guest(counted).readNow(12 * PIECE_LENGTH, target)).toBe(true);
  expect(target.every((byte) => byte === 0)).toBe(true);
  expect(counted.zero).toBe(2 * PIECE_LENGTH);
  expect(node.reader.touched.count).toBe(0);
});

test('a cancelled read is not answered, and its piece is not fetched for nobody', async () => {
  const node = await startNode('a');
  node.driver.setMembers([node.member], []);
  let isDone = false;
  const handle = node.reader.guest(noReadBytes()).read(0, Buffer.alloc(100), () => {
    isDone = true;
  });
  expect(node.driver.snapshot().demandsOpen).toBe(1);
  handle.cancel();
  expect(node.driver.snapshot().demandsOpen).toBe(0);
  expect(node.driver.pending.size).toBe(0);
  const origin = await startOrigin();
  node.driver.setMembers([node.member], [origin]);
  await read(node.reader, 5 * PIECE_LENGTH, 100);
  expect(isDone).toBe(false);
  expect(origin.driver.snapshot().stats.piecesSent).toBe(1);
});

test('a node fills the rest when told to', async () => {
  const origin = await startOrigin();
  const node = await startNode('a');
  node.driver.setMembers([node.member], [origin]);
  node.driver.handle({ type: 'fill', enabled: true });
  await expect.poll(() => node.driver.store.have.isFull, { timeout: 10_000 }).toBe(true);
  const target = Buffer.alloc(LENGTH);
  expect((await read(node.reader, 0, LENGTH)).equals(image)).toBe(true);
  expect(node.reader.guest(noReadBytes()).readNow(0, target)).toBe(true);
  expect(origin.driver.snapshot().stats.piecesSent).toBe(30);
});
