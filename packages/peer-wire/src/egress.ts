/**
 * The bytes waiting to be sent, and their order: what is encoded goes first, then pieces by class. A piece is encoded
 * only when it is its turn, so until then it can be dropped or moved, and nothing is ever put between the bytes of a
 * message. Hands the socket one batch at a time. Knows neither messages nor sockets.
 */
import type { BufferPool } from '@bootswarm/stdx';
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
  /** Chunks of pools whose last bytes the socket has been handed. */
  readonly #lent: Chunk[] = [];
  readonly #onTaken = (chunk: Chunk): void => {
    if (chunk.pool !== undefined) this.#lent.push(chunk);
  };
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

  /** `pool` gets the chunk back once it is sent. */
  push(bytes: Uint8Array, pool?: BufferPool): void {
    this.#encoded.push({ bytes, pool });
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
      const chunk = this.#encoded.shift(this.#limits.writeBatchBytes - bytes, this.#onTaken);
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
    for (const { bytes, pool } of this.#lent.splice(0)) pool?.give(bytes);
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

interface Chunk {
  readonly bytes: Uint8Array;
  /** Gets `bytes` back once they are sent. */
  readonly pool: BufferPool | undefined;
}

/** First in, first out, shifted in O(1), with the front chunk taken apart where a batch is full. */
class ChunkQueue {
  #chunks: Chunk[] = [];
  #at = 0;
  /** Bytes of the front chunk that are taken. */
  #taken = 0;
  byteLength = 0;

  push(chunk: Chunk): void {
    this.#chunks.push(chunk);
    this.byteLength += chunk.bytes.length;
  }

  /** The rest of the front chunk, or its next `bytesMax`. The queue is not empty. Tells when nothing of a chunk is left. */
  shift(bytesMax: number, onTaken: (chunk: Chunk) => void): Uint8Array {
    const chunk = this.#chunks[this.#at];
    const { bytes } = chunk;
    const from = this.#taken;
    const end = Math.min(bytes.length, from + bytesMax);
    this.byteLength -= end - from;
    this.#taken = end;
    if (end === bytes.length) {
      this.#drop();
      onTaken(chunk);
    }
    return end - from === bytes.length ? bytes : bytes.subarray(from, end);
  }

  #drop(): void {
    this.#taken = 0;
    this.#at += 1;
    // Sent chunks are let go once they are half of the array: amortised, each chunk moves once.
    if (this.#at * 2 < this.#chunks.length) return;
    this.#chunks.splice(0, this.#at);
    this.#at = 0;
  }
}
