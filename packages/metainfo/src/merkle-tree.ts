/**
 * The SHA-256 merkle tree of BEP 52 over 16 KiB blocks: nodes, padding, roots and proofs. Level 0 is the leaves. Levels lie
 * as 32-byte hashes one after another. Knows no files and no messages.
 */
import { hash } from 'node:crypto';
import { assert } from '@bootswarm/stdx';
import { BLOCK_LENGTH, levelsAbove } from './image-shape.ts';

export const HASH_LENGTH = 32;

/** 2^22 pieces of 2^10 blocks are 32 levels above the leaves. */
const LEVELS_MAX = 32;

/** All-zero bytes of one block, to compare with and to read zeros from. */
export const ZERO_BLOCK = Buffer.alloc(BLOCK_LENGTH);

/** Both children of the node being hashed: one buffer for all, since hashing is synchronous. */
const pair = Buffer.alloc(2 * HASH_LENGTH);

/** By level, the root of a subtree whose leaves are all missing: a missing leaf is 32 zero bytes, not a hash. */
const PAD_HASHES = subtreeHashes(Buffer.alloc(HASH_LENGTH));

/** By level, the root of a subtree whose blocks are all present and hold only zeros. */
const ZERO_HASHES = subtreeHashes(hash('sha256', ZERO_BLOCK, 'buffer'));

/** The root of a subtree of 2^level leaves that lie beyond the end of the image. Do not change it. */
export function padHash(level: number): Uint8Array {
  return PAD_HASHES[level];
}

/** The root of a subtree of 2^level blocks of zeros. Do not change it. */
export function zeroHash(level: number): Uint8Array {
  return ZERO_HASHES[level];
}

/**
 * Writes SHA-256 of `bytes` as node `index` of `nodes`. Measured: a digest as a latin1 string costs 260 ns for 64 bytes, as
 * a Buffer 715, because each Buffer brings its own allocation outside the heap.
 */
function hashInto(nodes: Buffer, index: number, bytes: Uint8Array): void {
  nodes.write(hash('sha256', bytes, 'binary'), index * HASH_LENGTH, HASH_LENGTH, 'binary');
}

/**
 * Replaces the first `count` nodes, which are of `level`, by their ancestors `levels` higher, in place, and returns how
 * many those are. What is missing on the right is padding. `nodes` needs room for one node more than an odd `count`.
 */
export function fold(nodes: Buffer, count: number, level: number, levels: number): number {
  let width = count;
  for (let below = level; below < level + levels; below += 1) {
    if (width % 2 === 1) nodes.set(PAD_HASHES[below], width * HASH_LENGTH);
    width = Math.ceil(width / 2);
    for (let index = 0; index < width; index += 1) {
      if (index > 0 && isPairAt(nodes, index)) {
        // The same children as the node before: images are mostly zeros, and so are whole reaches of the tree.
        nodes.copyWithin(index * HASH_LENGTH, (index - 1) * HASH_LENGTH, index * HASH_LENGTH);
      } else {
        nodes.copy(pair, 0, index * pair.length, (index + 1) * pair.length);
        hashInto(nodes, index, pair);
      }
    }
  }
  return width;
}

/** Whether the children of node `index` are those in `pair`. */
function isPairAt(nodes: Buffer, index: number): boolean {
  const start = index * pair.length;
  return (
    nodes[start] === pair[0] &&
    nodes.compare(pair, 0, pair.length, start, start + pair.length) === 0
  );
}

/** A copy of the nodes that fold() may work in. */
export function foldable(nodes: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafe(nodes.length + HASH_LENGTH);
  copy.set(nodes);
  return copy;
}

/** The root over one whole level; levels above it are as many as its nodes need. */
export function rootOf(nodes: Uint8Array, level: number): Uint8Array {
  const count = nodes.length / HASH_LENGTH;
  const work = foldable(nodes);
  fold(work, count, level, levelsAbove(count));
  return new Uint8Array(work.subarray(0, HASH_LENGTH));
}

/**
 * The uncle hashes that prove node `index` of a level, from its sibling upwards, one per level below the root. For a block
 * within its piece give the leaves, for a piece within its image the piece layer.
 */
export function proofOf(nodes: Uint8Array, level: number, index: number): Uint8Array[] {
  const uncles: Uint8Array[] = [];
  const work = foldable(nodes);
  let count = nodes.length / HASH_LENGTH;
  assert(index >= 0 && index < count, `node ${index} of ${count}`);
  const height = levelsAbove(count);
  for (let step = 0; step < height; step += 1) {
    const sibling = Math.floor(index / 2 ** step) ^ 1;
    const start = sibling * HASH_LENGTH;
    uncles.push(
      new Uint8Array(
        sibling < count ? work.subarray(start, start + HASH_LENGTH) : padHash(level + step),
      ),
    );
    count = fold(work, count, level + step, 1);
  }
  return uncles;
}

/** The root that `node`, at `index` of its level, has with these uncles: compare it with the root that is trusted. */
export function rootOfProof(
  node: Uint8Array,
  index: number,
  uncles: readonly Uint8Array[],
): Uint8Array {
  const root = Buffer.from(node);
  for (const [step, uncle] of uncles.entries()) {
    const isRight = Math.floor(index / 2 ** step) % 2 === 1;
    pair.set(isRight ? uncle : root, 0);
    pair.set(isRight ? root : uncle, HASH_LENGTH);
    hashInto(root, 0, pair);
  }
  return new Uint8Array(root);
}

/** The leaves of a run of bytes that starts at a block boundary. Only its last block may be short. */
export function leavesOf(bytes: Uint8Array): Uint8Array {
  const leaves = Buffer.alloc(Math.ceil(bytes.length / BLOCK_LENGTH) * HASH_LENGTH);
  for (let offset = 0; offset < bytes.length; offset += BLOCK_LENGTH) {
    hashInto(leaves, offset / BLOCK_LENGTH, bytes.subarray(offset, offset + BLOCK_LENGTH));
  }
  return new Uint8Array(leaves.buffer, leaves.byteOffset, leaves.length);
}

/** Hashes pieces, one after another, through one scratch buffer. */
export class PieceTree {
  readonly #leafCount: number;
  readonly #level: number;
  readonly #nodes: Buffer;
  #leaves = 0;
  #zeroLeaves = 0;

  /** `leafCount` as in ImageShape. */
  constructor(leafCount: number) {
    this.#leafCount = leafCount;
    this.#level = levelsAbove(leafCount);
    this.#nodes = Buffer.alloc((leafCount + 1) * HASH_LENGTH);
  }

  /** Adds the next block; a short one is the last of the image. A block of zeros is recognised and not hashed. */
  pushBlock(block: Uint8Array): void {
    // The first byte spares almost every other block the call.
    if (block[0] === 0 && block.length === BLOCK_LENGTH && ZERO_BLOCK.equals(block)) {
      this.pushZeroBlocks(1);
      return;
    }
    assert(this.#leaves < this.#leafCount, 'more blocks than the piece has');
    hashInto(this.#nodes, this.#leaves, block);
    this.#leaves += 1;
  }

  /** Adds `count` whole blocks of zeros. */
  pushZeroBlocks(count: number): void {
    assert(this.#leaves + count <= this.#leafCount, 'more blocks than the piece has');
    for (let added = 0; added < count; added += 1) {
      this.#nodes.set(ZERO_HASHES[0], (this.#leaves + added) * HASH_LENGTH);
    }
    this.#leaves += count;
    this.#zeroLeaves += count;
  }

  /** The root over the blocks added, the rest padding; then starts anew. The result lasts until the next call. */
  takeRoot(): Uint8Array {
    const isZero = this.#zeroLeaves === this.#leafCount;
    if (!isZero) fold(this.#nodes, this.#leaves, 0, this.#level);
    this.#leaves = 0;
    this.#zeroLeaves = 0;
    return isZero ? ZERO_HASHES[this.#level] : this.#nodes.subarray(0, HASH_LENGTH);
  }

  /** The root of a whole piece. The result lasts until the next call. */
  hash(piece: Uint8Array): Uint8Array {
    for (let offset = 0; offset < piece.length; offset += BLOCK_LENGTH) {
      this.pushBlock(piece.subarray(offset, offset + BLOCK_LENGTH));
    }
    return this.takeRoot();
  }
}

/** The hash of a piece of `length` bytes of zeros; all pieces but a short last one share one hash. */
export function zeroPieceHash(length: number, leafCount: number): Uint8Array {
  const tree = new PieceTree(leafCount);
  tree.pushZeroBlocks(Math.floor(length / BLOCK_LENGTH));
  const rest = length % BLOCK_LENGTH;
  if (rest > 0) tree.pushBlock(ZERO_BLOCK.subarray(0, rest));
  return new Uint8Array(tree.takeRoot());
}

/** The roots of subtrees of 1, 2, 4, … leaves that are all `leaf`. */
function subtreeHashes(leaf: Buffer): readonly Buffer[] {
  const hashes = [leaf];
  for (let level = 1; level <= LEVELS_MAX; level += 1) {
    const below = hashes[level - 1];
    hashes.push(hash('sha256', Buffer.concat([below, below]), 'buffer'));
  }
  return hashes;
}
