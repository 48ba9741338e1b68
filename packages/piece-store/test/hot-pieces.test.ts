import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HotPieces } from '../src/hot-pieces.ts';

const piece = (length = 100) => new Uint8Array(length).fill(length);

describe('HotPieces', () => {
  test('evicts the least recently used piece', () => {
    const hot = new HotPieces(300);
    for (const index of [0, 1, 2]) hot.insert(index, piece(), false);
    hot.get(0);
    hot.insert(3, piece(), false);
    expect([0, 1, 2, 3].map((index) => hot.get(index) !== undefined)).toEqual([
      true,
      false,
      true,
      true,
    ]);
  });

  test('a prefetched piece takes only room that is left', () => {
    const hot = new HotPieces(300);
    hot.insert(0, piece(), false);
    hot.insert(1, piece(), true);
    hot.insert(2, piece(201), true);
    expect([0, 1, 2].filter((index) => hot.get(index) !== undefined)).toEqual([0, 1]);
  });

  test('a newer prefetched piece takes the place of an older one', () => {
    const hot = new HotPieces(300);
    hot.insert(0, piece(), false);
    for (const index of [1, 2, 3]) hot.insert(index, piece(), true);
    expect([0, 1, 2, 3].filter((index) => hot.get(index) !== undefined)).toEqual([0, 2, 3]);
  });

  test('prefetched pieces go before any piece a guest asked for', () => {
    const hot = new HotPieces(300);
    hot.insert(0, piece(), false);
    hot.insert(1, piece(), true);
    hot.insert(2, piece(), true);
    hot.insert(3, piece(), false);
    hot.insert(4, piece(), false);
    expect([0, 1, 2, 3, 4].filter((index) => hot.get(index) !== undefined)).toEqual([0, 3, 4]);
  });

  test('a prefetched piece that a guest asks for stays as one of those', () => {
    const hot = new HotPieces(200);
    hot.insert(0, piece(), true);
    hot.insert(0, piece(), false);
    for (const index of [1, 2]) hot.insert(index, piece(), true);
    expect([0, 1, 2].filter((index) => hot.get(index) !== undefined)).toEqual([0, 2]);
  });

  test('copies a piece cut from a larger buffer, so that it holds only what it counts', () => {
    const hot = new HotPieces(1000);
    hot.insert(0, new Uint8Array(4096).fill(9).subarray(50, 150), false);
    expect(hot.get(0)?.buffer.byteLength).toBe(100);
    expect(hot.get(0)).toEqual(new Uint8Array(100).fill(9));
  });

  test('keeps nothing without memory, and no piece larger than it', () => {
    const none = new HotPieces(0);
    none.insert(0, piece(1), false);
    expect(none.get(0)).toBeUndefined();
    const small = new HotPieces(100);
    small.insert(0, piece(100), true);
    small.insert(1, piece(101), false);
    expect(small.get(0)).toBeDefined();
    expect(small.get(1)).toBeUndefined();
  });

  test('never exceeds its bytes, counts them right, and says of each piece when it goes', () => {
    const insert = fc.tuple(fc.nat(9), fc.integer({ min: 1, max: 120 }), fc.boolean());
    fc.assert(
      fc.property(fc.array(insert, { maxLength: 60 }), (inserts) => {
        const kept = new Set<Uint8Array>();
        const hot = new HotPieces(300, (_, evicted) => expect(kept.delete(evicted)).toBe(true));
        const lengths = new Map<number, number>();
        for (const [index, length, isPrefetch] of inserts) {
          if (!lengths.has(index)) lengths.set(index, length);
          const inserted = piece(lengths.get(index));
          kept.add(inserted);
          hot.insert(index, inserted, isPrefetch);
          if (!hot.holds(index, inserted)) kept.delete(inserted);
          let held = 0;
          for (let other = 0; other < 10; other += 1) held += hot.get(other)?.byteLength ?? 0;
          expect(hot.bytes).toBe(held);
          expect(held).toBeLessThanOrEqual(300);
          if (!isPrefetch) expect(hot.get(index)).toBeDefined();
          expect([...kept].reduce((sum, each) => sum + each.byteLength, 0)).toBe(held);
        }
      }),
    );
  });
});
