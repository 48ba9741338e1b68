/**
 * Pieces kept in memory, bounded by bytes. What guests asked for is an LRU; what was only prefetched takes turns in the
 * room that is left, and never displaces what a guest asked for (lru-cache alone is not scan-resistant).
 */
import { LRUCache } from 'lru-cache';

export class HotPieces {
  readonly #bytesMax: number;
  readonly #onEvicted: (pieceIndex: number, piece: Uint8Array) => void;
  readonly #asked: LRUCache<number, Uint8Array>;
  /** In order of arrival. */
  readonly #prefetched = new Map<number, Uint8Array>();
  #prefetchedBytes = 0;

  /** `bytesMax` of 0 keeps nothing. `onEvicted` hears of pieces that were kept and no longer are. */
  constructor(
    bytesMax: number,
    onEvicted: (pieceIndex: number, piece: Uint8Array) => void = () => {},
  ) {
    this.#bytesMax = bytesMax;
    this.#onEvicted = onEvicted;
    // lru-cache takes no maxSize of 0 as a bound: 1 byte holds no piece either.
    this.#asked = new LRUCache({
      maxSize: Math.max(1, bytesMax),
      sizeCalculation: (piece) => piece.byteLength,
      dispose: (piece, pieceIndex) => onEvicted(pieceIndex, piece),
    });
  }

  get bytes(): number {
    return this.#asked.calculatedSize + this.#prefetchedBytes;
  }

  get(pieceIndex: number): Uint8Array | undefined {
    return this.#asked.get(pieceIndex) ?? this.#prefetched.get(pieceIndex);
  }

  /** Whether it is kept; that it was asked for does not count as use. */
  has(pieceIndex: number): boolean {
    return this.#asked.has(pieceIndex) || this.#prefetched.has(pieceIndex);
  }

  /** Whether this very buffer is kept. */
  holds(pieceIndex: number, piece: Uint8Array): boolean {
    return this.#asked.peek(pieceIndex) === piece || this.#prefetched.get(pieceIndex) === piece;
  }

  insert(pieceIndex: number, piece: Uint8Array, isPrefetch: boolean): void {
    if (piece.byteLength > this.#bytesMax) return;
    if (isPrefetch) this.#insertPrefetched(pieceIndex, piece);
    else this.#insertAsked(pieceIndex, piece);
  }

  clear(): void {
    this.#asked.clear();
    this.#prefetched.clear();
    this.#prefetchedBytes = 0;
  }

  #insertAsked(pieceIndex: number, piece: Uint8Array): void {
    const replaced = this.#removePrefetched(pieceIndex);
    if (this.#asked.has(pieceIndex)) {
      this.#asked.get(pieceIndex);
      return;
    }
    this.#evictPrefetched(this.#bytesMax - piece.byteLength);
    this.#asked.set(pieceIndex, ownBytes(piece));
    if (replaced !== undefined && replaced !== piece) this.#onEvicted(pieceIndex, replaced);
  }

  #insertPrefetched(pieceIndex: number, piece: Uint8Array): void {
    if (this.#asked.has(pieceIndex) || this.#prefetched.has(pieceIndex)) return;
    if (this.#asked.calculatedSize + piece.byteLength > this.#bytesMax) return;
    this.#evictPrefetched(this.#bytesMax - piece.byteLength);
    this.#prefetched.set(pieceIndex, ownBytes(piece));
    this.#prefetchedBytes += piece.byteLength;
  }

  /** The oldest first, until no more than `bytesMax` are in use or none is left. */
  #evictPrefetched(bytesMax: number): void {
    for (const oldest of this.#prefetched.keys()) {
      if (this.bytes <= bytesMax) return;
      const piece = this.#removePrefetched(oldest);
      if (piece !== undefined) this.#onEvicted(oldest, piece);
    }
  }

  #removePrefetched(pieceIndex: number): Uint8Array | undefined {
    const piece = this.#prefetched.get(pieceIndex);
    if (piece === undefined) return undefined;
    this.#prefetched.delete(pieceIndex);
    this.#prefetchedBytes -= piece.byteLength;
    return piece;
  }
}

/** A piece cut from a larger receive buffer would keep all of that buffer alive, uncounted. */
function ownBytes(piece: Uint8Array): Uint8Array {
  return piece.byteLength === piece.buffer.byteLength ? piece : new Uint8Array(piece);
}
