/** The desk on a clock that passes when a test says so: what nodes are told, and what is kept in the data directory. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NodePrefetch, PrefetchTask } from '@bootswarm/tracker-proto';
import pino from 'pino';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { PrefetchDesk } from '../src/prefetch-desk.ts';
import { PREFETCH_FILE } from '../src/prefetch-file.ts';

const IMAGE = 'a'.repeat(40);
const FAILED: NodePrefetch = { state: 'failed', piecesHad: 1, piecesWanted: 5, code: 'cache-full' };
const NODES = ['n0', 'n1', 'n2', 'n3'];

let directory: string;
let desk: PrefetchDesk;
let told: [node: string, tasks: readonly PrefetchTask[]][];
let logged: string[];

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['Date', 'setTimeout', 'clearTimeout'] });
  directory = mkdtempSync(join(tmpdir(), 'prefetch-desk-'));
  told = [];
  logged = [];
  desk = await openDesk();
  for (const node of NODES) connect(node);
  // The nodes that have come are taken in.
  pass(1);
});

afterEach(async () => {
  await desk.close();
  vi.useRealTimers();
  rmSync(directory, { recursive: true });
});

const openDesk = (): Promise<PrefetchDesk> =>
  PrefetchDesk.open(
    directory,
    pino({}, { write: (line) => void logged.push(JSON.parse(line).msg) }),
    (...each) => void told.push(each),
  );

function connect(node: string): void {
  desk.nodeConnected({ node, zone: 'z', rack: 'r', address: { host: '10.0.0.1', port: 1 } });
}

function pass(seconds: number): void {
  vi.advanceTimersByTime(seconds * 1_000 + 1);
}

const inOrder = (all: typeof told) => all.toSorted(([a], [b]) => a.localeCompare(b));
const nodesOf = (id: string): string[] => desk.find(id).nodes.map(([node]) => node);

test('puts another in the place of a node that fails, soon after it said so', async () => {
  const { id } = (await desk.add(IMAGE, { minCopies: 2 })).spec;
  const [failing, working] = nodesOf(id);
  const idle = NODES.filter((node) => node !== failing && node !== working);
  told = [];
  desk.heard(failing, { type: 'prefetch-state', order: id, ...FAILED }, new Set());
  pass(1);
  expect(told).toEqual([[expect.toBeOneOf(idle), [expect.objectContaining({ id })]]]);
  // It stays in sight, beside those that work.
  expect(nodesOf(id)).toEqual([failing, working, told[0][0]]);
  expect(desk.find(id).nodes[0]).toEqual([failing, FAILED]);
});

test('tells nodes what is ordered, and ends the order when its time is over', async () => {
  const order = { percent: 100, bootOrderOnly: true, priority: 9, pin: true, ttlSeconds: 60 };
  const { id } = (await desk.add(IMAGE, order)).spec;
  const task = { id, image: IMAGE, bootOrderOnly: true, priority: 9, isPinned: true };
  expect(inOrder(told)).toEqual(NODES.map((node) => [node, [{ ...task, expiresInMs: 60_000 }]]));
  told = [];
  pass(59);
  expect(told).toEqual([]);
  pass(1);
  expect(inOrder(told)).toEqual(NODES.map((node) => [node, []]));
  expect(desk.find(id).end).toBe('expired');
});

test('says once of an order that it is late, and goes on with it', async () => {
  const { id } = (await desk.add(IMAGE, { percent: 100, deadlineSeconds: 600 })).spec;
  pass(599);
  expect([desk.find(id).isLate, logged]).toEqual([false, []]);
  pass(1);
  pass(600);
  expect([desk.find(id).isLate, logged]).toEqual([true, ['prefetch order is late']]);
  expect(desk.find(id).end).toBeUndefined();
});

test('ends an order in time that was given before a restart', async () => {
  const { id } = (await desk.add(IMAGE, { nodes: ['n0'], ttlSeconds: 60 })).spec;
  await desk.close();
  expect(readFileSync(join(directory, PREFETCH_FILE), 'utf8')).toContain(id);
  vi.setSystemTime(Date.now() + 30_000);
  desk = await openDesk();
  told = [];
  connect('n0');
  expect(told).toEqual([['n0', [expect.objectContaining({ id, expiresInMs: 30_000 })]]]);
  pass(30);
  expect(told.slice(1)).toEqual([['n0', []]]);
});
