/**
 * Hashes an image that arrives as a stream of bytes and holes. For an image in a file hashImageFile() is faster: it uses
 * all cores.
 */
import { assert } from '@bootswarm/stdx';
import { type ImageShape, imageShape, levelsAbove } from './image-shape.ts';
import { HASH_LENGTH, rootOf } from './merkle-tree.ts';
import { PieceRun } from './piece-run.ts';
import { zeroPieces } from './zero-pieces.ts';

/** What hashing an image yields: enough for createInfo() and makePieceLayer(). */
export interface ImageHashes {
  /** 32 bytes. */
  readonly piecesRoot: Uint8Array;
  /** pieceCount × 32 bytes. */
  readonly pieceLayer: Uint8Array;
  readonly pieceCount: number;
  /** Pieces that hold only zeros. */
  readonly zeroPieceCount: number;
}

export class PieceHasher {
  readonly #shape: ImageShape;
  readonly #layer: Uint8Array;
  readonly #run: PieceRun;

  constructor(image: { readonly length: number; readonly pieceLength: number }) {
    this.#shape = imageShape(image.length, image.pieceLength);
    this.#layer = new Uint8Array(this.#shape.pieceCount * HASH_LENGTH);
    this.#run = new PieceRun(this.#shape, this.#layer, 0, this.#shape.pieceCount);
  }

  /** Bytes pushed and skipped so far. */
  get offset(): number {
    return this.#run.offset;
  }

  /** The next bytes, any number of them; they are not kept. Never beyond the image's length. */
  push(bytes: Uint8Array): void {
    this.#run.push(bytes);
  }

  /** The next `length` bytes are zeros. Costs one copy of a known hash per piece. */
  skipZeros(length: number): void {
    this.#run.skipZeros(length);
  }

  /** Once the whole length has been pushed or skipped. */
  finish(): ImageHashes {
    assert(this.#run.isComplete, `image ends at ${this.offset} of ${this.#shape.length}`);
    return imageHashes(this.#shape, this.#layer);
  }
}

/** What follows from the hashes of all pieces. */
export function imageHashes(shape: ImageShape, pieceLayer: Uint8Array): ImageHashes {
  const layer = Buffer.from(pieceLayer.buffer, pieceLayer.byteOffset, pieceLayer.length);
  return {
    piecesRoot: rootOf(pieceLayer, levelsAbove(shape.leafCount)),
    pieceLayer,
    pieceCount: shape.pieceCount,
    zeroPieceCount: zeroPieces(shape, layer).count,
  };
}
