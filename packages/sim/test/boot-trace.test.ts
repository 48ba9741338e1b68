import { OperatorError } from '@bootswarm/stdx';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseBootTrace, piecesOf } from '../src/boot-trace.ts';

const KIB = 1024;

const TRACE = {
  name: 'odd',
  sizeBytes: 1024 * KIB,
  granuleBytes: 64 * KIB,
  dataGranules: [[1, 2]],
  reads: [
    [0, 0, 512],
    [1_500, 64 * KIB, 4 * KIB],
    [1_000, 128 * KIB, 1],
  ],
};

function zeroPieces(trace: object, pieceLength: number): number[] {
  const { zero, pieceCount } = piecesOf(parseBootTrace({ ...TRACE, ...trace }), pieceLength);
  return Array.from({ length: pieceCount }, (_, index) => index).filter((each) => zero.has(each));
}

describe('a boot trace', () => {
  it('is thought about between reads, and not where the clock goes back', () => {
    expect(parseBootTrace(TRACE).reads.map(({ thinkMs }) => thinkMs)).toEqual([0, 1.5, 0]);
  });

  it('has data in a piece of which only a later granule is not zero', () => {
    const fine = {
      sizeBytes: 256 * KIB,
      granuleBytes: 4 * KIB,
      dataGranules: [[17, 1]],
      reads: [],
    };
    const reads = [[0, 68 * KIB, 512]];
    expect(zeroPieces({ ...fine, reads }, 64 * KIB)).toEqual([0, 2, 3]);
    expect(piecesOf(parseBootTrace({ ...fine, name: 'fine', reads }), 64 * KIB).touched).toEqual([
      1,
    ]);
  });

  it.each([512, 4 * KIB, 48 * KIB, 64 * KIB, 100_000, 1024 * KIB])(
    'of granules of %i bytes has the zero pieces that its bytes have',
    (granuleBytes) => {
      const pieceLength = fc.constantFrom(16 * KIB, 64 * KIB, 256 * KIB);
      const run = fc.tuple(fc.double({ min: 0, max: 0.99, noNaN: true }), fc.nat({ max: 3 }));
      fc.assert(
        fc.property(fc.array(run, { maxLength: 4 }), pieceLength, (runs, length) => {
          const sizeBytes = 1_000_001;
          const count = Math.ceil(sizeBytes / granuleBytes);
          const dataGranules = runs.map(([at, more]) => {
            const first = Math.floor(at * count);
            return [first, Math.min(1 + more, count - first)];
          });
          const isData = new Uint8Array(sizeBytes);
          for (const [first, granules] of dataGranules) {
            isData.fill(1, first * granuleBytes, (first + granules) * granuleBytes);
          }
          const reads = [[0, 0, 1]];
          const expected = Array.from(
            { length: Math.ceil(sizeBytes / length) },
            (_, index) => index,
          );
          expect(zeroPieces({ sizeBytes, granuleBytes, dataGranules, reads }, length)).toEqual(
            expected.filter(
              (each) => !isData.subarray(each * length, (each + 1) * length).includes(1),
            ),
          );
        }),
      );
    },
  );

  it.each([
    ['no object', null, 'not a boot trace'],
    ['a list', [], 'not a boot trace'],
    ['no name', { ...TRACE, name: undefined }, 'name'],
    ['a disk of no bytes', { ...TRACE, sizeBytes: 0 }, 'sizeBytes is 0'],
    ['a disk of half a byte', { ...TRACE, sizeBytes: 0.5 }, 'sizeBytes is 0.5'],
    ['a size in words', { ...TRACE, sizeBytes: '1 MiB' }, 'sizeBytes is "1 MiB"'],
    ['granules of no bytes', { ...TRACE, granuleBytes: 0 }, 'granuleBytes is 0'],
    [
      'granules of a byte on a large disk',
      { ...TRACE, sizeBytes: 2 ** 40, granuleBytes: 1 },
      'granules',
    ],
    ['no list of data', { ...TRACE, dataGranules: undefined }, 'dataGranules'],
    [
      'data past the end',
      {
        ...TRACE,
        dataGranules: [
          [0, 1],
          [15, 2],
        ],
      },
      'dataGranules[1]',
    ],
    ['data before the beginning', { ...TRACE, dataGranules: [[-1, 2]] }, 'dataGranules[0]'],
    ['data that is no run', { ...TRACE, dataGranules: [7] }, 'dataGranules[0]'],
    ['no list of reads', { ...TRACE, reads: {} }, 'reads'],
    ['no reads', { ...TRACE, reads: [] }, 'reads'],
    ['a read past the end', { ...TRACE, reads: [[0, 1024 * KIB, 1]] }, 'reads[0]'],
    [
      'a read of nothing',
      {
        ...TRACE,
        reads: [
          [0, 0, 512],
          [9, 0, 0],
        ],
      },
      'reads[1]',
    ],
    ['a read at no number', { ...TRACE, reads: [[0, '0', 512]] }, 'reads[0]'],
    ['a read at no time', { ...TRACE, reads: [[null, 0, 512]] }, 'reads[0]'],
    ['a read that is no list', { ...TRACE, reads: [{ offset: 0, length: 1 }] }, 'reads[0]'],
  ])('is refused with %s', (_, value, said) => {
    expect(() => parseBootTrace(value)).toThrow(OperatorError);
    expect(() => parseBootTrace(value)).toThrow(said);
  });
});
