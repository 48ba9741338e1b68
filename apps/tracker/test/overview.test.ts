import type { NodeReport } from '@bootswarm/tracker-proto';
import { describe, expect, test } from 'vitest';
import { NodeReports } from '../src/overview/node-reports.ts';
import { overviewOf } from '../src/overview/overview.ts';
import { StormHistory } from '../src/overview/storm-history.ts';
import { OVERVIEW } from '../src/overview-schema.ts';

const IMAGE = 'a'.repeat(40);
const REPORT: NodeReport = {
  ...{ intervalMs: 2_000, vmsBooting: 1, vmsConnected: 1 },
  ...{ readCache: 10, readPeers: 20, readOrigin: 5, receivedPeers: 30, receivedOrigin: 11 },
  ...{ cacheBytes: 100, cacheBytesMax: 0, originReads: [], alarms: [] },
};
const GLANCE = {
  ...{
    id: '5f6a2c1e-0b7d-4c3a-9e8f-1a2b3c4d5e6f',
    name: 'debian-12',
    visibility: 'public' as const,
  },
  ...{ owner: '', diskFormat: 'qcow2', size: 1, osHashAlgo: 'sha512', osHashValue: '' },
  isFollowed: true,
};
const AT = 1_000_000;
const identityOf = (node: string) => ({
  ...{ node, zone: 'z1', rack: 'r1', address: { host: '10.0.0.1', port: 1 } },
});

describe('the history', () => {
  test('spreads a report over the seconds that it is of, and loses no byte', () => {
    const history = new StormHistory(AT);
    history.advance(AT + 3);
    history.add(REPORT, 3);
    const samples = history.samples(4);
    expect(samples.map(({ at }) => at)).toEqual([AT, AT + 1, AT + 2, AT + 3]);
    expect(samples.map(({ read }) => read.cache)).toEqual([0, 3, 3, 4]);
    expect(samples.map(({ received }) => received.origin)).toEqual([0, 3, 3, 5]);
  });

  test('has no gaps: seconds without a report are there, and old ones go', () => {
    const history = new StormHistory(AT);
    history.add(REPORT, 1);
    history.advance(AT + 10_000);
    const samples = history.samples(300);
    expect(samples).toHaveLength(300);
    expect(samples.every(({ at }, index) => at === AT + 9_701 + index)).toBe(true);
    expect(samples.every(({ read }) => read.cache === 0)).toBe(true);
    // A clock that is put back.
    history.advance(AT);
    history.add(REPORT, 1);
    expect(history.samples(1)).toMatchObject([{ at: AT + 10_000, read: { cache: 10 } }]);
  });

  test('tells a storm from the first VM that boots until none does', () => {
    const history = new StormHistory(AT);
    expect(history.storm).toBeNull();
    history.add(REPORT, 1);
    history.setBooting(3);
    history.add(REPORT, 1);
    history.setBooting(7);
    history.setBooting(2);
    expect(history.storm).toMatchObject({
      ...{ startedAt: new Date(AT * 1_000).toISOString(), endedAt: null, vmsBootingMax: 7 },
      ...{ read: { cache: 10, peers: 20, origin: 5 }, originShare: 11 / 41 },
    });
    history.advance(AT + 5);
    history.setBooting(0);
    history.add(REPORT, 1);
    expect(history.storm).toMatchObject({
      ...{ endedAt: new Date((AT + 5) * 1_000).toISOString(), read: { cache: 10 } },
    });
    history.setBooting(1);
    expect(history.storm).toMatchObject({ endedAt: null, vmsBootingMax: 1, read: { cache: 0 } });
  });
});

describe('the reports', () => {
  test('are summed over all nodes, also those that are gone, which boot nothing any more', () => {
    const reports = new NodeReports();
    reports.add(identityOf('a'), REPORT, 1);
    reports.add(identityOf('b'), { ...REPORT, vmsBooting: 4 }, 1);
    reports.add(identityOf('b'), { ...REPORT, vmsBooting: 2 }, 2);
    expect([reports.vmsBooting, reports.read.cache]).toEqual([3, 30]);
    reports.keep((node) => node === 'a');
    expect([reports.vmsBooting, reports.read.cache, reports.all.size]).toEqual([1, 30, 1]);
  });

  test('keep why the origin was read, the newest 100, and no more reasons than there may be', () => {
    const reports = new NodeReports();
    for (let at = 0; at < 150; at += 1) {
      const reason = `reason-${'abcdefghij'[at % 10]}${'abcdefghij'[Math.floor(at / 10) % 10]}`;
      const originReads = [{ image: IMAGE, reason, pieces: 2 }];
      reports.add(identityOf('a'), { ...REPORT, originReads }, at);
    }
    expect(reports.originReads).toHaveLength(100);
    expect(reports.originReads[0].atMs).toBe(149);
    expect(reports.originReasons.size).toBe(32);
  });
});

test('an overview shows images with their spread, and the busiest nodes when there are too many', () => {
  const reports = new NodeReports();
  const history = new StormHistory(AT);
  reports.add(identityOf('busy'), REPORT, AT * 1_000);
  const identities = ['busy', ...Array.from({ length: 1_500 }, (_, at) => `n${at}`)].reverse();
  const progress = { bytesFromPeers: 30, bytesFromOrigin: 655_360, bytesSent: 0 };
  const overview = overviewOf({
    ...{ nowMs: AT * 1_000, reports, storm: history.storm, samples: history.samples(10) },
    tracker: { version: '1', uptimeSeconds: 1, agents: 1_501, hasOrigin: true },
    images: [
      {
        ...{ id: IMAGE, name: GLANCE.id, length: 20 * 65_536, pieceLength: 65_536 },
        ...{ pieceCount: 20, zeroPieces: 10, createdAt: '', source: '', sourceFormat: 'raw' },
        ...{ prejoin: 'all', state: 'ready', glance: GLANCE },
      },
    ],
    swarms: [
      {
        ...{ image: IMAGE, epoch: 1 },
        // Nothing known yet, the zeros only, half of the data, all of it.
        members: [0, 10, 15, 20].map((piecesHad, place) => ({
          member: { ...identityOf(`n${place}`), place },
          progress: { ...progress, piecesHad },
        })),
      },
    ],
    nodes: identities.map((node) => ({
      ...{ identity: identityOf(node), connectedAtMs: 0, images: [IMAGE] },
    })),
    alarms: [],
    isListed: () => true,
    bootOrderOf: () => [{ bootsMerged: 3, learnedAtMs: 0, pieceIndexes: Uint32Array.of(1, 2) }],
  });
  OVERVIEW.parse(overview);
  expect(overview.images).toMatchObject([
    {
      ...{ name: GLANCE.id, title: 'debian-12 (5f6a2c1e)' },
      ...{ members: 4, complete: 1, dataBytes: 655_360, originCopies: 4 },
      ...{ spread: [2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1], bootOrder: [{ boots: 3, pieces: 2 }] },
    },
  ]);
  expect([overview.nodes.length, overview.nodesLeftOut]).toEqual([1_000, 501]);
  expect(overview.nodes[0]).toMatchObject({
    ...{ node: 'busy', state: 'booting', bytesPerSecond: 21, received: { peers: 30, origin: 11 } },
  });
  expect(overview.zones).toMatchObject([{ zone: 'z1', nodes: 1_501, vmsBooting: 1 }]);
});
