import { expect, test } from 'vitest';
import { FILL_IDLE_MS, FILL_MODES, FillPolicy } from '../src/fill-policy.ts';

test('fills from the start and for ever when told always, and never when told never', () => {
  const always = new FillPolicy('always', 0);
  expect(always.update(5, 1, true, 0)).toBe(true);
  expect(always.update(6, 1, true, 1_000)).toBeUndefined();
  const never = new FillPolicy('never', 0);
  expect(never.update(0, 0, true, 10 * FILL_IDLE_MS)).toBeUndefined();
});

test('fills once its guests have missed nothing for a while', () => {
  const policy = new FillPolicy('idle', 1_000);
  expect(policy.update(0, 0, true, 1_000 + FILL_IDLE_MS - 1)).toBeUndefined();
  expect(policy.update(0, 0, true, 1_000 + FILL_IDLE_MS)).toBe(true);
  expect(policy.update(0, 0, true, 2_000 + FILL_IDLE_MS)).toBeUndefined();
});

test('stops for a read that misses, and begins the wait anew', () => {
  const policy = new FillPolicy('idle', 0);
  expect(policy.update(0, 0, true, FILL_IDLE_MS)).toBe(true);
  // Already answered, but it missed.
  const missedAt = FILL_IDLE_MS + 1_000;
  expect(policy.update(1, 0, true, missedAt)).toBe(false);
  expect(policy.update(1, 0, true, missedAt + FILL_IDLE_MS - 1)).toBeUndefined();
  expect(policy.update(1, 0, true, missedAt + FILL_IDLE_MS)).toBe(true);
});

test('does not fill while a read waits, however long', () => {
  const policy = new FillPolicy('idle', 0);
  for (let now = 0; now < 3 * FILL_IDLE_MS; now += 1_000) {
    expect(policy.update(1, 1, true, now)).toBeUndefined();
  }
  const answeredAt = 3 * FILL_IDLE_MS - 1_000;
  expect(policy.update(1, 0, true, answeredAt + FILL_IDLE_MS)).toBe(true);
});

test('fetches nothing of an image that no guest wants, and waits anew once one does', () => {
  const idle = new FillPolicy('idle', 0);
  const always = new FillPolicy('always', 0);
  const wantedAt = 3 * FILL_IDLE_MS;
  expect(idle.update(0, 0, false, wantedAt)).toBeUndefined();
  expect(always.update(0, 0, false, wantedAt)).toBeUndefined();
  expect(always.update(0, 0, true, wantedAt)).toBe(true);
  expect(idle.update(0, 0, true, wantedAt + FILL_IDLE_MS - 1)).toBeUndefined();
  expect(idle.update(0, 0, true, wantedAt + FILL_IDLE_MS)).toBe(true);
});

test('fetches everything in every mode while somebody has ordered it', () => {
  for (const mode of FILL_MODES) {
    const policy = new FillPolicy(mode, 0);
    expect(policy.update(0, 1, false, 1_000, true)).toBe(true);
    expect(policy.update(0, 1, false, 2_000, false)).toBe(false);
  }
});
