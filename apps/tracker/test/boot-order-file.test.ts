import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeBootOrder, encodeBootOrder } from '../src/boot-order-file.ts';

const PIECES = 1_000;
const thousandth = (max: number) => fc.nat(max * 1_000).map((each) => each / 1_000);
const record = fc.record({
  weight: thousandth(10),
  chances: thousandth(10),
  rank: thousandth(2_000),
});
const kind = fc.record({
  isShared: fc.boolean(),
  weight: fc.double({ min: 0, max: 10, noNaN: true }),
  bootsMerged: fc.nat(),
  lengths: fc.array(fc.nat(2 ** 17), { maxLength: 44 }),
  learnedAtMs: fc.nat(),
  pieces: fc.uniqueArray(fc.tuple(fc.nat(PIECES - 1), record), {
    selector: ([pieceIndex]) => pieceIndex,
    maxLength: 50,
  }),
});

test('what is written is read again', () => {
  fc.assert(
    fc.property(fc.array(kind, { maxLength: 6 }), (kinds) => {
      // JSON knows no -0.
      const plain = JSON.parse(JSON.stringify(kinds));
      expect(decodeBootOrder(encodeBootOrder(kinds), PIECES)).toEqual(plain);
    }),
  );
});

const KIND = {
  ...{ isShared: true, weight: 1, bootsMerged: 1, lengths: [1], learnedAtMs: 1 },
  pieces: [[1, 1, 1, 0]],
};
const fileOf = (kinds: unknown, version = 1) => JSON.stringify({ version, kinds });

test.each([
  ['cut off', fileOf([KIND]).slice(0, -3)],
  ['no object', '7'],
  ['another version', fileOf([KIND], 2)],
  ['kinds that are no list', fileOf(KIND)],
  ['too many kinds', fileOf(new Array(17).fill(KIND))],
  ['a kind that is none', fileOf([null])],
  ['no weight', fileOf([{ ...KIND, weight: undefined }])],
  ['a negative weight', fileOf([{ ...KIND, weight: -1 }])],
  ['pieces that are no list', fileOf([{ ...KIND, pieces: {} }])],
  ['a piece the image has not', fileOf([{ ...KIND, pieces: [[PIECES, 1, 1, 0]] }])],
  ['half a piece', fileOf([{ ...KIND, pieces: [[0.5, 1, 1, 0]] }])],
  ['a piece twice', fileOf([{ ...KIND, pieces: [...KIND.pieces, ...KIND.pieces] }])],
  ['a piece without rank', fileOf([{ ...KIND, pieces: [[1, 1, 1]] }])],
  ['lengths that are none', fileOf([{ ...KIND, lengths: [-1] }])],
  ['too many lengths', fileOf([{ ...KIND, lengths: new Array(101).fill(1) }])],
  ['a piece that is no list', fileOf([{ ...KIND, pieces: [1] }])],
])('a file with %s is refused', (_, text) => {
  expect(() => decodeBootOrder(text, PIECES)).toThrow(Error);
});
