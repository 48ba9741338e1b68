/**
 * Bounds the memory of replies that wait: for the swarm, or for a client that does not read them. Shared by all connections
 * of a listener, so that 256 clients cannot hold 64 MiB each. Replies small enough for a connection's own reply buffer, and
 * answered at once, are not counted.
 */
import { assert } from '@bootswarm/stdx';

/** As much as four clients may have in flight by READ_BYTES_IN_FLIGHT_MAX; a booting QEMU holds less than 2 MiB. */
export const REPLY_BYTES_MAX = 256 * 1024 * 1024;

/**
 * A connection that holds nothing may always hold this much, so that clients who hoard the budget cannot stop a guest: 1 MiB
 * and a header, virtio-blk's usual longest request. Adds at most 256 connections × 1 MiB = 256 MiB.
 */
export const REPLY_BYTES_GUARANTEED = 1024 * 1024 + 64;

/** One connection's part of the budget. */
export interface ReplyAllowance {
  /** Bytes reserved and not released. */
  heldBytes: number;
  /** Called when a reservation that was refused may be tried again. */
  readonly retry: () => void;
}

export class ReplyBudget {
  readonly #bytesMax: number;
  readonly #waiting = new Set<ReplyAllowance>();
  #heldBytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** False when there is no room: `allowance.retry` is called once there may be. */
  reserve(allowance: ReplyAllowance, length: number): boolean {
    const isGuaranteed = allowance.heldBytes === 0 && length <= REPLY_BYTES_GUARANTEED;
    // A reply longer than the whole budget goes through alone rather than never.
    const fits = this.#heldBytes + length <= this.#bytesMax || this.#heldBytes === 0;
    if (!isGuaranteed && !fits) {
      this.#waiting.add(allowance);
      return false;
    }
    allowance.heldBytes += length;
    this.#heldBytes += length;
    return true;
  }

  release(allowance: ReplyAllowance, length: number): void {
    assert(length <= allowance.heldBytes, 'a connection releases more than it holds');
    allowance.heldBytes -= length;
    this.#heldBytes -= length;
    if (this.#waiting.size === 0) return;
    const woken = [...this.#waiting];
    this.#waiting.clear();
    for (const other of woken) other.retry();
  }

  /** The connection is gone, with whatever it held. */
  leave(allowance: ReplyAllowance): void {
    this.#waiting.delete(allowance);
    this.release(allowance, allowance.heldBytes);
  }
}
