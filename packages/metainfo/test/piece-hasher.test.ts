import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ImageHashes, PieceHasher } from '../src/index.ts';
import { dataBytes, imageOf, KIB, pieceLengths, segmentLists } from './images.ts';
import { referenceLayer, referenceRoot } from './reference-tree.ts';

const MIB = 1024 * KIB;

function hashWhole(image: Uint8Array, pieceLength: number): ImageHashes {
  const hasher = new PieceHasher({ length: image.length, pieceLength });
  hasher.push(image);
  return hasher.finish();
}

function expectReference(hashes: ImageHashes, image: Uint8Array, pieceLength: number): void {
  expect(Buffer.from(hashes.piecesRoot)).toEqual(referenceRoot(image));
  expect(Buffer.from(hashes.pieceLayer)).toEqual(referenceLayer(image, pieceLength));
}

describe('PieceHasher', () => {
  it.each([
    ['one byte', 1],
    ['less than a block', 16 * KIB - 1],
    ['exactly a block', 16 * KIB],
    ['a block and a byte', 16 * KIB + 1],
    ['three blocks of a piece of four', 48 * KIB],
    ['exactly one piece', 64 * KIB],
    ['one piece and a byte', 64 * KIB + 1],
    ['two pieces', 128 * KIB],
    ['three pieces less a byte', 192 * KIB - 1],
    ['five pieces, the last one of one block', 4 * 64 * KIB + 16 * KIB],
  ])('hashes an image of %s', (_, length) => {
    const image = dataBytes(length);
    expectReference(hashWhole(image, 64 * KIB), image, 64 * KIB);
  });

  it('hashes data and holes alike, however they are cut', () => {
    fc.assert(
      fc.property(
        segmentLists,
        pieceLengths,
        fc.infiniteStream(fc.integer({ min: 1, max: 50_000 })),
        (segments, pieceLength, cuts) => {
          const image = imageOf(segments);
          const hasher = new PieceHasher({ length: image.length, pieceLength });
          let offset = 0;
          for (const { isHole, length } of segments) {
            for (const end = offset + length; offset < end; ) {
              const part = Math.min(end - offset, cuts.next().value);
              if (isHole) hasher.skipZeros(part);
              else hasher.push(image.subarray(offset, offset + part));
              offset += part;
              expect(hasher.offset).toBe(offset);
            }
          }
          const hashes = hasher.finish();
          expectReference(hashes, image, pieceLength);
          // Zeros that were read are recognised like zeros that were skipped.
          expect(hashWhole(image, pieceLength)).toEqual(hashes);
          let zeros = 0;
          for (let start = 0; start < image.length; start += pieceLength) {
            if (image.subarray(start, start + pieceLength).every((byte) => byte === 0)) zeros += 1;
          }
          expect(hashes.zeroPieceCount).toBe(zeros);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('skips 10 TiB of holes around one block without hashing them', () => {
    const length = 10 * 1024 * 1024 * MIB + 5;
    const hasher = new PieceHasher({ length, pieceLength: 16 * MIB });
    const start = 3 * 1024 * 1024 * MIB + 12_345;
    hasher.skipZeros(start);
    hasher.push(dataBytes(16 * KIB));
    hasher.skipZeros(length - hasher.offset);
    const { pieceCount, zeroPieceCount } = hasher.finish();
    expect(pieceCount).toBe(655_361);
    expect(zeroPieceCount).toBe(655_360);
  });

  it('asserts that neither too much nor too little is given', () => {
    const image = { length: 100, pieceLength: 16 * KIB };
    const hasher = new PieceHasher(image);
    expect(() => hasher.push(new Uint8Array(101))).toThrow('beyond the last piece');
    expect(() => hasher.skipZeros(101)).toThrow('beyond the last piece');
    hasher.push(new Uint8Array(99));
    expect(() => hasher.finish()).toThrow('image ends at 99 of 100');
    hasher.skipZeros(1);
    expect(hasher.finish().zeroPieceCount).toBe(1);
  });
});
