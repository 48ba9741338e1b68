import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ByteRate } from '../src/byte-rate.ts';

test('is the mean over the last five whole seconds', () => {
  const rate = new ByteRate();
  rate.add(1_000, 10_000);
  rate.add(2_000, 10_999);
  // The second that is not over yet does not count.
  expect(rate.bytesPerSecond(10_999)).toBe(0);
  expect(rate.bytesPerSecond(11_000)).toBe(600);
  rate.add(500, 11_500);
  expect(rate.bytesPerSecond(12_000)).toBe(700);
  expect(rate.bytesPerSecond(15_999)).toBe(700);
  expect(rate.bytesPerSecond(16_000)).toBe(100);
  expect(rate.bytesPerSecond(17_000)).toBe(0);
});

test('forgets all after a long silence', () => {
  const rate = new ByteRate();
  rate.add(1_000, 0);
  rate.add(7, 1_000_000);
  expect(rate.bytesPerSecond(1_001_000)).toBe(7 / 5);
});

test('agrees with a list of everything that was added', () => {
  const addition = fc.record({ bytes: fc.nat({ max: 1_000 }), afterMs: fc.nat({ max: 4_000 }) });
  fc.assert(
    fc.property(fc.nat({ max: 1e9 }), fc.array(addition), (startMs, additions) => {
      const rate = new ByteRate();
      const list: { bytes: number; second: number }[] = [];
      let now = startMs;
      for (const { bytes, afterMs } of additions) {
        now += afterMs;
        rate.add(bytes, now);
        list.push({ bytes, second: Math.floor(now / 1_000) });
        const second = Math.floor(now / 1_000);
        const recent = list.filter((each) => each.second < second && each.second >= second - 5);
        const sum = recent.reduce((total, each) => total + each.bytes, 0);
        expect(rate.bytesPerSecond(now)).toBe(sum / 5);
      }
    }),
  );
});
