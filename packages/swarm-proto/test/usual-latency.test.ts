import fc from 'fast-check';
import { expect, test } from 'vitest';
import { UsualLatency } from '../src/usual-latency.ts';

const MIN_MS = 100;

function after(count: number, latencyMs: number): UsualLatency {
  const usual = new UsualLatency(MIN_MS);
  for (let n = 0; n < count; n += 1) usual.add(latencyMs);
  return usual;
}

test('before anything was measured, what takes longer than the least is not in time', () => {
  expect(new UsualLatency(MIN_MS).add(MIN_MS)).toBe(true);
  expect(new UsualLatency(MIN_MS).add(MIN_MS + 1)).toBe(false);
});

test('what takes no longer than the least is in time, however fast all others are', () => {
  fc.assert(
    fc.property(fc.nat(1_000), fc.double({ min: 0, max: MIN_MS, noNaN: true }), (count, ms) => {
      expect(after(count, 1).add(ms)).toBe(true);
    }),
  );
});

test('where pieces take long from all, up to four times as long is in time', () => {
  expect(after(1_000, 200).add(799)).toBe(true);
  expect(after(1_000, 200).add(801)).toBe(false);
});

test('one slow answer does not make the next one usual', () => {
  const usual = after(1_000, 50);
  expect(usual.add(2_000)).toBe(false);
  expect(usual.add(2_000)).toBe(false);
});

test('when all become slow, slow becomes usual', () => {
  const usual = after(1_000, 50);
  for (let n = 0; n < 32; n += 1) usual.add(1_000);
  expect(usual.add(1_000)).toBe(true);
});
