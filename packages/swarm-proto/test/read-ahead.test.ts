import { ReadAhead } from '@bootswarm/swarm-proto';
import fc from 'fast-check';
import { expect, test } from 'vitest';

const COUNT = 1_000;
const touchAll = (pieces: readonly number[], ahead = new ReadAhead(COUNT)) =>
  pieces.map((piece) => [...ahead.touch(piece)]);

test('names nothing for reads here and there', () => {
  expect(touchAll([5, 90, 7_0, 300, 12]).flat()).toEqual([]);
});

test('names more with every step of a stream that has proven itself, each piece once', () => {
  const named = touchAll([10, 11, 12, 13, 14, 15, 16]);
  expect(named).toEqual([[], [], [], [14], [15, 16], [17], [18]]);
});

test('follows several streams at once', () => {
  const named = touchAll([10, 500, 11, 501, 12, 502, 13, 503]);
  expect(named.slice(-2)).toEqual([[14], [504]]);
});

test('a touch of the same piece again is no step', () => {
  expect(touchAll([10, 10, 10])).toEqual([[], [], []]);
});

test('ends with the image', () => {
  const named = touchAll([COUNT - 5, COUNT - 4, COUNT - 3, COUNT - 2, COUNT - 1]);
  expect(named.slice(-2)).toEqual([[COUNT - 1], []]);
});

test('names each piece at most once per stream, in front of what was touched, within the image', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(COUNT - 1), { maxLength: 300 }), (pieces) => {
      const ahead = new ReadAhead(COUNT);
      for (const piece of pieces) {
        const named = ahead.touch(piece);
        expect(named.length).toBeLessThanOrEqual(2);
        for (const each of named) {
          expect(each).toBeGreaterThan(piece);
          expect(each).toBeLessThan(COUNT);
        }
      }
    }),
  );
});
