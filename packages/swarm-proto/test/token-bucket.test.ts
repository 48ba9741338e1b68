import fc from 'fast-check';
import { expect, test } from 'vitest';
import { TokenBucket } from '../src/token-bucket.ts';

const rate = fc.double({ min: 0.001, max: 1_000_000, noNaN: true });
const burst = fc.double({ min: 1, max: 1_000_000, noNaN: true });
const amount = fc.integer({ min: 1, max: 1_000_000 });

/** Rounding of sums as large as those above. */
const SLACK = 1.000001;

interface Take {
  readonly at: number;
  readonly amount: number;
}

/** Takes whenever something is left, after each pause; returns what was taken when. */
function takeWhenever(bucket: TokenBucket, pauses: readonly number[], each: number): Take[] {
  const taken: Take[] = [];
  let at = 0;
  for (const pause of pauses) {
    at += pause;
    if (bucket.isEmpty(at)) continue;
    bucket.take(each, at);
    taken.push({ at, amount: each });
  }
  return taken;
}

test('never lets more through than rate times time, a burst, and the one take that emptied it', () => {
  const pause = fc.oneof(fc.constant(0), fc.double({ min: 0, max: 1_000, noNaN: true }));
  fc.assert(
    fc.property(rate, burst, amount, fc.array(pause), (perMs, most, each, pauses) => {
      const taken = takeWhenever(new TokenBucket(perMs, most), pauses, each);
      for (let from = 0; from < taken.length; from += 1) {
        let sum = 0;
        for (const { at, amount } of taken.slice(from)) {
          sum += amount;
          const allowed = perMs * (at - taken[from].at) + most + each;
          expect(sum).toBeLessThanOrEqual(allowed * SLACK);
        }
      }
    }),
  );
});

test('lets the whole rate through to one who takes as soon as there is anything', () => {
  fc.assert(
    fc.property(rate, burst, amount, (perMs, most, each) => {
      const bucket = new TokenBucket(perMs, most);
      let now = 0;
      let sum = 0;
      for (let n = 0; n < 50; n += 1) {
        now = bucket.refilledAt(now);
        bucket.take(each, now);
        sum += each;
      }
      expect(sum * SLACK).toBeGreaterThanOrEqual(perMs * now);
    }),
  );
});

test('is empty until the time it names, and not at it', () => {
  fc.assert(
    fc.property(rate, burst, amount, fc.nat(1_000_000), (perMs, most, each, now) => {
      const bucket = new TokenBucket(perMs, most);
      bucket.take(most + each, now);
      expect(bucket.isEmpty(now)).toBe(true);
      const refilledAt = bucket.refilledAt(now);
      // It names the time when a whole one is there.
      const justBefore = refilledAt - 2 / perMs;
      if (justBefore > now) expect(bucket.isEmpty(justBefore)).toBe(true);
      expect(bucket.isEmpty(refilledAt)).toBe(false);
      expect(bucket.refilledAt(refilledAt)).toBe(refilledAt);
    }),
  );
});

test('saves no more than its burst, however long nothing is taken', () => {
  const bucket = new TokenBucket(1, 3);
  for (let n = 0; n < 3; n += 1) {
    expect(bucket.isEmpty(1_000)).toBe(false);
    bucket.take(1, 1_000);
  }
  expect(bucket.isEmpty(1_000)).toBe(true);
});

test('who takes more than there is makes the next wait for the rest', () => {
  const bucket = new TokenBucket(10, 10);
  bucket.take(110, 0);
  expect(bucket.isEmpty(10)).toBe(true);
  expect(bucket.isEmpty(10.1)).toBe(false);
});

test('without a rate it is never empty, whatever is taken', () => {
  const bucket = new TokenBucket(Infinity, Infinity);
  bucket.take(Number.MAX_SAFE_INTEGER, 0);
  expect(bucket.isEmpty(0)).toBe(false);
});

test('what is given counts at once, towards what is owed first, and up to the burst', () => {
  const bucket = new TokenBucket(0, 2);
  bucket.take(5, 0);
  bucket.give(3);
  expect(bucket.isEmpty(0)).toBe(true);
  bucket.give(1);
  expect(bucket.isEmpty(0)).toBe(false);
  bucket.give(100);
  bucket.take(2, 0);
  expect(bucket.isEmpty(0)).toBe(true);
});

test('another rate counts from its own moment, and what was taken stays taken', () => {
  const bucket = new TokenBucket(1, 10);
  bucket.take(110, 0);
  bucket.reset(10, 10, 50);
  // 50 of the 100 owed came at the old rate.
  expect(bucket.isEmpty(55)).toBe(true);
  expect(bucket.isEmpty(55.1)).toBe(false);
});

test('a smaller burst applies to what was saved before', () => {
  const bucket = new TokenBucket(1, 100);
  bucket.reset(1, 2, 0);
  bucket.take(2, 0);
  expect(bucket.isEmpty(0)).toBe(true);
});

test('a rate put in place of none begins with its burst and earns nothing for the time before', () => {
  const bucket = new TokenBucket(Infinity, Infinity);
  bucket.take(1_000, 0);
  expect(bucket.isEmpty(0)).toBe(false);
  bucket.reset(1, 10, 500);
  bucket.take(10, 500);
  expect(bucket.isEmpty(500)).toBe(true);
  expect(bucket.isEmpty(501)).toBe(false);
});

test('what is owed is still owed after a time without a rate', () => {
  const bucket = new TokenBucket(1, 10);
  bucket.take(110, 0);
  bucket.reset(Infinity, Infinity, 0);
  expect(bucket.isEmpty(500)).toBe(false);
  bucket.reset(1, 10, 500);
  expect(bucket.isEmpty(600)).toBe(true);
  expect(bucket.isEmpty(601)).toBe(false);
});
