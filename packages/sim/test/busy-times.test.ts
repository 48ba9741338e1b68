import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BusyTimes } from '../src/busy-times.ts';

/** Passings one after another, with pauses in between. */
const passings = fc.array(
  fc.record({ pauseMs: fc.nat({ max: 5 }), busyMs: fc.integer({ min: 1, max: 9 }) }),
  { minLength: 1, maxLength: 100 },
);

function played(steps: readonly { pauseMs: number; busyMs: number }[]) {
  const busy = new BusyTimes();
  const slots: boolean[] = [];
  for (const { pauseMs, busyMs } of steps) {
    for (let each = 0; each < pauseMs; each += 1) slots.push(false);
    const from = slots.length;
    for (let each = 0; each < busyMs; each += 1) slots.push(true);
    busy.add(from, slots.length, busyMs);
  }
  return { busy, slots };
}

test('knows for how long it was busy since any moment of the last 32 passings', () => {
  fc.assert(
    fc.property(passings, fc.nat({ max: 31 }), (steps, back) => {
      const { busy, slots } = played(steps);
      const recent = steps.slice(-1 - back);
      const lastMs = recent.reduce((sum, { pauseMs, busyMs }) => sum + pauseMs + busyMs, 0);
      for (let moment = slots.length - lastMs; moment <= slots.length; moment += 1) {
        const expected = slots.slice(moment).filter((isBusy) => isBusy).length;
        // The oldest may have taken in those before it.
        if (back < 31 || steps.length <= 32) expect(busy.since(moment)).toBe(expected);
      }
    }),
  );
});

test('forgets nothing of what was long ago but when it was', () => {
  fc.assert(
    fc.property(passings, (steps) => {
      const { busy } = played(steps);
      const total = steps.reduce((sum, { busyMs }) => sum + busyMs, 0);
      expect(busy.since(0)).toBe(total);
      busy.clear();
      expect(busy.since(0)).toBe(0);
    }),
  );
});
