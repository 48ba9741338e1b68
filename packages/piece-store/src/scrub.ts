/**
 * Looks for bit rot: reads one durable piece after the other as the disk has it, not the page cache, and hashes it. Decides what
 * is damaged; how fast it goes on, and what becomes of a damaged piece, is for its owner to say.
 */
import type { PieceLayer } from '@bootswarm/metainfo';
import { errnoOf } from '@bootswarm/stdx';
import type { PieceLedger } from './piece-ledger.ts';
import type { PieceShape } from './piece-shape.ts';
import type { LostReason } from './store-event.ts';
import { readWhole, type StoreDisk, type StoreFile } from './store-file.ts';

export interface ScrubStats {
  /** Passes over all durable pieces that came to their end. */
  readonly passes: number;
  /** In the pass under way: pieces looked at, of this many. */
  readonly piecesChecked: number;
  readonly pieceCount: number;
  /** Pieces found damaged since the store was opened. */
  readonly piecesDamaged: number;
  /** False where the file system only lets us read what the page cache has: then rot shows once the kernel forgets the page. */
  readonly isDirect: boolean;
}

export interface ScrubParts {
  readonly disk: StoreDisk;
  readonly path: string;
  /** The same file, through the page cache. */
  readonly cached: StoreFile;
  readonly shape: PieceShape;
  readonly layer: PieceLayer;
  readonly ledger: PieceLedger;
  readonly onUnusable: (pieceIndex: number, reason: LostReason, error?: unknown) => void;
}

/** One more look before a piece is given up: it may have been written again while it was read. */
const LOOKS = 2;

export class Scrub {
  readonly #parts: ScrubParts;
  #direct: StoreFile | undefined;
  #isDirectTried = false;
  #buffer = Buffer.alloc(0);
  #running: Promise<number> | undefined;
  #position = 0;
  #passes = 0;
  #piecesChecked = 0;
  #piecesDamaged = 0;

  constructor(parts: ScrubParts) {
    this.#parts = parts;
  }

  get stats(): ScrubStats {
    return {
      passes: this.#passes,
      piecesChecked: this.#piecesChecked,
      pieceCount: this.#parts.ledger.durableCount,
      piecesDamaged: this.#piecesDamaged,
      isDirect: this.#direct !== undefined,
    };
  }

  /** Resolves to the bytes read; 0 at the end of a pass. One call at a time. */
  next(): Promise<number> {
    this.#running = this.#next();
    return this.#running;
  }

  /** The next piece is the first one. */
  restart(): void {
    this.#position = 0;
    this.#piecesChecked = 0;
  }

  async close(): Promise<void> {
    await this.#running;
    await this.#direct?.close();
  }

  async #next(): Promise<number> {
    const { ledger, shape } = this.#parts;
    const pieceIndex = ledger.nextDurable(this.#position);
    if (pieceIndex === -1) {
      this.#passes += 1;
      this.restart();
      return 0;
    }
    this.#position = pieceIndex + 1;
    this.#piecesChecked += 1;
    if (!this.#isDirectTried) await this.#openDirect();
    const length = shape.bytesOf(pieceIndex);
    if (this.#buffer.length < length) this.#buffer = Buffer.allocUnsafeSlow(shape.pieceLength);
    const bytes = this.#buffer.subarray(0, length);
    for (let look = 1; ledger.isDurable(pieceIndex); look += 1) {
      const fault = await this.#faultOf(pieceIndex, bytes);
      if (fault === undefined) break;
      if (look < LOOKS || !ledger.isDurable(pieceIndex)) continue;
      this.#piecesDamaged += 1;
      this.#parts.onUnusable(pieceIndex, fault.reason, fault.error);
    }
    return length;
  }

  async #faultOf(pieceIndex: number, bytes: Uint8Array) {
    const { shape, layer } = this.#parts;
    try {
      const isWhole = await this.#read(bytes, shape.offsetOf(pieceIndex));
      if (!isWhole) return { reason: 'short-file' as const };
    } catch (error) {
      return { reason: 'read-failed' as const, error };
    }
    return layer.verify(pieceIndex, bytes) ? undefined : { reason: 'wrong-hash' as const };
  }

  async #read(bytes: Uint8Array, position: number): Promise<boolean> {
    const direct = this.#direct;
    if (direct === undefined) return readWhole(this.#parts.cached, bytes, position);
    try {
      // Not in parts: the rest of a piece need not begin where direct reads may.
      return (await direct.read(bytes, position)) === bytes.length;
    } catch (error) {
      if (errnoOf(error) !== 'EINVAL') throw error;
      this.#direct = undefined;
      await direct.close();
      return readWhole(this.#parts.cached, bytes, position);
    }
  }

  async #openDirect(): Promise<void> {
    this.#isDirectTried = true;
    try {
      this.#direct = await this.#parts.disk.open(this.#parts.path, 'read-direct');
    } catch {
      // Not every file system can; through the page cache it is then.
    }
  }
}
