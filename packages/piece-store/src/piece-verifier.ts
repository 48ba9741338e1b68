/** Reads whole pieces from a file and checks their hash; one reading serves all who wait for the same piece. */
import type { PieceLayer } from '@bootswarm/metainfo';
import type { BufferPool } from '@bootswarm/stdx';
import type { PieceShape } from './piece-shape.ts';
import { readWhole, type StoreFile } from './store-file.ts';

export type Verification =
  | { readonly type: 'verified'; readonly bytes: Uint8Array }
  | {
      readonly type: 'unusable';
      readonly reason: 'wrong-hash' | 'short-file' | 'read-failed';
      readonly error?: unknown;
    };

/** The file threads of Node's pool: more readings at once would only hold more memory. */
const READS_IN_FLIGHT_MAX = 4;

export class PieceVerifier {
  readonly #file: StoreFile;
  readonly #shape: PieceShape;
  readonly #layer: PieceLayer;
  readonly #verifications = new Map<number, Promise<Verification>>();
  readonly #lends: BufferPool | undefined;
  readonly #waiting: (() => void)[] = [];
  #readsInFlight = 0;

  /** With `lends`, verified bytes are its buffers', and only lent to those who wait: they copy them in the same turn. */
  constructor(file: StoreFile, shape: PieceShape, layer: PieceLayer, lends?: BufferPool) {
    this.#lends = lends;
    this.#file = file;
    this.#shape = shape;
    this.#layer = layer;
  }

  /** Never rejects for the disk's sake. The bytes are shared by all waiters: do not change them. */
  verify(pieceIndex: number): Promise<Verification> {
    let verification = this.#verifications.get(pieceIndex);
    if (verification === undefined) {
      verification = this.#verify(pieceIndex);
      this.#verifications.set(pieceIndex, verification);
      void verification.then((result) => {
        this.#verifications.delete(pieceIndex);
        // All who wait have had their turn before the next immediate.
        if (result.type === 'verified') setImmediate(() => this.#lends?.give(result.bytes));
      });
    }
    return verification;
  }

  /** Resolves when nothing is being read. */
  async idle(): Promise<void> {
    while (this.#verifications.size > 0) await Promise.all(this.#verifications.values());
  }

  async #verify(pieceIndex: number): Promise<Verification> {
    if (this.#readsInFlight === READS_IN_FLIGHT_MAX) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else {
      this.#readsInFlight += 1;
    }
    const bytes = this.#takeBuffer(this.#shape.bytesOf(pieceIndex));
    try {
      if (!(await readWhole(this.#file, bytes, this.#shape.offsetOf(pieceIndex)))) {
        return { type: 'unusable', reason: 'short-file' };
      }
    } catch (error) {
      return { type: 'unusable', reason: 'read-failed', error };
    } finally {
      const next = this.#waiting.shift();
      // The slot is handed on, so readsInFlight stays.
      if (next === undefined) this.#readsInFlight -= 1;
      else next();
    }
    if (!this.#layer.verify(pieceIndex, bytes)) return { type: 'unusable', reason: 'wrong-hash' };
    return { type: 'verified', bytes };
  }

  #takeBuffer(length: number): Uint8Array {
    const lends = this.#lends;
    // Not from Node's buffer pool: hot pieces keep this memory.
    if (lends === undefined || lends.length !== length) return Buffer.allocUnsafeSlow(length);
    return lends.take();
  }
}
