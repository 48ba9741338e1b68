import { POLICY_NAMES, parseBootTrace } from '@bootswarm/sim';
import { describe, expect, test } from 'vitest';
import { stormOf, stormWith } from './storms.ts';

const SMALL = '--trace synthetic:1:8';

/** A disk without a byte that is not zero. */
const ZEROS = {
  name: 'zeros',
  sizeBytes: 1_048_576,
  granuleBytes: 65_536,
  dataGranules: [],
  reads: [
    [0, 0, 512],
    [10, 65_536, 4_096],
  ],
};

describe('policies in the same storm', () => {
  test.each(POLICY_NAMES)(
    '%s: every guest boots, and the same seed gives the same log',
    (policy) => {
      const [first, again, other] = [1, 1, 2].map((seed) =>
        stormOf(`--policy ${policy} ${SMALL} --nodes 8 --seed ${seed}`),
      );
      expect(first.guestsWaiting).toBe(0);
      expect(first.policy).toBe(policy);
      expect(first.coldWarmRatio).toBeGreaterThanOrEqual(1);
      expect(again.eventLogHash).toBe(first.eventLogHash);
      expect(other.eventLogHash).not.toBe(first.eventLogHash);
    },
  );

  test.each(POLICY_NAMES)('%s: a NIC carries headers besides payload', (policy) => {
    const flags = `--policy ${policy} ${SMALL} --nodes 1 --think 0 --arrival 0 --mbit 10`;
    const [seconds, bytes] = stormOf(`${flags} --origin-mbit 10`).curves.originBytes.at(-1)!;
    const payloadShare = bytes / seconds / 1.25e6;
    expect(payloadShare).toBeGreaterThan(0.85);
    expect(payloadShare).toBeLessThan(0.945);
  });

  test.each(POLICY_NAMES)('%s: guests that read nothing but zeros boot too', (policy) => {
    const change = { policy, pieceLength: 65_536, nodes: 3, trace: parseBootTrace(ZEROS) };
    const storm = stormWith(change);
    expect([storm.guestsWaiting, storm.neededBytes]).toEqual([0, 0]);
    // Who serves ranges serves zeros too: so many times nothing is no number.
    expect(storm.originRatio).toBe(policy === 'central' || policy === 'tree' ? Infinity : 0);
    expect(storm.prefetchedUnusedRatio).toBe(0);
    expect(storm.lastVmSeconds).toBeLessThan(10);
  });

  test('central: the origin sends every VM all it reads', () => {
    const one = stormOf(`--policy central ${SMALL} --nodes 1`).originBytes;
    expect(stormOf(`--policy central ${SMALL} --nodes 6 --vms-per-node 2`).originBytes).toBe(
      12 * one,
    );
  });

  test('copy: the origin sends every node all that is not zero, and nobody boots before', () => {
    const { originBytes, meanVmSeconds, neededBytes, prefetchedUnusedRatio } = stormOf(
      `--policy copy ${SMALL} --nodes 6 --vms-per-node 2 --arrival 0`,
    );
    // A quarter of what is not zero is read.
    expect(originBytes).toBeCloseTo(6 * 4 * neededBytes, -7);
    expect(prefetchedUnusedRatio).toBeCloseTo(3, 1);
    expect(meanVmSeconds).toBeGreaterThan(originBytes / 125_000_000);
  });

  test('tree: the origin sends each block once, and no relay adds to it', () => {
    const alone = stormOf(`--policy tree ${SMALL} --nodes 1`);
    const many = stormOf(`--policy tree ${SMALL} --nodes 15 --vms-per-node 3`);
    expect(many.originBytes).toBe(alone.originBytes);
    expect(many.stallsBySource.peers).toBeGreaterThan(0);
    expect(alone.stallsBySource.peers).toBe(0);
  });

  test('bittorrent: peers give most of it, and the origin is asked for more than once', () => {
    const { originRatio, prefetchedUnusedRatio } = stormOf(
      `--policy bittorrent ${SMALL} --nodes 12 --arrival 0`,
    );
    expect(originRatio).toBeGreaterThan(1);
    expect(prefetchedUnusedRatio).toBeGreaterThan(0.5);
  });

  test.each(['bootswarm', 'copy', 'bittorrent'])('%s: fetches a whole image', (policy) => {
    const result = stormOf(
      `--policy ${policy} --full-image 40000000 --piece 262144 --nodes 8 --arrival 0.1`,
    );
    expect(result.neededBytes).toBe(40_000_000);
    expect(result.vms).toBe(8);
    expect(result.lastVmSeconds).toBeGreaterThanOrEqual(result.fluidLimitSeconds);
    expect(result.lastVmSeconds).toBeLessThan(60);
    expect(result.coldWarmRatio).toBeNaN();
  });
});

describe('fluid limit', () => {
  const needed = stormOf(`${SMALL} --nodes 1 --think 0`).neededBytes;

  test.each([
    ['one node: its NIC', '--nodes 1', needed / 125e6],
    ['the last to arrive begins when it arrives', '--nodes 10 --arrival 2', 1.8 + needed / 125e6],
    [
      'guests of one node share what it fetched',
      '--nodes 1 --vms-per-node 10 --arrival 2',
      needed / 125e6,
    ],
    ['a slow origin', '--nodes 10 --origin-mbit 10', needed / 1.25e6],
    [
      'slow links between zones',
      '--nodes 10 --zones 2 --zone-mbit 10 --arrival 0',
      needed / 1.25e6,
    ],
  ])('%s', (_, flags, seconds) => {
    const { fluidLimitSeconds, lastVmSeconds } = stormOf(`${SMALL} --think 0 --known no ${flags}`);
    expect(fluidLimitSeconds).toBeCloseTo(seconds, 6);
    expect(lastVmSeconds).toBeGreaterThan(fluidLimitSeconds);
  });
});
