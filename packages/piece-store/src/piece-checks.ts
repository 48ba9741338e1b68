/**
 * Whether pieces have their hashes, found out beside the event loop: what comes within one turn of it is given to a thread at
 * once. A few bytes are hashed here, since to have them carried there would cost as much.
 */
import { BLOCK_LENGTH, HASH_LENGTH, type PieceLayer } from '@bootswarm/metainfo';
import { PieceThread } from './piece-thread.ts';

interface Check {
  readonly pieceIndex: number;
  readonly piece: Uint8Array;
  readonly done: (isGood: boolean) => void;
}

/** One for all images: two would want the same cores. */
const thread = new PieceThread();

/** Two pieces of 64 KiB: one is hashed in 40 µs, and an order with its answer costs about that. */
const ORDER_BYTES_MIN = 128 * 1024;
/** Of one order: an answer comes within a millisecond. */
const ORDER_BYTES_MAX = 1024 * 1024;
/** Whoever adds more is made to wait by having it hashed here: the thread gets too little of the CPU. */
const GATHERED_BYTES_MAX = 8 * 1024 * 1024;

export class PieceChecks {
  readonly #layer: PieceLayer;
  readonly #pieceLength: number;
  readonly #gathered: Check[] = [];
  #gatheredBytes = 0;
  /** From the first piece of an order until its answer: what comes meanwhile is the next order. */
  #isOrdering = false;

  constructor(layer: PieceLayer, pieceLength: number) {
    this.#layer = layer;
    this.#pieceLength = pieceLength;
  }

  /** `piece` stays as it is until `done` is called, which may be within this call. */
  check(pieceIndex: number, piece: Uint8Array, done: (isGood: boolean) => void): void {
    // The thread pads no trees: a shorter piece is the last of its image.
    const isWhole = piece.length === this.#pieceLength;
    const isShared = piece.buffer instanceof SharedArrayBuffer;
    if (!isWhole || !isShared || this.#gatheredBytes >= GATHERED_BYTES_MAX) {
      done(this.#layer.verify(pieceIndex, piece));
      return;
    }
    this.#gathered.push({ pieceIndex, piece, done });
    this.#gatheredBytes += piece.length;
    this.#begin();
  }

  #begin(): void {
    if (this.#isOrdering || this.#gathered.length === 0) return;
    this.#isOrdering = true;
    setImmediate(() => this.#order());
  }

  #order(): void {
    const batch = this.#nextBatch();
    if (batch.length * this.#pieceLength < ORDER_BYTES_MIN) {
      this.#over();
      for (const { pieceIndex, piece, done } of batch) done(this.#layer.verify(pieceIndex, piece));
      return;
    }
    const pieces = batch.map(({ piece }) => piece);
    thread.ask({ type: 'hash', pieces, blockLength: BLOCK_LENGTH }, ({ roots }) => {
      this.#over();
      for (const [index, { pieceIndex, done }] of batch.entries()) {
        const at = index * HASH_LENGTH;
        done(this.#layer.isRoot(pieceIndex, roots.subarray(at, at + HASH_LENGTH)));
      }
    });
  }

  #over(): void {
    this.#isOrdering = false;
    this.#begin();
  }

  #nextBatch(): readonly Check[] {
    const batchMax = Math.max(1, Math.floor(ORDER_BYTES_MAX / this.#pieceLength));
    const batch = this.#gathered.splice(0, batchMax);
    this.#gatheredBytes -= batch.length * this.#pieceLength;
    return batch;
  }
}
