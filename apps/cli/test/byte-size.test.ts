import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatBytes, parseByteSize } from '../src/byte-size.ts';

test.each([
  ['0', 0],
  ['1073741824', 2 ** 30],
  ['20G', 20 * 2 ** 30],
  ['512MiB', 512 * 2 ** 20],
  ['512 mib', 512 * 2 ** 20],
  ['1.5K', 1536],
  ['1kB', 1000],
  ['3TB', 3e12],
  ['7P', 7 * 2 ** 50],
  ['12B', 12],
])('reads %s as %d bytes', (text, bytes) => {
  expect(parseByteSize(text)).toBe(bytes);
});

test.each([
  '',
  'G',
  '-1',
  '+1',
  '1e3',
  '1,5G',
  '1.3',
  '1iB',
  '10GG',
  '0x10',
  '9P9',
  '8.5.1M',
  'Infinity',
])('refuses %o as a size', (text) => {
  expect(() => parseByteSize(text)).toThrow(/is not a size in whole bytes/);
});

test('refuses a size beyond 2^53 - 1', () => {
  expect(parseByteSize('9007199254740991')).toBe(Number.MAX_SAFE_INTEGER);
  expect(() => parseByteSize('9007199254740992')).toThrow();
  expect(() => parseByteSize('8P')).toThrow();
});

test('reads every whole count of every unit exactly', () => {
  const letters = ['K', 'M', 'G', 'T'];
  const counts = fc.integer({ min: 0, max: 8191 });
  fc.assert(
    fc.property(
      counts,
      fc.nat({ max: 3 }),
      fc.constantFrom('', 'iB', 'ib'),
      (count, at, suffix) => {
        expect(parseByteSize(`${count}${letters[at]}${suffix}`)).toBe(count * 1024 ** (at + 1));
      },
    ),
  );
});

test('never throws anything but OperatorError', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        expect(Number.isSafeInteger(parseByteSize(text))).toBe(true);
      } catch (error) {
        expect((error as Error).name).toBe('OperatorError');
      }
    }),
  );
});

test.each([
  [0, '0 B'],
  [0.4, '0 B'],
  [999, '999 B'],
  [1023, '1023 B'],
  [1024, '1 KiB'],
  [1536, '1.5 KiB'],
  [512 * 2 ** 20, '512 MiB'],
  [93.54 * 2 ** 20, '93.5 MiB'],
  [2 ** 53, '8 PiB'],
])('writes %d as %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});

test('what it writes reads back to within a percent', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 52 }), (bytes) => {
      // A rounded count such as 1.1 KiB need not be whole bytes.
      const [count, unit] = formatBytes(bytes).split(' ');
      const unitBytes = parseByteSize(`1${unit}`);
      expect(Math.abs((Number(count) * unitBytes) / bytes - 1)).toBeLessThan(0.05);
    }),
  );
});
