/**
 * The write queue: puts pieces into the cache file in batches and notes each batch in the log. Pieces stay readable from
 * memory until that is done. Decides nothing about trust: its owner records what was written and what failed.
 */
import type { HaveLog } from './have-log.ts';
import type { PieceShape } from './piece-shape.ts';
import type { StoreFile } from './store-file.ts';

export interface PieceWriterOwner {
  /** The commit that will make pieces written now durable. */
  generation(): number;
  /** Before anything of a batch is written. */
  onBatch(): void;
  /** Nothing of the batch is on its way to the file any more. */
  onBatchOver(): void;
  /** Called between the end of a batch and the promises of its pieces. */
  onWritten(pieceIndexes: readonly number[]): void;
  /** The queue is done with these bytes, which are in the file. */
  onDone(pieceIndex: number, bytes: Uint8Array): void;
  /** These could not be written or logged; their promises resolve to false afterwards. */
  onFailed(pieceIndexes: readonly number[], error: unknown): void;
}

interface QueuedPiece {
  readonly pieceIndex: number;
  readonly bytes: Uint8Array;
  readonly promise: Promise<boolean>;
  readonly resolve: (isWritten: boolean) => void;
}

/** One entry in the log, so one more write, for each 16 pieces: 1 MiB of pieces of 64 KiB, written in about a millisecond. */
const BATCH_PIECES_MAX = 16;
/** Of large pieces fewer: a disk that writes 20 MB/s is done with them before it counts as late. */
const BATCH_BYTES_MAX = 4 * 1024 * 1024;

export class PieceWriter {
  readonly #data: StoreFile;
  readonly #log: HaveLog;
  readonly #shape: PieceShape;
  readonly #owner: PieceWriterOwner;
  /** In order of arrival, the batch being written included. */
  readonly #queue = new Map<number, QueuedPiece>();
  #batch: readonly QueuedPiece[] = [];
  #queueBytes = 0;
  #isPaused = false;
  #running: Promise<void> | undefined;

  constructor(data: StoreFile, log: HaveLog, shape: PieceShape, owner: PieceWriterOwner) {
    this.#data = data;
    this.#log = log;
    this.#shape = shape;
    this.#owner = owner;
  }

  get isWriting(): boolean {
    return this.#batch.length > 0;
  }

  get queueBytes(): number {
    return this.#queueBytes;
  }

  /** The bytes of a piece that is still in the queue. */
  peek(pieceIndex: number): Uint8Array | undefined {
    return this.#queue.get(pieceIndex)?.bytes;
  }

  /** Whether these bytes are still to be written, or are being written. */
  uses(pieceIndex: number, bytes: Uint8Array): boolean {
    const isQueued = this.#queue.get(pieceIndex)?.bytes === bytes;
    // A piece that was abandoned is still in the batch that the kernel may be writing.
    return isQueued || this.#batch.some((piece) => piece.bytes === bytes);
  }

  /** Resolves to whether the piece was written and logged. Never rejects. */
  add(pieceIndex: number, bytes: Uint8Array): Promise<boolean> {
    const queued = this.#queue.get(pieceIndex);
    if (queued !== undefined) return queued.promise;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#queue.set(pieceIndex, { pieceIndex, bytes, promise, resolve });
    this.#queueBytes += bytes.byteLength;
    this.#start();
    return promise;
  }

  /** Gives up all that is queued. A batch under way goes on in the kernel, but none of its pieces is reported written. */
  abandon(): void {
    for (const piece of [...this.#queue.values()]) this.#finish(piece, false);
  }

  /** Resolves between two batches; no batch starts until resume(). */
  async pause(): Promise<void> {
    this.#isPaused = true;
    await this.#running;
  }

  resume(): void {
    this.#isPaused = false;
    this.#start();
  }

  /** Resolves when the queue is empty. */
  async idle(): Promise<void> {
    while (this.#queue.size > 0) {
      await Promise.all(Array.from(this.#queue.values(), (piece) => piece.promise));
    }
    await this.#running;
  }

  #start(): void {
    if (this.#running !== undefined || this.#isPaused || this.#queue.size === 0) return;
    this.#running = this.#run().then(() => {
      this.#running = undefined;
      // Pieces may have come in since #run() looked at the queue for the last time.
      this.#start();
    });
  }

  async #run(): Promise<void> {
    while (this.#queue.size > 0 && !this.#isPaused) {
      this.#batch = this.#nextBatch();
      this.#owner.onBatch();
      const written = await this.#writeBatch(this.#batch);
      this.#owner.onBatchOver();
      this.#batch = [];
      for (const piece of written) this.#owner.onDone(piece.pieceIndex, piece.bytes);
    }
  }

  #nextBatch(): QueuedPiece[] {
    const batch: QueuedPiece[] = [];
    let bytes = 0;
    for (const piece of this.#queue.values()) {
      if (batch.length === BATCH_PIECES_MAX || bytes >= BATCH_BYTES_MAX) break;
      batch.push(piece);
      bytes += piece.bytes.length;
    }
    return batch;
  }

  /** Resolves to what was written and reported as such. */
  async #writeBatch(batch: readonly QueuedPiece[]): Promise<readonly QueuedPiece[]> {
    const placed = batch.map(({ pieceIndex, bytes }) => ({
      bytes,
      position: this.#shape.offsetOf(pieceIndex),
    }));
    const { writtenCount, error: writeError } = await this.#data.writePieces(placed);
    const written = batch.slice(0, writtenCount);
    let failed = batch.slice(writtenCount, writtenCount + 1);
    let failure = writeError;
    try {
      if (written.length > 0) await this.#log.append(this.#owner.generation(), indexesOf(written));
    } catch (error) {
      failed = [...written.splice(0), ...failed];
      failure = error;
    }
    // A piece abandoned meanwhile is not reported: a flush may have failed while it was being written.
    const kept = written.filter((piece) => this.#isQueued(piece));
    if (kept.length > 0) this.#owner.onWritten(indexesOf(kept));
    for (const piece of kept) this.#finish(piece, true);
    failed = failed.filter((piece) => this.#isQueued(piece));
    if (failed.length > 0) this.#owner.onFailed(indexesOf(failed), failure);
    for (const piece of failed) this.#finish(piece, false);
    return kept;
  }

  #isQueued(piece: QueuedPiece): boolean {
    return this.#queue.get(piece.pieceIndex) === piece;
  }

  #finish(piece: QueuedPiece, isWritten: boolean): void {
    if (!this.#isQueued(piece)) return;
    this.#queue.delete(piece.pieceIndex);
    this.#queueBytes -= piece.bytes.byteLength;
    piece.resolve(isWritten);
  }
}

function indexesOf(pieces: readonly QueuedPiece[]): number[] {
  return pieces.map((piece) => piece.pieceIndex);
}
