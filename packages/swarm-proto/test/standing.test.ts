import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Standing } from '../src/standing.ts';

const PAUSE_MIN_MS = 1_000;
const PAUSE_MAX_MS = 64_000;
const REQUESTS_MAX = 64;

/** Requests it may have open: as many as allows() says yes to, up to what nobody is allowed anyway. */
function allowance(standing: Standing): number {
  let open = 0;
  while (open < REQUESTS_MAX && standing.allows(open)) open += 1;
  return open;
}

/** Failed once; its pause ends at PAUSE_MIN_MS. */
function failedAtZero(): Standing {
  const standing = new Standing();
  standing.failed(0);
  return standing;
}

test('a peer that nothing is held against is asked for as much as there is, late or not', () => {
  const standing = new Standing();
  for (let now = 0; now < 10; now += 1) standing.answered(now, false, REQUESTS_MAX);
  expect(standing.isAvoided(10)).toBe(false);
  expect(allowance(standing)).toBe(REQUESTS_MAX);
});

test('each failure doubles the pause, up to the longest', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(100_000), { minLength: 1, maxLength: 12 }), (gaps) => {
      const standing = new Standing();
      let now = 0;
      let pauseMs = PAUSE_MIN_MS;
      for (const gap of gaps) {
        now += gap;
        standing.failed(now);
        expect(standing.isAvoided(now + pauseMs - 1)).toBe(true);
        expect(standing.isAvoided(now + pauseMs)).toBe(false);
        pauseMs = Math.min(PAUSE_MAX_MS, 2 * pauseMs);
      }
    }),
  );
});

test('after its pause a peer is tried with one piece, and may owe twice as many with each in time', () => {
  const standing = failedAtZero();
  const seen = [allowance(standing)];
  for (let now = PAUSE_MIN_MS; seen.at(-1)! < REQUESTS_MAX; now += 10) {
    standing.answered(now, true, REQUESTS_MAX);
    seen.push(allowance(standing));
  }
  expect(seen).toEqual([1, 2, 4, 8, 16, 32, 64]);
});

test('a peer that came through its trial is as good as any other: its next pause is the first', () => {
  const standing = failedAtZero();
  standing.failed(0);
  standing.failed(0);
  const trialAt = 4 * PAUSE_MIN_MS;
  for (let n = 0; n < 6; n += 1) standing.answered(trialAt, true, REQUESTS_MAX);
  standing.answered(trialAt, false, REQUESTS_MAX);
  expect(allowance(standing)).toBe(REQUESTS_MAX);
  expect(standing.isAvoided(trialAt)).toBe(false);
  standing.failed(trialAt);
  expect(standing.isAvoided(trialAt + PAUSE_MIN_MS)).toBe(false);
});

test('a peer on trial whose piece comes too late is left for twice as long', () => {
  const standing = failedAtZero();
  standing.answered(PAUSE_MIN_MS, true, REQUESTS_MAX);
  standing.answered(PAUSE_MIN_MS, false, REQUESTS_MAX);
  expect(allowance(standing)).toBe(1);
  expect(standing.isAvoided(3 * PAUSE_MIN_MS - 1)).toBe(true);
  expect(standing.isAvoided(3 * PAUSE_MIN_MS)).toBe(false);
});

test('what still comes from a peer during its pause neither restores nor punishes it', () => {
  const standing = failedAtZero();
  for (let now = 0; now < PAUSE_MIN_MS; now += 10) {
    standing.answered(now, now % 20 === 0, REQUESTS_MAX);
  }
  expect(allowance(standing)).toBe(1);
  expect(standing.isAvoided(PAUSE_MIN_MS)).toBe(false);
});

test('a peer that declines is left for as long as it says, and then tried with one piece', () => {
  const standing = new Standing();
  standing.declined(0, 10_000);
  expect(standing.isAvoided(9_999)).toBe(true);
  expect(standing.isAvoided(10_000)).toBe(false);
  expect(allowance(standing)).toBe(1);
});

test('to decline is no failure: the pause after the next failure is the first', () => {
  const standing = new Standing();
  standing.declined(0, 10_000);
  standing.declined(5_000, 10_000);
  standing.failed(20_000);
  expect(standing.isAvoided(20_000 + PAUSE_MIN_MS)).toBe(false);
});

test('to decline for a moment does not end a longer pause', () => {
  const standing = failedAtZero();
  standing.declined(0, 10);
  expect(standing.isAvoided(PAUSE_MIN_MS - 1)).toBe(true);
});

test('a failure does not shorten the time for which it has said that it cannot serve', () => {
  const standing = new Standing();
  standing.declined(0, 10_000);
  standing.failed(100);
  expect(standing.isAvoided(9_999)).toBe(true);
  expect(standing.isAvoided(10_000)).toBe(false);
});
