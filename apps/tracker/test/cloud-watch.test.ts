import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import type { NodeReport, SwarmStats } from '@bootswarm/tracker-proto';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Catalogue } from '../src/catalogue.ts';
import { CloudWatch } from '../src/overview/cloud-watch.ts';
import type { SignalServer } from '../src/signal-server.ts';

const IMAGE = 'a'.repeat(40);
const NODES = ['a', 'b', 'c'];
const REPORT: NodeReport = {
  ...{ intervalMs: 2_000, vmsBooting: 1, vmsConnected: 1, readCache: 0, readPeers: 0 },
  ...{ readOrigin: 0, receivedPeers: 0, receivedOrigin: 2 ** 25, cacheBytes: 0, cacheBytesMax: 0 },
  ...{ originReads: [], alarms: [] },
};
const identityOf = (node: string) => ({
  ...{ node, zone: 'z', rack: 'r', address: { host: '10.0.0.1', port: 1 } },
});

let dataDir: string;
let watch: CloudWatch;
let nowMs = 1_800_000_000_000;
let connected: Set<string>;
let bytesFromOrigin = 0;

const swarm = (): SwarmStats => ({
  ...{ image: IMAGE, epoch: 1 },
  members: NODES.map((node, place) => ({
    member: { ...identityOf(node), place },
    progress: { piecesHad: 0, bytesFromPeers: 0, bytesFromOrigin, bytesSent: 0 },
  })),
});

beforeEach(() => {
  dataDir = mkdtempSync(`${tmpdir()}/watch-`);
  connected = new Set(NODES);
  bytesFromOrigin = 0;
  watch = new CloudWatch({
    ...{ dataDir, log: pino({ level: 'silent' }), now: () => nowMs, hasOrigin: () => true },
    catalogue: {
      has: () => true,
      find: () => ({ image: { name: 'debian' } }),
    } as unknown as Catalogue,
    signals: () =>
      ({
        isConnected: (node: string) => connected.has(node),
        swarms: () => [swarm()],
      }) as unknown as SignalServer,
  });
});

afterEach(async () => {
  await watch.close();
  rmSync(dataDir, { recursive: true });
});

async function tick(seconds: number): Promise<void> {
  for (let second = 0; second < seconds; second += 1) {
    nowMs += 1_000;
    watch.tick();
    await watch.idle();
  }
}

test('raises an alarm when nodes take an image from the origin and not from each other', async () => {
  await tick(1);
  expect(watch.alarms()).toEqual([]);
  bytesFromOrigin = 2 ** 25;
  for (const node of NODES) watch.report(identityOf(node), REPORT);
  await tick(5);
  expect(watch.alarms()).toMatchObject([
    { code: 'image-not-spreading', node: 'tracker', subject: 'debian' },
  ]);
  await tick(80);
  expect(watch.alarms()).toEqual([]);
});

test('forgets what a node said that is gone', async () => {
  const since = new Date(0).toISOString();
  const alarm = { code: 'read-waiting', subject: 'debian', reason: 'r', hint: 'h', since } as const;
  watch.report(identityOf('a'), { ...REPORT, alarms: [alarm] });
  expect(watch.alarms()).toMatchObject([{ node: 'a', code: 'read-waiting' }]);
  connected.delete('a');
  await tick(1);
  expect([watch.alarms(), watch.reports.vmsBooting]).toEqual([[], 0]);
});
