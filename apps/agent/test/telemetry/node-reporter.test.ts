import { noReceivedBytes } from '@bootswarm/swarm-proto';
import { decodeAgentMessage, encodeAgentMessage, type NodeAlarm } from '@bootswarm/tracker-proto';
import { beforeEach, expect, test } from 'vitest';
import type { ImageSession, SessionCounters } from '../../src/image-session.ts';
import { NodeReporter } from '../../src/telemetry/node-reporter.ts';
import { NodeTotals } from '../../src/telemetry/node-totals.ts';

const FACTS = {
  ...{ vmsBooting: 0, vmsConnected: 0, cacheBytes: 0, cacheBytesMax: 0 },
  alarms: [] as NodeAlarm[],
};

/** A session whose counters a test sets. */
class Counted {
  readonly id: string;
  readonly read = { cache: 0, peers: 0, origin: 0, zero: 0 };
  readonly received = noReceivedBytes();
  readonly originRequests: Record<string, number> = { 'tree-root': 0, 'holder-late': 0 };

  constructor(digit: string) {
    this.id = digit.repeat(40);
  }

  counters(): SessionCounters {
    const { read, received, originRequests } = this;
    return structuredClone({
      ...{ read, received, originRequests, bytesSent: 0, bytesWasted: 0, piecesRefuted: 0 },
      ...{ hedges: 0, misses: 0, waits: { 0: 0, sum: 0 }, layer: { peers: 0, origin: 0 } },
    });
  }
}

let totals: NodeTotals;
let reporter: NodeReporter;
let sessions: Counted[];

beforeEach(() => {
  totals = new NodeTotals();
  reporter = new NodeReporter(totals);
  sessions = [new Counted('a'), new Counted('b')];
});

const look = () => totals.update(sessions as unknown as ImageSession[]);
const due = (now: number, facts = FACTS) => {
  look();
  return reporter.due(facts, now);
};

test('totals never go back when an image leaves the node and comes again', () => {
  sessions[0].read.cache = 10;
  look();
  sessions = [new Counted('a')];
  look();
  sessions[0].read.cache = 5;
  look();
  expect([totals.of('read.cache'), totals.sum('read.')]).toEqual([15, 15]);
});

test('the first report tells what was since the welcome, the next what was since that', () => {
  sessions[0].received.zone.demand = 100;
  sessions[0].originRequests['tree-root'] = 9;
  look();
  reporter.restart(0);
  sessions[0].received.zone.demand = 101;
  expect(due(500)).toMatchObject({ intervalMs: 500, receivedPeers: 1, originReads: [] });
  sessions[0].received.zone.fill = 30;
  sessions[1].received.origin['boot-order'] = 7;
  sessions[1].originRequests['holder-late'] = 2;
  sessions[1].read.cache = 4;
  expect(due(2_500)).toMatchObject({
    ...{ intervalMs: 2_000, receivedPeers: 30, receivedOrigin: 7, readCache: 4 },
    originReads: [{ image: 'b'.repeat(40), reason: 'holder-late', pieces: 2 }],
  });
  sessions[0].read.cache = 99;
  look();
  reporter.restart(2_600);
  expect(due(2_600)).toMatchObject({ intervalMs: 0, readCache: 0 });
});

test('says nothing while nothing happens, and nothing sooner than 2 s after the last', () => {
  due(0);
  for (let now = 1_000; now < 60_000; now += 1_000) expect(due(now)).toBeUndefined();
  sessions[0].read.cache = 1;
  // What came after a pause came now.
  expect(due(60_000)).toMatchObject({ intervalMs: 2_000, readCache: 1 });
  sessions[0].read.cache = 2;
  expect(due(61_999)).toBeUndefined();
  expect(due(62_000)).toMatchObject({ readCache: 1 });
});

test('tells of VMs and alarms that come and go, and not of a few bytes more in the cache', () => {
  due(0);
  expect(due(2_000, { ...FACTS, cacheBytes: 65_536 })).toBeUndefined();
  expect(due(4_000, { ...FACTS, cacheBytes: 2 ** 30 })).toBeDefined();
  expect(due(6_000, { ...FACTS, vmsBooting: 1 })).toMatchObject({ vmsBooting: 1 });
  expect(due(8_000)).toMatchObject({ vmsBooting: 0 });
});

test('a report can be sent whatever images and directories are called', () => {
  const since = new Date(0).toISOString();
  const text = `\u0000\u202e\ud800${'ä'.repeat(2_000)}`;
  const alarm = {
    code: 'disk-nearly-full',
    subject: text,
    reason: text,
    hint: text,
    since,
  } as const;
  const report = due(0, { ...FACTS, alarms: [alarm] })!;
  const message = { type: 'stats', report } as const;
  expect(decodeAgentMessage(encodeAgentMessage(message))).toEqual(message);
});
