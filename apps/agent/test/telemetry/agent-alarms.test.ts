import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { Writable } from 'node:stream';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { AgentAlarms, type AlarmImage } from '../../src/telemetry/agent-alarms.ts';

const IMAGE: AlarmImage = {
  ...{ id: 'a', name: 'debian', readsWaiting: 0, oldestReadWaitMs: 0, peers: 1 },
  ...{ bytesFromPeers: 0, bytesFromOrigin: 0, originRequests: {} },
};

let cacheDir: string;
let alarms: AgentAlarms;
let lines: { msg: string; alarm: { code: string; reason: string } }[];

beforeEach(() => {
  cacheDir = mkdtempSync(`${tmpdir()}/alarms-`);
  lines = [];
  const sink = new Writable({
    write(line, _, done) {
      lines.push(JSON.parse(line));
      done();
    },
  });
  alarms = new AgentAlarms({ node: 'n1', cacheDir, log: pino({}, sink) });
});

afterEach(() => rmSync(cacheDir, { recursive: true }));

const tick = (nowMs: number, image: Partial<AlarmImage> = {}, isCacheFull = false) =>
  alarms.tick({ images: [{ ...IMAGE, ...image }], isTrackerConnected: true, isCacheFull }, nowMs);

test('logs one line when an alarm comes and one when it goes', () => {
  const waiting = { readsWaiting: 1, oldestReadWaitMs: 6_000 };
  for (let now = 0; now < 20_000; now += 1_000) tick(now, waiting);
  expect(alarms.all).toMatchObject([{ code: 'read-waiting', node: 'n1', subject: 'debian' }]);
  for (let now = 20_000; now < 40_000; now += 1_000) tick(now);
  expect(alarms.all).toEqual([]);
  expect(lines.map(({ msg, alarm }) => [msg, alarm.code])).toEqual([
    ['alarm raised', 'read-waiting'],
    ['alarm cleared', 'read-waiting'],
  ]);
  expect(alarms.count('read-waiting')).toBe(1);
});

test('notices that the origin gives what nodes should', () => {
  tick(0);
  tick(2_000, { bytesFromOrigin: 2 ** 24, originRequests: { 'tree-root': 256 } });
  expect(alarms.all).toEqual([]);
  tick(4_000, {
    bytesFromOrigin: 2 ** 25,
    originRequests: { 'holder-late': 10, 'lease-failed': 6 },
  });
  expect(alarms.all).toMatchObject([{ code: 'origin-fallback', subject: 'debian' }]);
});

test('looks at the disk of the cache, and at its limit', async () => {
  await alarms.look();
  expect(alarms.diskBytesFree).toBeGreaterThan(0);
  tick(0, {}, true);
  expect(alarms.all).toMatchObject([{ code: 'disk-nearly-full', subject: cacheDir }]);
});

test('goes on when the disk cannot be asked', async () => {
  rmSync(cacheDir, { recursive: true });
  await alarms.look();
  tick(0, {}, true);
  expect(alarms.all).toEqual([]);
  cacheDir = mkdtempSync(`${tmpdir()}/alarms-`);
});
