import { expect, test } from 'vitest';
import { quantumBytesAt } from '../src/turns.ts';

test('a turn is a piece of 64 KiB at 1 Gbit/s, and a part of one at less', () => {
  expect([125_000, 25_000, 2_500, 1].map(quantumBytesAt)).toEqual([66_560, 40_000, 40_000, 40_000]);
});
