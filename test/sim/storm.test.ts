import { readFileSync } from 'node:fs';
import { parseBootTrace, runStorm, type StormOptions } from '@bootswarm/sim';
import { describe, expect, test } from 'vitest';

const trace = parseBootTrace(
  JSON.parse(
    readFileSync(new URL('../../bench/traces/debian12-minimal.json', import.meta.url), 'utf8'),
  ),
);
const GBIT = 125_000;
const storm: StormOptions = {
  trace,
  nodes: 24,
  vmsPerNode: 1,
  thinkScale: 0.2,
  arrivalMs: 1_000,
  nic: GBIT,
  originNic: GBIT,
  zones: 1,
  betweenZones: Infinity,
  pieceLength: 65_536,
  isLearned: true,
  isKnownBefore: true,
  seed: 1,
};

describe('boot storm in the simulator', () => {
  test.each([
    ['with the boot order known', {}],
    ['of an image never seen', { isLearned: false }],
    ['of nodes that join with their guests', { isKnownBefore: false }],
    ['with two guests a node', { vmsPerNode: 2 }],
    ['in three zones', { zones: 3, betweenZones: GBIT }],
    ['without think time', { thinkScale: 0 }],
  ])('%s: every guest boots, and the origin sends each needed byte about once', (_, change) => {
    const result = runStorm({ ...storm, ...change });
    expect(result.lastVmSeconds).toBeLessThan(60);
    expect(result.originRatio).toBeGreaterThanOrEqual(1);
    expect(result.originRatio).toBeLessThanOrEqual(1.05);
  });

  test('nodes that join with their guests get the layer from each other, not from the tracker', () => {
    const joining = { ...storm, nodes: 12, isKnownBefore: false, isLearned: false };
    const short = { ...joining, trace: { ...trace, reads: trace.reads.slice(0, 10) } };
    const { layerBytes, trackerBytes, joinMsMax } = runStorm(short);
    const central = runStorm({ ...short, layerFrom: 'tracker' });
    expect(joinMsMax).toBeLessThan(1_000);
    expect(central.layerBytes).toBe(0);
    // The second of the first two nodes is a root before the first has everything.
    expect(layerBytes).toBeGreaterThan(0);
    expect(layerBytes).toBeLessThanOrEqual(2 * (central.trackerBytes / short.nodes));
    expect(trackerBytes + layerBytes).toBeLessThan(central.trackerBytes / 3);
  });

  test('with the boot order known guests boot about as fast as from a warm cache', () => {
    expect(runStorm(storm).coldWarmRatio).toBeLessThanOrEqual(1.03);
  });

  test('with poisoners no wrong byte is delivered, they are left, and everybody boots', () => {
    const { bans, lastVmSeconds } = runStorm({ ...storm, poisoners: 3 });
    expect(bans).toBeGreaterThan(0);
    expect(lastVmSeconds).toBeLessThan(60);
  });

  test('the same seed gives the same event log, another seed another', () => {
    const [first, again, other] = [7, 7, 8].map(
      (seed) => runStorm({ ...storm, seed }).eventLogHash,
    );
    expect(again).toBe(first);
    expect(other).not.toBe(first);
  });
});
