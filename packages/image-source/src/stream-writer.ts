/** Gathers the bytes of a stream into writes large enough to find holes in. One per range of the file, in ascending order. */
import type { SparseFile } from './sparse-file.ts';

/** 1 MiB: sixteen blocks that may each become a hole. */
const BUFFER_LENGTH = 1024 * 1024;

export class StreamWriter {
  readonly #target: SparseFile;
  readonly #buffer = Buffer.allocUnsafe(BUFFER_LENGTH);
  #flushed: number;
  #pending = 0;

  /** Writes from byte `start` of `target` on. */
  constructor(target: SparseFile, start: number) {
    this.#target = target;
    this.#flushed = start;
  }

  /** Where in the file the next byte goes. */
  get position(): number {
    return this.#flushed + this.#pending;
  }

  async push(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const length = Math.min(bytes.length - done, BUFFER_LENGTH - this.#pending);
      this.#buffer.set(bytes.subarray(done, done + length), this.#pending);
      this.#pending += length;
      done += length;
      if (this.#pending === BUFFER_LENGTH) await this.flush();
    }
  }

  async flush(): Promise<void> {
    await this.#target.write(this.#buffer.subarray(0, this.#pending), this.#flushed);
    this.#flushed += this.#pending;
    this.#pending = 0;
  }
}
