/** Prefetch orders on real sessions, whose only source is an origin beside them. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MemoryPieceStore } from '@bootswarm/piece-store';
import { OperatorError } from '@bootswarm/stdx';
import { SwarmHost } from '@bootswarm/swarm-driver';
import { TouchBudget } from '@bootswarm/swarm-proto';
import type { NodePrefetch, PrefetchTask } from '@bootswarm/tracker-proto';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ImageSession } from '../src/image-session.ts';
import { PrefetchRunner } from '../src/prefetch-runner.ts';
import { readTasks } from '../src/prefetch-tasks.ts';
import { imageOf, type SignedImage } from './catalogue-server.ts';

/** Six pieces of data each. */
const HIGH = imageOf('high', new Array(6).fill(false), 1);
const LOW = imageOf('low', new Array(6).fill(false), 2);
/** One of data, five of zeros; and one of zeros alone. */
const SPARSE = imageOf('sparse', [false, ...new Array(5).fill(true)], 3);
const EMPTY = imageOf('empty', new Array(6).fill(true));
/** It cannot be opened. */
const MISSING = 'f'.repeat(40);
/** Beyond any load of the machine. */
const PATIENT_MS = 20_000;

let directory: string;
let host: SwarmHost;
let origin: SwarmHost;
let sessions: Map<string, ImageSession>;
let runner: PrefetchRunner;
let told: [order: string, state: NodePrefetch][];
let bootHeld: [image: string, pieces: number, piecesHad: number][];

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['Date'] });
  directory = mkdtempSync(join(tmpdir(), 'prefetch-runner-'));
  host = newHost('n', false);
  origin = newHost('origin', true);
  const { port } = await origin.listen();
  sessions = new Map();
  for (const image of [HIGH, LOW, SPARSE, EMPTY]) await openSession(image, port);
  told = [];
  bootHeld = [];
  runner = newRunner();
});

afterEach(async () => {
  vi.useRealTimers();
  for (const session of sessions.values()) await session.close();
  await host.close();
  await origin.close();
  rmSync(directory, { recursive: true });
});

function newHost(node: string, isOrigin: boolean): SwarmHost {
  return new SwarmHost({
    listen: { host: '127.0.0.1', port: 0 },
    self: { kind: 'ours', node, zone: 'z', rack: 'r', isOrigin },
    foreignPeersAllowed: false,
    onEvent: () => {},
    onMistake: (error) => {
      throw error;
    },
  });
}

async function openSession({ id, metainfo, layer, bytes }: SignedImage, port: number) {
  const store = new MemoryPieceStore({ metainfo, layer });
  expect(store.adopt(bytes)).toBe(true);
  origin.open({ metainfo, layer, store });
  mkdirSync(join(directory, id));
  const session = await ImageSession.open({
    ...{ metainfo, directory: join(directory, id), host, hotBytesMax: 0, fill: 'never' },
    layer: { pieceLayer: layer, from: 'metainfo' },
    onStoreEvent: () => {},
    onTouched: () => {},
    touchBudget: new TouchBudget(),
  });
  session.setMembers([], [{ host: '127.0.0.1', port }]);
  sessions.set(id, session);
}

function newRunner(): PrefetchRunner {
  return new PrefetchRunner({
    directory,
    sessions: () => sessions.values(),
    get: (image) => sessions.get(image),
    ensure: () => Promise.reject(new OperatorError('image-not-found', 'There is none', 'Look.')),
    onState: (order, state) => told.push([order, state]),
    onBootHeld: (...held) => bootHeld.push(held),
    onFailed: () => {},
  });
}

function taskOf(id: string, image: string, task: Partial<PrefetchTask> = {}): PrefetchTask {
  const rest = { bootOrderOnly: false, priority: 5, isPinned: false, expiresInMs: 0 };
  return { ...rest, id: id.repeat(16), image, ...task };
}

const stateOf = (id: string) => told.findLast(([order]) => order === id.repeat(16))?.[1];
const toldAt = (id: string, state: string) =>
  told.findIndex(([order, each]) => order === id.repeat(16) && each.state === state);
const heldOf = ({ id }: SignedImage) => {
  const { held } = sessions.get(id)!;
  return [0, 1, 2, 3, 4, 5].filter((pieceIndex) => held.has(pieceIndex));
};

/** As the agent does each second, until an order is in this state. */
const ticksUntil = (id: string, state: string) =>
  expect
    .poll(
      () => {
        runner.tick();
        return stateOf(id)?.state;
      },
      { timeout: PATIENT_MS },
    )
    .toBe(state);

const learn = (revision: number, ...pieceIndexes: number[]) =>
  sessions
    .get(HIGH.id)!
    .reader.boots.applyOrder(revision, true, [
      { kind: 1, from: 0, pieceIndexes: Uint32Array.from(pieceIndexes) },
    ]);

test('fetches what the boot orders name, and no other piece, when no more is ordered', async () => {
  runner.replace([taskOf('a', HIGH.id, { bootOrderOnly: true })]);
  // Nobody has taught one yet.
  expect(stateOf('a')).toMatchObject({ state: 'waiting', piecesWanted: 0 });
  learn(1, 4, 1);
  runner.tick();
  expect(stateOf('a')).toMatchObject({ state: 'fetching', piecesHad: 0, piecesWanted: 2 });
  // The session is asked for pieces, not for the whole image.
  expect(sessions.get(HIGH.id)!.isInUse).toBe(false);
  await ticksUntil('a', 'done');
  expect(heldOf(HIGH)).toEqual([1, 4]);
  expect(stateOf('a')).toMatchObject({ piecesHad: 2, piecesWanted: 2 });
});

test('counts no zeros, of which none has to be fetched', async () => {
  runner.replace([taskOf('a', SPARSE.id), taskOf('b', EMPTY.id)]);
  expect(stateOf('a')).toMatchObject({ state: 'fetching', piecesHad: 0, piecesWanted: 1 });
  expect(stateOf('b')).toMatchObject({ state: 'done', piecesWanted: 0 });
  await ticksUntil('a', 'done');
  expect(stateOf('a')).toMatchObject({ piecesHad: 1, piecesWanted: 1 });
});

test('goes on when a boot order that it has fetched names more', async () => {
  learn(1, 4);
  runner.replace([taskOf('a', HIGH.id, { bootOrderOnly: true })]);
  await ticksUntil('a', 'done');
  learn(2, 4, 2);
  runner.tick();
  expect(stateOf('a')).toMatchObject({ state: 'fetching', piecesHad: 1, piecesWanted: 2 });
  await ticksUntil('a', 'done');
  expect(heldOf(HIGH)).toEqual([2, 4]);
});

test('begins an order when no higher one is being fetched', async () => {
  runner.replace([taskOf('b', LOW.id, { priority: 4 }), taskOf('a', HIGH.id, { priority: 6 })]);
  expect([stateOf('a')?.state, stateOf('b')?.state]).toEqual(['fetching', 'waiting']);
  expect(sessions.get(LOW.id)!.isInUse).toBe(false);
  await ticksUntil('b', 'done');
  expect(toldAt('a', 'done')).toBeGreaterThan(-1);
  expect(toldAt('b', 'fetching')).toBeGreaterThan(toldAt('a', 'done'));
  expect([heldOf(HIGH).length, heldOf(LOW).length]).toEqual([6, 6]);
});

test('carries out orders of the same priority together', () => {
  runner.replace([taskOf('b', LOW.id), taskOf('a', HIGH.id)]);
  expect([stateOf('a')?.state, stateOf('b')?.state]).toEqual(['fetching', 'fetching']);
});

test('lets no order wait for a higher one that fails, and says why that failed', async () => {
  runner.replace([taskOf('b', LOW.id, { priority: 0 }), taskOf('a', MISSING, { priority: 9 })]);
  expect(stateOf('b')?.state).toBe('waiting');
  await ticksUntil('a', 'failed');
  expect(stateOf('a')).toMatchObject({ code: 'image-not-found' });
  await ticksUntil('b', 'done');
});

test('fetches and pins nothing for an order whose time is over, also after a restart', async () => {
  const task = taskOf('a', HIGH.id, { isPinned: true, expiresInMs: 60_000 });
  runner.replace([task, taskOf('b', LOW.id, { isPinned: true })]);
  vi.setSystemTime(Date.now() + 59_999);
  // What is left of its time is counted from when it was told, not from the restart.
  runner = newRunner();
  expect([runner.isPinned(HIGH.id), runner.isPinned(LOW.id)]).toEqual([true, true]);
  vi.setSystemTime(Date.now() + 1);
  expect([runner.isPinned(HIGH.id), runner.isPinned(LOW.id)]).toEqual([false, true]);
  told = [];
  runner.tick();
  expect(told.map(([order]) => order)).toEqual(['b'.repeat(16)]);
  expect(readTasks(directory).map(({ id }) => id)).toEqual(['b'.repeat(16)]);
});

test('says again what it holds of a boot order when the tracker is back', () => {
  learn(1, 4, 1);
  runner.tick();
  runner.tick();
  expect(bootHeld).toEqual([[HIGH.id, 2, 0]]);
  runner.connected();
  expect(bootHeld).toHaveLength(2);
});

test('says again what it holds of a boot order when the image was let go and is back', () => {
  learn(1, 4, 1);
  runner.tick();
  const session = sessions.get(HIGH.id)!;
  sessions.delete(HIGH.id);
  runner.tick();
  sessions.set(HIGH.id, session);
  runner.tick();
  expect(bootHeld).toHaveLength(2);
});
