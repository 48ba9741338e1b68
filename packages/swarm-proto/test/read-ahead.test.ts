import { ReadAhead } from '@bootswarm/swarm-proto';
import fc from 'fast-check';
import { expect, test } from 'vitest';

const COUNT = 1_000;
const touchAll = (pieces: readonly number[], ahead = new ReadAhead(COUNT)) =>
  pieces.map((piece) => [...ahead.touch(piece)]);

test('names nothing for reads here and there', () => {
  expect(touchAll([5, 90, 7_0, 300, 12]).flat()).toEqual([]);
});

test('names more with every step of a stream, each piece once', () => {
  expect(touchAll([10, 11, 12, 13, 14, 15])).toEqual([
    [],
    [12],
    [13, 14],
    [15, 16, 17],
    [18, 19, 20, 21, 22],
    [23],
  ]);
});

test('follows several streams at once', () => {
  expect(touchAll([10, 500, 11, 501, 12, 502])).toEqual([
    [],
    [],
    [12],
    [502],
    [13, 14],
    [503, 504],
  ]);
});

test('a touch of the same piece again is no step', () => {
  expect(touchAll([10, 10, 10])).toEqual([[], [], []]);
});

test('ends with the image', () => {
  expect(touchAll([COUNT - 3, COUNT - 2, COUNT - 1])).toEqual([[], [COUNT - 1], []]);
});

test('names each piece at most once per stream, in front of what was touched, within the image', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(COUNT - 1), { maxLength: 300 }), (pieces) => {
      const ahead = new ReadAhead(COUNT);
      for (const piece of pieces) {
        const named = ahead.touch(piece);
        expect(named.length).toBeLessThanOrEqual(8);
        for (const each of named) {
          expect(each).toBeGreaterThan(piece);
          expect(each).toBeLessThan(COUNT);
        }
      }
    }),
  );
});
