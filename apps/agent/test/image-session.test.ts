import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CachePieceStore } from '@bootswarm/piece-store';
import { SwarmHost } from '@bootswarm/swarm-driver';
import { TouchBudget } from '@bootswarm/swarm-proto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { FillMode } from '../src/fill-policy.ts';
import { ImageSession } from '../src/image-session.ts';
import { imageOf, PIECE_LENGTH } from './catalogue-server.ts';

/** Two pieces of data; one of them is in the cache. */
const IMAGE = imageOf('session', [false, true, false]);

let directory: string;
let host: SwarmHost;
let session: ImageSession;

/** Of IMAGE, which is closed after the test. */
async function openSession(fill: FillMode): Promise<ImageSession> {
  const { metainfo, layer } = IMAGE;
  return await ImageSession.open({
    ...{ metainfo, directory, host, hotBytesMax: 0, fill },
    layer: { pieceLayer: layer, from: 'metainfo' },
    onStoreEvent: () => {},
    onTouched: () => {},
    touchBudget: new TouchBudget(),
  });
}

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'image-session-'));
  const { metainfo, layer, bytes } = IMAGE;
  const store = await CachePieceStore.open({ directory, metainfo, layer, onEvent: () => {} });
  await store.write(0, Buffer.from(bytes.subarray(0, PIECE_LENGTH)), false);
  await store.close();
  host = new SwarmHost({
    listen: { host: '127.0.0.1', port: 0 },
    self: { kind: 'ours', node: 'n', zone: 'z', rack: 'r', isOrigin: false },
    foreignPeersAllowed: false,
    onEvent: () => {},
    onMistake: (error) => {
      throw error;
    },
  });
  session = await openSession('never');
});
afterEach(async () => {
  await session.close();
  await host.close();
  rmSync(directory, { recursive: true });
});

test('gives up no piece of an image that is pinned, although it is not complete', async () => {
  expect(session.piecesHad).toBe(2);
  expect(await session.evictPieces(() => true)).toBe(false);
  expect(session.piecesHad).toBe(2);
  expect(await session.evictPieces(() => false)).toBe(true);
  expect(session.piecesHad).toBe(1);
});

test('gives up its pieces once: then there is nothing left to give', async () => {
  expect(await session.evictPieces(() => false)).toBe(true);
  expect(await session.evictPieces(() => false)).toBe(false);
});

test('is in use while a guest reads it; that a VM had an export once does not count', () => {
  const { isInUse } = session;
  const source = session.exportFor('vm').open();
  const whileRead = session.isInUse;
  source.close();
  expect([isInUse, whileRead, session.isInUse]).toEqual([false, true, false]);
});

test.each([
  ['attached', (each: ImageSession): unknown => Object.assign(each, { isAttached: true })],
  ['given to a VM', (each: ImageSession): unknown => each.exportFor('vm')],
  ['copied', (each: ImageSession): unknown => each.openCopy()],
])('is filled as soon as it is %s', async (_, want) => {
  await session.close();
  session = await openSession('always');
  const fills: boolean[] = [];
  const { driver } = session.reader;
  const handle = driver.handle.bind(driver);
  driver.handle = (input) => {
    if (input.type === 'fill') fills.push(input.enabled);
    handle(input);
  };
  want(session);
  expect(fills).toEqual([true]);
});

test('names the file that VMs may read when all of it is there', async () => {
  expect(session.localCopy.path).toBe(join(directory, 'cache.raw'));
  await expect(session.localCopy.verified()).rejects.toMatchObject({ code: 'image-incomplete' });
});
