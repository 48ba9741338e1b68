import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EventHeap } from '../src/index.ts';

/** Few distinct times, so that many are equal; undefined takes one out. */
const step = fc.option(fc.oneof(fc.integer({ min: 0, max: 5 }), fc.double({ noNaN: true })), {
  nil: undefined,
  freq: 2,
});

test('gives events by time, then by insertion, however pushes and pops are mixed', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const heap = new EventHeap<number>();
      const model: { time: number; event: number }[] = [];
      const popBoth = () => {
        expect(heap.nextTime).toBe(model[0]?.time ?? Infinity);
        expect(heap.pop()).toBe(model.shift()?.event);
        expect(heap.size).toBe(model.length);
      };
      for (const [event, time] of steps.entries()) {
        if (time === undefined) {
          popBoth();
          continue;
        }
        heap.push(time, event);
        const later = model.findIndex((other) => other.time > time);
        model.splice(later < 0 ? model.length : later, 0, { time, event });
      }
      while (model.length > 0) popBoth();
      popBoth();
    }),
    { numRuns: 500 },
  );
});

test('sorts many', () => {
  const heap = new EventHeap<number>();
  // 7,919 is prime: every time below it comes up, in a scattered order, and then again.
  const times = Array.from({ length: 15_838 }, (_, index) => (index * 3_001) % 7_919);
  for (const [event, time] of times.entries()) heap.push(time, event);
  const expected = [...times.keys()].sort((a, b) => times[a] - times[b] || a - b);
  expect(times.map(() => heap.pop())).toEqual(expected);
});
