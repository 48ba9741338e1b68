import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Availability } from '../src/availability.ts';

type Step = { op: 'toggle' | 'increment' | 'decrement'; piece: number };

const steps = (pieceCount: number): fc.Arbitrary<Step[]> =>
  fc.array(
    fc.record({
      op: fc.constantFrom<Step['op']>('toggle', 'increment', 'decrement'),
      piece: fc.nat(pieceCount - 1),
    }),
    { maxLength: 200 },
  );

test('keeps the listed pieces in buckets by count through any sequence of changes', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 30 }).chain((n) => fc.tuple(fc.constant(n), steps(n))),
      ([pieceCount, changes]) => {
        const availability = new Availability(pieceCount);
        const counts = new Array<number>(pieceCount).fill(0);
        const listed = new Set<number>();
        for (const { op, piece } of changes) {
          if (op === 'increment') {
            availability.increment(piece);
            counts[piece] += 1;
          } else if (op === 'decrement' && counts[piece] > 0) {
            availability.decrement(piece);
            counts[piece] -= 1;
          } else if (op === 'toggle') {
            if (listed.delete(piece)) availability.unlist(piece);
            else {
              listed.add(piece);
              availability.list(piece);
            }
          }
          const found: number[] = [];
          for (let count = 0; count < availability.bucketCount; count += 1) {
            for (let n = 0; n < availability.bucketSize(count); n += 1) {
              const each = availability.at(count, n);
              expect(counts[each]).toBe(count);
              expect(availability.count(each)).toBe(count);
              found.push(each);
            }
          }
          expect(found.sort((a, b) => a - b)).toEqual([...listed].sort((a, b) => a - b));
        }
      },
    ),
  );
});

test('finds the rarest piece first', () => {
  const availability = new Availability(3);
  for (const piece of [0, 1, 2]) availability.list(piece);
  availability.increment(0);
  availability.increment(0);
  availability.increment(1);
  expect(availability.at(0, 0)).toBe(2);
  expect(availability.at(1, 0)).toBe(1);
  expect(availability.at(2, 0)).toBe(0);
});

test('does not go below zero', () => {
  const availability = new Availability(1);
  expect(() => availability.decrement(0)).toThrow(/below zero/);
});
