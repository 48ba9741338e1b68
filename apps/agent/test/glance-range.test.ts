import fc from 'fast-check';
import { expect, test } from 'vitest';
import { byteRange } from '../src/glance-proxy/image-file.ts';

test.each([
  [undefined, undefined],
  ['bytes=0-0', { start: 0, end: 1 }],
  ['bytes=5-', { start: 5, end: 100 }],
  ['bytes=-5', { start: 95, end: 100 }],
  ['bytes=-500', { start: 0, end: 100 }],
  ['bytes=90-500', { start: 90, end: 100 }],
  ['bytes=100-', 'wrong'],
  ['bytes=-0', 'wrong'],
  ['bytes=6-5', 'wrong'],
  ['bytes=-', 'wrong'],
  ['bytes=0-1,3-4', 'wrong'],
  ['items=0-1', 'wrong'],
])('of 100 bytes, %s is %o', (header, range) => {
  expect(byteRange(header, 100)).toEqual(range);
});

test('whatever is asked is within the image, or wrong', () => {
  const part = fc.oneof(fc.nat(2_000).map(String), fc.string({ maxLength: 20 }));
  fc.assert(
    fc.property(part, part, fc.integer({ min: 1, max: 1_000 }), (first, last, length) => {
      const range = byteRange(`bytes=${first}-${last}`, length);
      if (range === 'wrong' || range === undefined) return;
      expect(range.start).toBeGreaterThanOrEqual(0);
      expect(range.start).toBeLessThan(range.end);
      expect(range.end).toBeLessThanOrEqual(length);
    }),
  );
});
