import fc from 'fast-check';
import { expect, test } from 'vitest';
import { copyBytes } from '../src/index.ts';

test('copies what Uint8Array.set would, from and to memory of both kinds', () => {
  const bytes = fc.uint8Array({ minLength: 1, maxLength: 64 });
  fc.assert(
    fc.property(bytes, fc.boolean(), fc.boolean(), fc.nat(), fc.nat(), (from, a, b, x, y) => {
      const start = x % from.length;
      const source = memory(from.length, a);
      source.set(from);
      const target = memory(from.length + 8, b);
      copyBytes(source, start, from.length, target, y % 8);
      const expected = new Uint8Array(from.length + 8);
      expected.set(from.subarray(start), y % 8);
      expect([...target]).toEqual([...expected]);
    }),
  );
});

function memory(length: number, isShared: boolean): Uint8Array {
  return isShared ? new Uint8Array(new SharedArrayBuffer(length)) : new Uint8Array(length);
}
