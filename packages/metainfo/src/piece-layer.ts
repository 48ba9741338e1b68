/**
 * The hashes of all pieces, proven against the pieces root once, and what is asked of them: is this piece right, is it all
 * zeros, which hashes answer a BEP 52 hash request. Never the leaves: those need the data.
 */
import { assert, type Bitfield, ProtocolError } from '@bootswarm/stdx';
import { type ImageShape, imageShape, levelsAbove, pieceLengthAt } from './image-shape.ts';
import { fold, foldable, HASH_LENGTH, PieceTree, padHash } from './merkle-tree.ts';
import type { Metainfo, PieceLayer } from './metainfo.ts';
import { isHashAt, zeroPieces } from './zero-pieces.ts';

/**
 * Levels of 2^8 pieces and more per node are kept, which is 1/128 of the layer; a node below is computed from at most 256
 * hashes, some 0.1 ms. Without them a request for the uncles of a large image would cost the requester 48 bytes and us
 * a second.
 */
const KEPT_LEVEL = 8;

/**
 * Takes the layer `bytes` over: do not change them. Of an image of a single piece they are the pieces root. Throws
 * ProtocolError `piece-layer-mismatch` unless they are the layer under the pieces root.
 */
export function makePieceLayer(metainfo: Metainfo, bytes: Uint8Array): PieceLayer {
  const shape = imageShape(metainfo.length, metainfo.pieceLength);
  if (bytes.length !== shape.pieceCount * HASH_LENGTH) {
    throw new ProtocolError('piece-layer-mismatch', {
      length: bytes.length,
      expected: shape.pieceCount * HASH_LENGTH,
    });
  }
  const layer = new VerifiedLayer(shape, bytes);
  const root = layer.node(levelsAbove(shape.pieceCount), 0);
  if (!Buffer.from(root).equals(metainfo.piecesRoot)) {
    throw new ProtocolError('piece-layer-mismatch', { imageId: metainfo.imageId });
  }
  return layer;
}

class VerifiedLayer implements PieceLayer {
  readonly pieceCount: number;
  readonly bytes: Uint8Array;
  readonly #shape: ImageShape;
  readonly #hashes: Buffer;
  /** The level of the pieces, counted from the leaves. */
  readonly #pieceLevel: number;
  /** Levels KEPT_LEVEL and up above the pieces. */
  readonly #kept: readonly Buffer[];
  readonly #zeros: Bitfield;
  readonly #tree: PieceTree;

  constructor(shape: ImageShape, bytes: Uint8Array) {
    this.pieceCount = shape.pieceCount;
    this.bytes = bytes;
    this.#shape = shape;
    this.#hashes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#pieceLevel = levelsAbove(shape.leafCount);
    this.#kept = keptLevels(bytes, this.#pieceLevel);
    this.#zeros = zeroPieces(shape, this.#hashes);
    this.#tree = new PieceTree(shape.leafCount);
  }

  get zeroCount(): number {
    return this.#zeros.count;
  }

  isZero(pieceIndex: number): boolean {
    return this.#zeros.has(pieceIndex);
  }

  verify(pieceIndex: number, piece: Uint8Array): boolean {
    assert(pieceIndex >= 0 && pieceIndex < this.pieceCount, `piece ${pieceIndex}`);
    if (piece.length !== pieceLengthAt(this.#shape, pieceIndex)) return false;
    return this.isRoot(pieceIndex, this.#tree.hash(piece));
  }

  isRoot(pieceIndex: number, root: Uint8Array): boolean {
    assert(pieceIndex >= 0 && pieceIndex < this.pieceCount, `piece ${pieceIndex}`);
    return isHashAt(this.#hashes, pieceIndex, root);
  }

  node(level: number, index: number): Uint8Array {
    const first = index * 2 ** level;
    if (first >= this.pieceCount) return padHash(this.#pieceLevel + level);
    if (level >= KEPT_LEVEL) return nodeOf(this.#kept[level - KEPT_LEVEL], index);
    if (level === 0) return nodeOf(this.#hashes, index);
    const end = Math.min(first + 2 ** level, this.pieceCount);
    const nodes = foldable(this.#hashes.subarray(first * HASH_LENGTH, end * HASH_LENGTH));
    fold(nodes, end - first, this.#pieceLevel, level);
    return nodeOf(nodes, 0);
  }
}

function keptLevels(layer: Uint8Array, pieceLevel: number): Buffer[] {
  const kept: Buffer[] = [];
  const height = levelsAbove(layer.length / HASH_LENGTH);
  const nodes = foldable(layer);
  let count = fold(nodes, layer.length / HASH_LENGTH, pieceLevel, Math.min(KEPT_LEVEL, height));
  for (let level = KEPT_LEVEL; level <= height; level += 1) {
    kept.push(Buffer.from(nodes.subarray(0, count * HASH_LENGTH)));
    count = fold(nodes, count, pieceLevel + level, 1);
  }
  return kept;
}

function nodeOf(nodes: Buffer, index: number): Uint8Array {
  return nodes.subarray(index * HASH_LENGTH, (index + 1) * HASH_LENGTH);
}
