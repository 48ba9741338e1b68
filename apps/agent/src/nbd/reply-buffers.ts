/**
 * The memory that replies are put together in, used again and again by all connections of a listener: to get a fresh buffer for
 * each large reply costs three times what its bytes do. How much may wait in them is ReplyBudget's decision.
 */
import { BufferPool } from '@bootswarm/stdx';

/**
 * Thirty-one replies of 4 KiB, more than QEMU's 16 requests in flight, or two of 64 KiB. Less than a unix socket takes at once
 * (208 KiB): what it does not take has to wait until the client has read all of the rest.
 */
export const GATHERED_BYTES_MAX = 129 * 1024;
/** A reply to virtio-blk's usual longest request, 1 MiB, with its header. */
const LONG_REPLY_BYTES_MAX = 1024 * 1024 + 64;

export class ReplyBuffers {
  /** Of each kind as many are kept as eight clients use that each read much at once: 40 MiB, if there ever were. */
  readonly #gathering = new BufferPool(GATHERED_BYTES_MAX, 64);
  readonly #long = new BufferPool(LONG_REPLY_BYTES_MAX, 32);

  /** For short replies that leave together. */
  takeGathering(): Buffer {
    return this.#gathering.take() as Buffer;
  }

  /** For one reply of `length` bytes; the buffer may be longer. */
  take(length: number): Buffer {
    if (length > LONG_REPLY_BYTES_MAX) return Buffer.allocUnsafeSlow(length);
    const pool = length > GATHERED_BYTES_MAX ? this.#long : this.#gathering;
    return pool.take() as Buffer;
  }

  /** Nobody reads or writes it any more. */
  give(buffer: Buffer): void {
    this.#gathering.give(buffer);
    this.#long.give(buffer);
  }
}
