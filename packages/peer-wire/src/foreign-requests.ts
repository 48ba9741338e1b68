/**
 * Whole-piece requests of ours towards a foreign peer, which answers blocks of 16 KiB: splits, keeps as many blocks
 * asked for as the peer allows, most urgent piece first, and joins the answers. Matching answers to requests is
 * sent-requests.ts; encoding is the caller's.
 */
import { BLOCK_LENGTH } from '@bootswarm/metainfo';
import { PIECE_CLASSES, type PieceClass } from '@bootswarm/swarm-proto';

/** Pieces taken at once; each holds a buffer from its first block on. More are rejected. */
export const FOREIGN_PIECES_MAX = 256;

export interface ForeignRequestsSink {
  /** Sends a block request; false when the peer does not take any now. */
  ask(pieceIndex: number, offset: number, length: number): boolean;
  cancel(pieceIndex: number, offset: number, length: number): void;
}

const UNASKED = 0;
const ASKED = 1;
const ARRIVED = 2;

interface Assembly {
  readonly pieceIndex: number;
  readonly length: number;
  pieceClass: PieceClass;
  /** UNASKED, ASKED or ARRIVED, by block index. */
  readonly blocks: Uint8Array;
  /** No block before this one is UNASKED. */
  nextBlock: number;
  arrivedCount: number;
  payload: Uint8Array | undefined;
}

export class ForeignRequests {
  readonly #sink: ForeignRequestsSink;
  readonly #blocksMax: number;
  /** By piece index, in the order of the requests. */
  readonly #assemblies = new Map<number, Assembly>();
  #askedCount = 0;

  /** `blocksMax`: blocks to keep asked for. */
  constructor(blocksMax: number, sink: ForeignRequestsSink) {
    this.#blocksMax = blocksMax;
    this.#sink = sink;
  }

  /** False when there is no room. A piece that is being fetched already goes on. */
  add(pieceIndex: number, length: number, pieceClass: PieceClass): boolean {
    if (this.#assemblies.has(pieceIndex)) return true;
    if (this.#assemblies.size >= FOREIGN_PIECES_MAX) return false;
    this.#assemblies.set(pieceIndex, {
      pieceIndex,
      length,
      pieceClass,
      blocks: new Uint8Array(Math.ceil(length / BLOCK_LENGTH)),
      nextBlock: 0,
      arrivedCount: 0,
      payload: undefined,
    });
    this.fill();
    return true;
  }

  setClass(pieceIndex: number, pieceClass: PieceClass): void {
    const assembly = this.#assemblies.get(pieceIndex);
    if (assembly !== undefined) assembly.pieceClass = pieceClass;
  }

  /** Gives the piece up and cancels its blocks. False when it is not being fetched. */
  cancel(pieceIndex: number): boolean {
    const assembly = this.#assemblies.get(pieceIndex);
    if (assembly === undefined) return false;
    this.#drop(assembly);
    this.fill();
    return true;
  }

  /** Gives all pieces up, cancels nothing (the peer choked us), and returns their indexes and lengths. */
  takeAll(): { readonly pieceIndex: number; readonly length: number }[] {
    const all = [...this.#assemblies.values()];
    this.#assemblies.clear();
    this.#askedCount = 0;
    return all;
  }

  /**
   * A block that we asked for now or in the past. Returns the whole piece, a buffer of its own, when it was the last.
   * A late block of a piece that is being fetched again is as good as any.
   */
  onBlock(pieceIndex: number, offset: number, block: Uint8Array): Uint8Array | undefined {
    const assembly = this.#assemblies.get(pieceIndex);
    if (assembly === undefined) return undefined;
    const blockIndex = offset / BLOCK_LENGTH;
    if (assembly.blocks[blockIndex] === ARRIVED) return undefined;
    if (assembly.blocks[blockIndex] === ASKED) this.#askedCount -= 1;
    assembly.blocks[blockIndex] = ARRIVED;
    assembly.arrivedCount += 1;
    const payload = join(assembly, offset, block);
    const isWhole = assembly.arrivedCount === assembly.blocks.length;
    if (isWhole) this.#assemblies.delete(pieceIndex);
    this.fill();
    return isWhole ? payload : undefined;
  }

  /** The peer rejected a block that is asked for: the piece is given up. Returns its length. */
  onReject(pieceIndex: number, offset: number): number | undefined {
    const assembly = this.#assemblies.get(pieceIndex);
    if (assembly === undefined) return undefined;
    if (assembly.blocks[offset / BLOCK_LENGTH] !== ASKED) return undefined;
    assembly.blocks[offset / BLOCK_LENGTH] = UNASKED;
    this.#askedCount -= 1;
    this.#drop(assembly);
    this.fill();
    return assembly.length;
  }

  /** Asks for blocks up to the limit. */
  fill(): void {
    while (this.#askedCount < this.#blocksMax) {
      const assembly = this.#nextToAsk();
      if (assembly === undefined) return;
      const blockIndex = assembly.blocks.indexOf(UNASKED, assembly.nextBlock);
      const offset = blockIndex * BLOCK_LENGTH;
      if (!this.#sink.ask(assembly.pieceIndex, offset, blockLength(assembly, offset))) return;
      assembly.blocks[blockIndex] = ASKED;
      assembly.nextBlock = blockIndex + 1;
      this.#askedCount += 1;
    }
  }

  /** The first piece of the best class that has a block to ask for. */
  #nextToAsk(): Assembly | undefined {
    let best: Assembly | undefined;
    let bestRank: number = PIECE_CLASSES.length;
    for (const assembly of this.#assemblies.values()) {
      const rank = PIECE_CLASSES.indexOf(assembly.pieceClass);
      if (rank >= bestRank) continue;
      if (assembly.blocks.indexOf(UNASKED, assembly.nextBlock) === -1) continue;
      best = assembly;
      bestRank = rank;
    }
    return best;
  }

  #drop(assembly: Assembly): void {
    this.#assemblies.delete(assembly.pieceIndex);
    for (const [blockIndex, state] of assembly.blocks.entries()) {
      if (state !== ASKED) continue;
      this.#askedCount -= 1;
      const offset = blockIndex * BLOCK_LENGTH;
      this.#sink.cancel(assembly.pieceIndex, offset, blockLength(assembly, offset));
    }
  }
}

function blockLength(assembly: Assembly, offset: number): number {
  return Math.min(BLOCK_LENGTH, assembly.length - offset);
}

/** Copies the block to its place; a block that is the whole piece is the payload as it is. */
function join(assembly: Assembly, offset: number, block: Uint8Array): Uint8Array {
  if (block.length === assembly.length) return block;
  assembly.payload ??= Buffer.allocUnsafeSlow(assembly.length);
  assembly.payload.set(block, offset);
  return assembly.payload;
}
