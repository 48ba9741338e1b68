import { ProtocolError } from '@bootswarm/stdx';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodePieceIndexes, encodePieceIndexes } from '../src/piece-index-list.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const decode = (text: string, countMax = 100) =>
  decodePieceIndexes(Buffer.from(text, 'hex'), countMax);

test.each([
  [[], ''],
  [[0], '00'],
  [[1, 2, 3], '020202'],
  [[3, 2], '0601'],
  [[64], '8001'],
  [[0xffff_ffff, 0], 'feffffff1ffdffffff1f'],
])('%j is encoded to the documented bytes', (pieceIndexes, bytes) => {
  expect(hex(encodePieceIndexes(Uint32Array.from(pieceIndexes)))).toBe(bytes);
  expect([...decode(bytes)]).toEqual(pieceIndexes);
});

test('every list comes back, and no other bytes stand for it', () => {
  const index = fc.oneof(fc.nat(0xffff), fc.integer({ min: 0, max: 0xffff_ffff }));
  fc.assert(
    fc.property(fc.array(index, { maxLength: 1_000, size: 'max' }), (list) => {
      const pieceIndexes = Uint32Array.from(list);
      expect(decodePieceIndexes(encodePieceIndexes(pieceIndexes), 1_000)).toEqual(pieceIndexes);
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      let list: Uint32Array;
      try {
        list = decodePieceIndexes(bytes, 40);
      } catch (error) {
        if (error instanceof ProtocolError) return;
        throw error;
      }
      expect(hex(encodePieceIndexes(list))).toBe(hex(bytes));
    }),
    { numRuns: 3_000 },
  );
});

test.each([
  ['cut short', '80', 'piece-indexes-malformed'],
  ['an index below 0', '01', 'piece-indexes-malformed'],
  ['an index beyond 32 bits', '8080808020', 'piece-indexes-malformed'],
  ['six bytes for one', '808080808001', 'piece-indexes-malformed'],
  ['a longer spelling', '8000', 'piece-indexes-malformed'],
  ['too many', '00'.repeat(101), 'too-many-pieces'],
])('refuses %s', (_, bytes, code) => {
  expect(() => decode(bytes)).toThrow(expect.objectContaining({ code }));
});

test('a run of neighbours takes a byte each', () => {
  const run = Uint32Array.from({ length: 1_000 }, (_, index) => 5_000 + index);
  expect(encodePieceIndexes(run).length).toBe(1_001);
});
