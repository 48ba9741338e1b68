/**
 * Hashes a run of consecutive pieces, given as bytes and holes in ascending order, into their places in a piece layer.
 * Holes are not hashed: a whole piece of zeros costs one copy. Where the bytes come from is the caller's.
 */
import { assert } from '@bootswarm/stdx';
import { BLOCK_LENGTH, type ImageShape, levelsAbove, pieceLengthAt } from './image-shape.ts';
import { HASH_LENGTH, PieceTree, ZERO_BLOCK, zeroHash } from './merkle-tree.ts';

export class PieceRun {
  readonly #shape: ImageShape;
  readonly #layer: Uint8Array;
  readonly #end: number;
  readonly #tree: PieceTree;
  readonly #wholeZero: Uint8Array;
  /** The start of a block of which the caller has not given the rest yet. */
  readonly #partial = Buffer.allocUnsafe(BLOCK_LENGTH);
  #partialLength = 0;
  #pieceIndex: number;
  /** End of the blocks in #tree, from the start of the image. */
  #blockOffset: number;

  /** Hashes pieces [first, end) into `layer`, which is the layer of the whole image. */
  constructor(shape: ImageShape, layer: Uint8Array, first: number, end: number) {
    assert(layer.length === shape.pieceCount * HASH_LENGTH, `layer of ${layer.length} bytes`);
    assert(first >= 0 && first < end && end <= shape.pieceCount, `pieces ${first} to ${end}`);
    this.#shape = shape;
    this.#layer = layer;
    this.#end = Math.min(end * shape.pieceLength, shape.length);
    this.#tree = new PieceTree(shape.leafCount);
    this.#wholeZero = zeroHash(levelsAbove(shape.leafCount));
    this.#pieceIndex = first;
    this.#blockOffset = first * shape.pieceLength;
  }

  /** Where the next byte belongs, from the start of the image. */
  get offset(): number {
    return this.#blockOffset + this.#partialLength;
  }

  get isComplete(): boolean {
    return this.#blockOffset === this.#end;
  }

  /** Any number of bytes; they are not kept. */
  push(bytes: Uint8Array): void {
    assert(this.offset + bytes.length <= this.#end, 'bytes beyond the last piece');
    let start = 0;
    while (start < bytes.length) {
      const blockLength = Math.min(BLOCK_LENGTH, this.#end - this.#blockOffset);
      const end = Math.min(start + blockLength - this.#partialLength, bytes.length);
      const part = bytes.subarray(start, end);
      start = end;
      if (part.length === blockLength) {
        this.#pushBlock(part);
      } else {
        this.#partial.set(part, this.#partialLength);
        this.#partialLength += part.length;
        if (this.#partialLength === blockLength) {
          this.#partialLength = 0;
          this.#pushBlock(this.#partial.subarray(0, blockLength));
        }
      }
    }
  }

  /** The same as pushing `length` zeros, without any. */
  skipZeros(length: number): void {
    assert(this.offset + length <= this.#end, 'zeros beyond the last piece');
    const { pieceLength } = this.#shape;
    let left = length;
    while (left > 0) {
      const pieceRest = this.#pieceRest();
      if (this.#partialLength > 0 || Math.min(left, pieceRest) < BLOCK_LENGTH) {
        const blockRest = Math.min(BLOCK_LENGTH, pieceRest) - this.#partialLength;
        const zeros = Math.min(left, blockRest);
        this.push(ZERO_BLOCK.subarray(0, zeros));
        left -= zeros;
      } else if (pieceRest === pieceLength && left >= pieceLength) {
        this.#blockOffset += pieceLength;
        this.#endPiece(this.#wholeZero);
        left -= pieceLength;
      } else {
        const blocks = Math.floor(Math.min(left, pieceRest) / BLOCK_LENGTH);
        this.#tree.pushZeroBlocks(blocks);
        this.#pushed(blocks * BLOCK_LENGTH);
        left -= blocks * BLOCK_LENGTH;
      }
    }
  }

  #pushBlock(block: Uint8Array): void {
    this.#tree.pushBlock(block);
    this.#pushed(block.length);
  }

  #pushed(length: number): void {
    this.#blockOffset += length;
    if (this.#pieceRest() === 0) this.#endPiece(this.#tree.takeRoot());
  }

  #endPiece(hash: Uint8Array): void {
    this.#layer.set(hash, this.#pieceIndex * HASH_LENGTH);
    this.#pieceIndex += 1;
  }

  /** Bytes between #blockOffset and the end of the piece being hashed. */
  #pieceRest(): number {
    const start = this.#pieceIndex * this.#shape.pieceLength;
    return start + pieceLengthAt(this.#shape, this.#pieceIndex) - this.#blockOffset;
  }
}
