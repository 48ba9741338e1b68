import { Random } from '@bootswarm/stdx';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Lateness } from '../src/lateness.ts';
import { DEFAULT_LIMITS } from '../src/limits.ts';

const { hedgeMinMs, hedgeMaxMs } = DEFAULT_LIMITS;

function after(latencies: Iterable<number>): Lateness {
  const lateness = new Lateness(DEFAULT_LIMITS);
  for (const latencyMs of latencies) lateness.add(latencyMs);
  return lateness;
}

const times = (count: number, latencyMs: number) => new Array<number>(count).fill(latencyMs);

test('before any piece came, and where they come at once, the least bound holds', () => {
  expect(after([]).lateAfterMs).toBe(hedgeMinMs);
  expect(after(times(100, 2)).lateAfterMs).toBe(hedgeMinMs);
});

test('where pieces take long as a rule, one is late after twice as long', () => {
  expect(after(times(200, 80)).lateAfterMs).toBeCloseTo(160, 0);
});

test('is about twice the 95th percentile where pieces take now more, now less', () => {
  const random = new Random(7);
  const lateness = new Lateness(DEFAULT_LIMITS);
  for (let n = 0; n < 500; n += 1) {
    lateness.add(40 + 40 * random.float());
    if (n < 100) continue;
    expect(lateness.lateAfterMs).toBeGreaterThan(2 * 78 * 0.8);
    expect(lateness.lateAfterMs).toBeLessThan(2 * 78 * 1.25);
  }
});

test('slow sources are never taken for normal: the bounds hold whatever comes', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 1e9, noNaN: true })), (latencies) => {
      const { lateAfterMs } = after(latencies);
      expect(lateAfterMs).toBeGreaterThanOrEqual(hedgeMinMs);
      expect(lateAfterMs).toBeLessThanOrEqual(hedgeMaxMs);
    }),
  );
});

test('one piece that took long makes it more patient, and is forgotten', () => {
  const usual = times(100, 60);
  const before = after(usual).lateAfterMs;
  expect(after([...usual, 300]).lateAfterMs).toBeGreaterThan(2 * before);
  expect(after([...usual, 300, ...usual]).lateAfterMs).toBeCloseTo(before, 0);
});
