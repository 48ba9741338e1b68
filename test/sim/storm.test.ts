import { MEASURED_COSTS } from '@bootswarm/sim';
import { describe, expect, test } from 'vitest';
import { STORM, stormOf, stormWith } from './storms.ts';

const GBIT = 125_000;

describe('boot storm in the simulator', () => {
  test.each([
    ['with the boot order known', {}],
    ['of an image never seen', { isLearned: false }],
    ['of nodes that join with their guests', { isKnownBefore: false }],
    ['with two guests a node', { vmsPerNode: 2 }],
    ['in three zones', { zones: 3, betweenZones: GBIT }],
    ['without think time', { thinkScale: 0 }],
  ])('%s: every guest boots, and the origin sends each needed byte about once', (_, change) => {
    const result = stormWith(change);
    expect(result.lastVmSeconds).toBeLessThan(60);
    expect(result.originRatio).toBeGreaterThanOrEqual(1);
    expect(result.originRatio).toBeLessThanOrEqual(1.05);
  });

  test('is not begun while agents that were to be known beforehand still join', () => {
    const costs = { ...MEASURED_COSTS, httpMs: 500 };
    expect(() => stormWith({ costs })).toThrow(/at 5000.000 ms: node\d+ still joins/);
  });

  test('nodes that join with their guests get the layer from each other, not from the tracker', () => {
    const trace = { ...STORM.trace, reads: STORM.trace.reads.slice(0, 10) };
    const joining = { nodes: 12, isKnownBefore: false, isLearned: false, trace };
    const { layerBytes, trackerBytes, joinMsMax } = stormWith(joining).join!;
    const central = stormWith({ ...joining, layerFrom: 'tracker' }).join!;
    expect(joinMsMax).toBeLessThan(1_000);
    expect(central.layerBytes).toBe(0);
    // The second of the first two nodes is a root before the first has everything.
    expect(layerBytes).toBeGreaterThan(0);
    expect(layerBytes).toBeLessThanOrEqual(2 * (central.trackerBytes / joining.nodes));
    expect(trackerBytes + layerBytes).toBeLessThan(central.trackerBytes / 3);
  });

  test('with the boot order known guests boot about as fast as from a warm cache', () => {
    expect(stormWith({}).coldWarmRatio).toBeLessThanOrEqual(1.03);
  });

  test('ten guests a node need no more from the origin, and stall for no longer than one', () => {
    const { originRatio, coldWarmRatio, vms } = stormOf('--vms-per-node 10 --nodes 12');
    expect(vms).toBe(120);
    expect(originRatio).toBe(1);
    expect(coldWarmRatio).toBeLessThanOrEqual(1.05);
  });

  test('counts what goes into a zone from others, and nothing where there is one', () => {
    const { zoneBytesMax, neededBytes } = stormOf('--zones 3');
    expect(zoneBytesMax).toBeGreaterThanOrEqual(neededBytes);
    expect(stormOf('--zones 1').zoneBytesMax).toBe(0);
  });

  test('draws curves: guests in the order of getting ready, and all that left the origin', () => {
    const { curves, vms, lastVmSeconds, originBytes } = stormWith({});
    const { vmReadySeconds } = curves;
    expect(vmReadySeconds).toEqual(vmReadySeconds.toSorted((a, b) => a - b));
    expect([vmReadySeconds.length, vmReadySeconds.at(-1)]).toEqual([vms, lastVmSeconds]);
    const sent = curves.originBytes.map(([, bytes]) => bytes);
    expect(sent).toEqual(sent.toSorted((a, b) => a - b));
    expect(sent.at(-1)).toBeGreaterThanOrEqual(originBytes);
    expect(sent.at(-1)).toBeLessThan(originBytes * 1.02);
  });

  test('the same seed gives the same event log, another seed another', () => {
    const [first, again, other] = [7, 7, 8].map((seed) => stormWith({ seed }).eventLogHash);
    expect(again).toBe(first);
    expect(other).not.toBe(first);
  });
});
