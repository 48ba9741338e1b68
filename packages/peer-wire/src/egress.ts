/**
 * The bytes waiting to be sent, and their order: what is encoded goes first, then pieces by class. A piece is encoded
 * only when it is its turn, so until then it can be dropped or moved, and nothing is ever put between the bytes of a
 * message. Hands the socket one batch at a time. Knows neither messages nor sockets.
 */
import { PIECE_CLASSES, type PieceClass } from '@bootswarm/swarm-proto';
import type { WireLimits } from './wire-limits.ts';

export interface QueuedPiece {
  /** Bytes of the whole message. */
  readonly byteLength: number;
  readonly pieceClass: PieceClass;
  /** Calls push() with the chunks of the message. */
  encode(): void;
}

export interface EgressSink {
  /** Writes all of a batch in one go, and calls `written` once when the kernel has all of it, later. */
  write(chunks: readonly Uint8Array[], written: () => void): void;
  /** Runs `task` after the current turn. */
  defer(task: () => void): void;
  onDrain(): void;
  /** The peer does not fetch what it asked for, and the hard cap is reached. May be called within push(). */
  onOverflow(): void;
}

export type EgressLimits = Pick<
  WireLimits,
  'queuedBytesHigh' | 'queuedBytesLow' | 'queuedBytesSlack' | 'writeBatchBytes'
>;

export class Egress {
  readonly #limits: EgressLimits;
  readonly #sink: EgressSink;
  readonly #encoded = new ChunkQueue();
  /** One per class, in the order of PIECE_CLASSES; sets, because a cancel removes from the middle. */
  readonly #pieces = PIECE_CLASSES.map(() => new Set<QueuedPiece>());
  #piecesBytes = 0;
  /** Handed to the socket; 0 when none is. */
  #batchBytes = 0;
  #bytesWritten = 0;
  #isCongested = false;
  #isFlushDeferred = false;
  #isEncodingPiece = false;
  #bytesMax: number;

  constructor(limits: EgressLimits, sink: EgressSink) {
    this.#limits = limits;
    this.#sink = sink;
    this.#bytesMax = limits.queuedBytesHigh + limits.queuedBytesSlack;
  }

  /** The hard cap leaves room for one piece beyond the high mark. */
  reserveForPiece(pieceLength: number): void {
    this.#bytesMax = this.#limits.queuedBytesHigh + this.#limits.queuedBytesSlack + pieceLength;
  }

  get queuedBytes(): number {
    return this.#encoded.byteLength + this.#piecesBytes + this.#batchBytes;
  }

  get isCongested(): boolean {
    return this.#isCongested;
  }

  get isWriting(): boolean {
    return this.#batchBytes > 0;
  }

  /** Bytes of finished batches. */
  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  push(chunk: Uint8Array): void {
    this.#encoded.push(chunk);
    // A piece was counted when it was queued, and is on its way.
    if (!this.#isEncodingPiece) this.#afterGrowth();
  }

  pushPiece(piece: QueuedPiece): void {
    this.#piecesOf(piece.pieceClass).add(piece);
    this.#piecesBytes += piece.byteLength;
    this.#afterGrowth();
  }

  /** `piece` is queued and not yet encoded. */
  removePiece(piece: QueuedPiece): void {
    this.#piecesOf(piece.pieceClass).delete(piece);
    this.#piecesBytes -= piece.byteLength;
    this.#deferFlush();
  }

  #piecesOf(pieceClass: PieceClass): Set<QueuedPiece> {
    return this.#pieces[PIECE_CLASSES.indexOf(pieceClass)];
  }

  #afterGrowth(): void {
    const queuedBytes = this.queuedBytes;
    if (queuedBytes > this.#limits.queuedBytesHigh) this.#isCongested = true;
    if (queuedBytes > this.#bytesMax) this.#sink.onOverflow();
    else this.#deferFlush();
  }

  /** Deferred, so that what is sent in one turn leaves in one batch. */
  #deferFlush(): void {
    if (this.#isFlushDeferred || this.isWriting) return;
    this.#isFlushDeferred = true;
    this.#sink.defer(() => {
      this.#isFlushDeferred = false;
      this.#flush();
    });
  }

  #flush(): void {
    const batch: Uint8Array[] = [];
    let bytes = 0;
    while (bytes < this.#limits.writeBatchBytes) {
      if (this.#encoded.byteLength === 0 && !this.#encodeNextPiece()) break;
      const chunk = this.#encoded.shift(this.#limits.writeBatchBytes - bytes);
      batch.push(chunk);
      bytes += chunk.length;
    }
    this.#batchBytes = bytes;
    if (bytes > 0) this.#sink.write(batch, () => this.#onWritten());
    this.#checkDrain();
  }

  #encodeNextPiece(): boolean {
    for (const pieces of this.#pieces) {
      for (const piece of pieces) {
        pieces.delete(piece);
        this.#piecesBytes -= piece.byteLength;
        this.#isEncodingPiece = true;
        piece.encode();
        this.#isEncodingPiece = false;
        return true;
      }
    }
    return false;
  }

  #onWritten(): void {
    this.#bytesWritten += this.#batchBytes;
    this.#batchBytes = 0;
    this.#flush();
  }

  #checkDrain(): void {
    if (!this.#isCongested || this.queuedBytes >= this.#limits.queuedBytesLow) return;
    this.#isCongested = false;
    this.#sink.onDrain();
  }
}

/** First in, first out, shifted in O(1), with the front chunk taken apart where a batch is full. */
class ChunkQueue {
  #chunks: Uint8Array[] = [];
  #at = 0;
  byteLength = 0;

  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.byteLength += chunk.length;
  }

  /** The front chunk, or its first `bytesMax`. The queue is not empty. */
  shift(bytesMax: number): Uint8Array {
    const front = this.#chunks[this.#at];
    const chunk = front.length <= bytesMax ? front : front.subarray(0, bytesMax);
    this.byteLength -= chunk.length;
    if (chunk !== front) {
      this.#chunks[this.#at] = front.subarray(bytesMax);
      return chunk;
    }
    this.#at += 1;
    // Sent chunks are let go once they are half of the array: amortised, each chunk moves once.
    if (this.#at * 2 >= this.#chunks.length) {
      this.#chunks.splice(0, this.#at);
      this.#at = 0;
    }
    return chunk;
  }
}
