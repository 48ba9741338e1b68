/** Images for tests: deterministic data with holes of zeros, and how they were made. */
import fc from 'fast-check';
import { createInfo, type Metainfo, PieceHasher, type PieceLayer } from '../src/index.ts';
import { makePieceLayer } from '../src/piece-layer.ts';

export const KIB = 1024;

export interface Segment {
  readonly isHole: boolean;
  readonly length: number;
}

/** Bytes that differ from place to place and are never zero. */
export function dataBytes(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = seed >>> 0;
  for (let index = 0; index < length; index += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[index] = (state >>> 24) | 1;
  }
  return bytes;
}

export function imageOf(segments: readonly Segment[]): Uint8Array {
  return new Uint8Array(
    Buffer.concat(
      segments.map(({ isHole, length }, index) =>
        isHole ? Buffer.alloc(length) : dataBytes(length, index),
      ),
    ),
  );
}

/** Lengths at, around and between block and piece boundaries. */
const lengths = fc.oneof(
  fc.integer({ min: 1, max: 70_000 }),
  fc
    .tuple(fc.integer({ min: 0, max: 9 }), fc.integer({ min: -1, max: 1 }))
    .map(([blocks, more]) => Math.max(1, blocks * 16 * KIB + more)),
);

export const segmentLists = fc.array(fc.record({ isHole: fc.boolean(), length: lengths }), {
  minLength: 1,
  maxLength: 8,
});

export const pieceLengths = fc.constantFrom(16 * KIB, 32 * KIB, 64 * KIB, 256 * KIB);

export function hashed(
  image: Uint8Array,
  pieceLength: number,
): { metainfo: Metainfo; layer: PieceLayer } {
  const hasher = new PieceHasher({ length: image.length, pieceLength });
  hasher.push(image);
  const { piecesRoot, pieceLayer } = hasher.finish();
  const metainfo = createInfo({ name: 'disk.raw', length: image.length, pieceLength, piecesRoot });
  return { metainfo, layer: makePieceLayer(metainfo, pieceLayer) };
}
