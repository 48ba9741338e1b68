import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  type EvictableImage,
  HIGH_WATERMARK,
  imagesToEvict,
  LOW_WATERMARK,
  UNUSED_MS_MIN,
} from '../src/eviction.ts';

const NOW = 1_000_000;

function image(imageId: string, diskBytes: number, lastUsedAt: number, isInUse = false) {
  return { imageId, diskBytes, lastUsedAt, isInUse };
}

test('the image used longest ago goes first, and no more than needed', () => {
  const images = [image('b', 300, 20), image('a', 300, 10), image('c', 300, 30)];
  expect(imagesToEvict(images, 1_000, NOW)).toEqual([]);
  expect(imagesToEvict(images, 900, NOW)).toEqual(['a']);
  expect(imagesToEvict(images, 500, NOW)).toEqual(['a', 'b']);
});

test('what is in use stays, and what was a moment ago', () => {
  const images = [image('a', 300, 10, true), image('b', 300, NOW - UNUSED_MS_MIN)];
  expect(imagesToEvict(images, 100, NOW)).toEqual([]);
  expect(imagesToEvict(images, 100, NOW + 1)).toEqual(['b']);
});

test('what was used while the clock was ahead goes too, after what was used in the past', () => {
  const images = [image('a', 300, 10 * NOW), image('b', 300, 20)];
  expect(imagesToEvict(images, 100, NOW)).toEqual(['b', 'a']);
  expect(imagesToEvict([image('a', 300, NOW + UNUSED_MS_MIN)], 100, NOW)).toEqual([]);
});

test('whatever the images are: in use none goes, none that was used later than one that stays, and down to the mark', () => {
  const some = fc.array(
    fc.record({
      diskBytes: fc.nat(1_000),
      lastUsedAt: fc.nat(2 * NOW),
      isInUse: fc.boolean(),
    }),
    { maxLength: 20 },
  );
  fc.assert(
    fc.property(some, fc.nat(5_000), (drawn, bytesMax) => {
      const images: EvictableImage[] = drawn.map((each, index) => ({
        ...each,
        imageId: `${index}`,
      }));
      const used = (of: EvictableImage[]) => of.reduce((sum, each) => sum + each.diskBytes, 0);
      const chosen = imagesToEvict(images, bytesMax, NOW);
      if (used(images) <= bytesMax * HIGH_WATERMARK) {
        expect(chosen).toEqual([]);
        return;
      }
      const gone = images.filter(({ imageId }) => chosen.includes(imageId));
      const canGo = images.filter(
        (each) =>
          !each.isInUse && Math.abs(NOW - each.lastUsedAt) > UNUSED_MS_MIN && !gone.includes(each),
      );
      expect(gone.some(({ isInUse }) => isInUse)).toBe(false);
      const latest = Math.max(0, ...gone.map(({ lastUsedAt }) => lastUsedAt));
      for (const each of canGo) expect(each.lastUsedAt).toBeGreaterThanOrEqual(latest);
      const left = used(images) - used(gone);
      if (canGo.length > 0) expect(left).toBeLessThanOrEqual(bytesMax * LOW_WATERMARK);
    }),
  );
});
