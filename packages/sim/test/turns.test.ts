import { expect, test } from 'vitest';
import { QUANTUM_BYTES_MAX, quantumBytesAt } from '../src/turns.ts';

test('a turn is a piece of 64 KiB at 1 Gbit/s, 40 kB at 20 Mbit/s, and a frame at least', () => {
  expect([125_000, 2_500, 1].map(quantumBytesAt)).toEqual([QUANTUM_BYTES_MAX, 40_000, 1_538]);
});
