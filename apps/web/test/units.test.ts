import { describe, expect, test } from 'vitest';
import {
  amountOf,
  bytesText,
  countOf,
  countText,
  durationText,
  percentText,
  rateText,
} from '../src/units.ts';

describe('bytes', () => {
  test.each([
    [0, '0 B'],
    [0.4, '0 B'],
    [999, '999 B'],
    [1_023, '1023 B'],
    [1_024, '1.0 KiB'],
    [1_536, '1.5 KiB'],
    [100 * 1_024, '100 KiB'],
    [49 * 2 ** 20, '49.0 MiB'],
    [3 * 2 ** 30, '3.0 GiB'],
    [2 ** 53, '8.0 PiB'],
    [2 ** 62, '4096 PiB'],
  ])('%d are %s', (bytes, text) => {
    expect(bytesText(bytes)).toBe(text);
  });

  test('have number and unit apart, and a rate by the second', () => {
    expect(amountOf(1_536)).toEqual({ number: '1.5', unit: 'KiB' });
    expect(rateText(2 ** 20)).toBe('1.0 MiB/s');
  });
});

test.each([
  [0, '0 %'],
  [0.002, '0.20 %'],
  [0.0099, '0.99 %'],
  [0.035, '3.5 %'],
  [0.42, '42 %'],
  [1, '100 %'],
])('a share of %d is %s', (share, text) => {
  expect(percentText(share)).toBe(text);
});

test.each([
  [-3, '0 s'],
  [59.4, '59 s'],
  [200, '3 min 20 s'],
  [18_600, '5 h 10 min'],
  [93_600, '1 d 2 h'],
])('%d seconds are %s', (seconds, text) => {
  expect(durationText(seconds)).toBe(text);
});

test('counts have their noun in the right number', () => {
  expect([countOf(1, 'node'), countOf(0, 'node'), countOf(2_000, 'node')]).toEqual([
    ...['1 node', '0 nodes', '2,000 nodes'],
  ]);
  expect(countOf(2, 'copy', 'copies')).toBe('2 copies');
  expect(countText(1_234_567)).toBe('1,234,567');
});
