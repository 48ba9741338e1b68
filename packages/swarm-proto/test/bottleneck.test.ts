import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isBottleneck } from '../src/bottleneck.ts';

const BYTES_PER_MS_IN = 1_000;

/** Somebody has waited this long, and so much was sent meanwhile, after whatever was sent before. */
function holdsUp(waitedMs: number, bytesSent: number, bytesPerMsIn = BYTES_PER_MS_IN): boolean {
  const since = { at: 5_000, bytesSent: 123_456 };
  const now = { at: since.at + waitedMs, bytesSent: since.bytesSent + bytesSent };
  return isBottleneck(since, now, bytesPerMsIn);
}

test('a node that sends less than a quarter of what it takes in holds up who waits', () => {
  expect(holdsUp(200, 200 * 249)).toBe(true);
  expect(holdsUp(200, 200 * 250)).toBe(false);
  expect(holdsUp(200, 200 * 4_000)).toBe(false);
});

test('a short wait is a send buffer, not a slow uplink', () => {
  expect(holdsUp(149, 0)).toBe(false);
  expect(holdsUp(150, 0)).toBe(true);
});

test('a node that takes nothing in holds nobody up', () => {
  expect(holdsUp(10_000, 0, 0)).toBe(false);
});

test('who sent less in the same time, or takes in more, is no less of a bottleneck', () => {
  const bytes = fc.nat(10_000_000);
  const speed = fc.nat(125_000);
  fc.assert(
    fc.property(fc.nat(2_000), bytes, bytes, speed, speed, (waitedMs, a, b, c, d) => {
      const [less, more] = [Math.min(a, b), Math.max(a, b)];
      const [slower, faster] = [Math.min(c, d), Math.max(c, d)];
      if (!holdsUp(waitedMs, more, slower)) return;
      expect(holdsUp(waitedMs, less, slower)).toBe(true);
      expect(holdsUp(waitedMs, more, faster)).toBe(true);
    }),
  );
});
