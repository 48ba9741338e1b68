/** How the bytes of an image divide into pieces and blocks (BEP 52). Arithmetic only; no hash and no byte is touched. */
import { assert } from '@bootswarm/stdx';

/** A leaf of the merkle tree. */
export const BLOCK_LENGTH = 16_384;
export const PIECE_LENGTH_MIN = BLOCK_LENGTH;
export const PIECE_LENGTH_MAX = 16 * 1024 * 1024;
/** 4,194,304 pieces: their piece layer is 128 MiB, and 64 TiB are reached at the longest piece. */
export const PIECE_COUNT_MAX = 2 ** 22;

export interface ImageShape {
  /** Bytes of the image, > 0. */
  readonly length: number;
  readonly pieceLength: number;
  readonly pieceCount: number;
  /**
   * Leaves of the tree of one piece, a power of two. Of every piece alike, the short last one too, unless the image is a
   * single piece: its tree is no larger than its blocks need.
   */
  readonly leafCount: number;
}

/** The shape of `length` bytes in pieces of `pieceLength`; both must be within BEP 52 and the limits above. */
export function imageShape(length: number, pieceLength: number): ImageShape {
  assert(Number.isSafeInteger(length) && length > 0, `image length ${length}`);
  assert(isPieceLength(pieceLength), `piece length ${pieceLength}`);
  const pieceCount = Math.ceil(length / pieceLength);
  assert(pieceCount <= PIECE_COUNT_MAX, `piece count ${pieceCount}`);
  const leafCount =
    pieceCount === 1
      ? 2 ** levelsAbove(Math.ceil(length / BLOCK_LENGTH))
      : pieceLength / BLOCK_LENGTH;
  return { length, pieceLength, pieceCount, leafCount };
}

export function isPieceLength(pieceLength: number): boolean {
  return (
    Number.isInteger(pieceLength) &&
    pieceLength >= PIECE_LENGTH_MIN &&
    pieceLength <= PIECE_LENGTH_MAX &&
    (pieceLength & (pieceLength - 1)) === 0
  );
}

/** Bytes of the piece at `pieceIndex`: only the last one may be short. */
export function pieceLengthAt(
  image: { readonly length: number; readonly pieceLength: number },
  pieceIndex: number,
): number {
  return Math.min(image.pieceLength, image.length - pieceIndex * image.pieceLength);
}

/** Levels of a binary tree above a level of `nodeCount` nodes: 0 for one node, 3 for five to eight. */
export function levelsAbove(nodeCount: number): number {
  return nodeCount <= 1 ? 0 : 32 - Math.clz32(nodeCount - 1);
}
