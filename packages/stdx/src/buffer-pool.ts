/**
 * Buffers of one length, used again and again: a buffer is memory outside the heap, and to get a new one for each piece costs
 * more than to hash the piece. Whoever takes one owns it, and may hand it on; the last owner gives it back. One that is not
 * given back is collected as any other, so that to forget it costs time and never memory.
 */
import { assert } from './assert.ts';

export class BufferPool {
  /** Bytes of each buffer. */
  readonly length: number;
  readonly #sparesMax: number;
  readonly #isShared: boolean;
  readonly #spares: Uint8Array[] = [];
  /** Taken and not given back. */
  readonly #out = new WeakSet<Uint8Array>();

  /** Keeps at most `sparesMax` buffers that nobody uses. Those that are `shared` other threads can be given, uncopied. */
  constructor(length: number, sparesMax: number, use: 'own' | 'shared' = 'own') {
    assert(length > 0 && sparesMax >= 0, `${sparesMax} buffers of ${length}`);
    this.length = length;
    this.#sparesMax = sparesMax;
    this.#isShared = use === 'shared';
  }

  /** Buffers kept that nobody uses. */
  get spareCount(): number {
    return this.#spares.length;
  }

  /** A buffer of `length` bytes of anything, alone on its memory. */
  take(): Uint8Array {
    const buffer = this.#spares.pop() ?? this.#make();
    this.#out.add(buffer);
    return buffer;
  }

  #make(): Uint8Array {
    if (this.#isShared) return Buffer.from(new SharedArrayBuffer(this.length));
    return Buffer.allocUnsafeSlow(this.length);
  }

  /** Its owner uses it no more, nor any view on it. A buffer that was not taken here, or is back already, is left alone. */
  give(buffer: Uint8Array): void {
    if (!this.#out.delete(buffer)) return;
    if (this.#spares.length < this.#sparesMax) this.#spares.push(buffer);
  }
}
