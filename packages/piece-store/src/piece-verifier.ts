/** Reads whole pieces from a file and checks their hash; one reading serves all who wait for the same piece. */
import type { PieceLayer } from '@bootswarm/metainfo';
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
  readonly #waiting: (() => void)[] = [];
  #readsInFlight = 0;

  constructor(file: StoreFile, shape: PieceShape, layer: PieceLayer) {
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
      void verification.then(() => this.#verifications.delete(pieceIndex));
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
    // Not from Node's buffer pool: hot pieces keep this memory.
    const bytes = Buffer.allocUnsafeSlow(this.#shape.bytesOf(pieceIndex));
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
}
