/** Tells from hashes alone which pieces of an image hold only zeros: those never need to be moved or stored. */
import { Bitfield } from '@bootswarm/stdx';
import { type ImageShape, levelsAbove, pieceLengthAt } from './image-shape.ts';
import { HASH_LENGTH, zeroHash, zeroPieceHash } from './merkle-tree.ts';

/** The hash that every whole piece of zeros has, and that of the last piece if it is zeros. Do not change them. */
export function zeroPieceHashes(shape: ImageShape): { whole: Uint8Array; last: Uint8Array } {
  const lastLength = pieceLengthAt(shape, shape.pieceCount - 1);
  return {
    whole: zeroHash(levelsAbove(shape.leafCount)),
    last: zeroPieceHash(lastLength, shape.leafCount),
  };
}

/** `layer` is pieceCount × 32 bytes. */
export function zeroPieces(shape: ImageShape, layer: Buffer): Bitfield {
  const zeros = new Bitfield(shape.pieceCount);
  const last = shape.pieceCount - 1;
  const zero = zeroPieceHashes(shape);
  for (let index = 0; index < last; index += 1) {
    if (isHashAt(layer, index, zero.whole)) zeros.set(index);
  }
  if (isHashAt(layer, last, zero.last)) zeros.set(last);
  return zeros;
}

/** Whether the hash at `index` of `layer` is `hash`; makes no view. */
export function isHashAt(layer: Buffer, index: number, hash: Uint8Array): boolean {
  const start = index * HASH_LENGTH;
  // Almost every other hash differs in its first byte, which is cheaper to ask than to call.
  return (
    layer[start] === hash[0] &&
    layer.compare(hash, 0, HASH_LENGTH, start, start + HASH_LENGTH) === 0
  );
}
