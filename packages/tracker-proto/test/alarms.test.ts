import { expect, test } from 'vitest';
import {
  AlarmBoard,
  type Condition,
  diskNearlyFull,
  FallbackRule,
  readWaiting,
  SpreadRule,
} from '../src/index.ts';

const MIB = 2 ** 20;
const textOf = (ms: number) => new Date(ms).toISOString();
const CONDITION: Condition = { code: 'read-waiting', subject: 'a', reason: 'r', hint: 'h' };

test('raises a condition at once and once, with the time since when', () => {
  const board = new AlarmBoard('n1', textOf);
  const since = new Date(1_000).toISOString();
  const alarm = { ...CONDITION, node: 'n1', since };
  expect(board.update([CONDITION], 1_000)).toEqual([{ type: 'raised', alarm }]);
  expect(board.update([{ ...CONDITION, reason: 'more' }], 2_000)).toEqual([]);
  expect(board.alarms).toEqual([{ ...alarm, reason: 'more' }]);
  expect(board.count('read-waiting')).toBe(1);
});

test('clears it when it has been away for 10 s, not before', () => {
  const board = new AlarmBoard('n1', textOf);
  board.update([CONDITION], 0);
  expect(board.update([], 9_999)).toEqual([]);
  expect(board.update([CONDITION], 9_999)).toEqual([]);
  expect(board.update([], 19_998)).toEqual([]);
  expect(board.update([], 19_999)).toMatchObject([{ type: 'cleared' }]);
  expect(board.alarms).toEqual([]);
});

test('keeps no more alarms than can be told', () => {
  const board = new AlarmBoard('n1', textOf);
  const many = Array.from({ length: 40 }, (_, at) => ({ ...CONDITION, subject: `${at}` }));
  expect(board.update(many, 0)).toHaveLength(16);
});

test('a read that waits for more than 5 s is an alarm, and says whether anybody is there', () => {
  const facts = { imageName: 'debian', readsWaiting: 2, peers: 0, isTrackerConnected: false };
  expect(readWaiting({ ...facts, oldestWaitMs: 5_000 })).toBeUndefined();
  expect(readWaiting({ ...facts, oldestWaitMs: 5_001 })).toMatchObject({
    reason: '2 reads wait, the oldest for 5 s: no peer is connected, the tracker is not connected',
  });
  const lonely = readWaiting({ ...facts, oldestWaitMs: 9_000 })?.hint;
  expect(readWaiting({ ...facts, peers: 3, oldestWaitMs: 9_000 })?.hint).not.toBe(lonely);
});

test('what comes from the origin because others fail is an alarm; what is its turn is none', () => {
  const totals = (peers: number, origin: number, pieces: number) => ({
    ...{ bytesFromPeers: peers * MIB, bytesFromOrigin: origin * MIB, piecesFallenBack: pieces },
  });
  const rule = new FallbackRule();
  expect(rule.at('debian', totals(0, 0, 0), 0)).toBeUndefined();
  expect(rule.at('debian', totals(0, 50, 15), 10_000)).toBeUndefined();
  expect(rule.at('debian', totals(51, 50, 800), 20_000)).toBeUndefined();
  expect(rule.at('debian', totals(51, 150, 800), 30_000)).toMatchObject({
    code: 'origin-fallback',
    reason: expect.stringContaining('75 % came from the origin, and 800 pieces'),
  });
  // What is longer ago than the window counts no more.
  expect(rule.at('debian', totals(51, 151, 800), 70_000)).toBeUndefined();
});

test('nodes that take an image from the origin and not from each other are an alarm', () => {
  const totals = (peers: number, origin: number) => ({
    ...{ bytesFromPeers: peers * MIB, bytesFromOrigin: origin * MIB },
  });
  const at = (peers: number, origin: number, receivers: number) => {
    const rule = new SpreadRule();
    rule.at('debian', totals(0, 0), receivers, 0);
    return rule.at('debian', totals(peers, origin), receivers, 5_000)?.reason;
  };
  expect(at(20, 80, 3)).toBe(
    '3 nodes received 100 MiB in the last minute, 80 % of it from the origin and not from each other',
  );
  expect(at(20, 80, 2)).toBeUndefined();
  expect(at(50, 50, 3)).toBeUndefined();
  expect(at(10, 40, 3)).toBeUndefined();
});

test('a disk with less than 5 % free is an alarm until 7 % are', () => {
  const facts = { directory: '/c', bytesTotal: 100 * 2 ** 30, isCacheFull: false };
  const at = (free: number, isRaised: boolean) =>
    diskNearlyFull({ ...facts, bytesFree: free * 2 ** 30 }, isRaised)?.reason;
  expect(at(5, false)).toBeUndefined();
  expect(at(4.9, false)).toBe('4.9 GiB (5 %) of the disk are free');
  expect(at(6, true)).toBe('6.0 GiB (6 %) of the disk are free');
  expect(at(7, true)).toBeUndefined();
  const full = diskNearlyFull({ ...facts, bytesFree: 2 ** 36, isCacheFull: true }, false);
  expect(full?.hint).toContain('--cache-max');
});
