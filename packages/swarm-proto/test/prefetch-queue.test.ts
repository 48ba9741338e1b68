import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PrefetchQueue } from '../src/prefetch-queue.ts';

test('gives everything once, in the order in which it was appended', () => {
  const step = fc.oneof(fc.array(fc.nat(1_000), { maxLength: 20 }), fc.constant('advance'));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const queue = new PrefetchQueue();
      const expected: number[] = [];
      for (const each of steps) {
        if (typeof each === 'string') {
          queue.advance();
          expected.shift();
        } else {
          queue.append(each);
          expected.push(...each);
        }
        expect(queue.first).toBe(expected[0]);
      }
    }),
  );
});

test('looking at the first does not take it', () => {
  const queue = new PrefetchQueue();
  queue.append([7, 8]);
  expect([queue.first, queue.first]).toEqual([7, 7]);
  queue.advance();
  expect(queue.first).toBe(8);
  queue.advance();
  expect(queue.first).toBeUndefined();
});

test('keeps no hold on the list it was given', () => {
  const queue = new PrefetchQueue();
  const given = [1, 2];
  queue.append(given);
  given[0] = 9;
  expect(queue.first).toBe(1);
});
