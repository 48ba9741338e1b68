import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readWhole } from '../src/index.ts';

test('fills the target however little each read gives, unless the file ends before', async () => {
  const bytes = fc.uint8Array({ maxLength: 60 });
  const reads = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 });
  const range = fc.record({ position: fc.nat(70), length: fc.nat(70) });
  await fc.assert(
    fc.asyncProperty(bytes, reads, range, async (content, given, { position, length }) => {
      let count = 0;
      const file = {
        read: async (target: Uint8Array, offset: number, wanted: number, at: number) => {
          const most = Math.min(wanted, given[count++ % given.length]);
          const part = content.subarray(at, at + most);
          target.set(part, offset);
          return { bytesRead: part.length };
        },
      };
      const target = new Uint8Array(length);
      const isWhole = length === 0 || position + length <= content.length;
      expect(await readWhole(file, target, position)).toBe(isWhole);
      if (isWhole) expect(target).toEqual(content.slice(position, position + length));
    }),
  );
});
