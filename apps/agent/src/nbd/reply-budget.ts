/**
 * Bounds the memory of replies that wait: for the swarm, or for a client that does not read them. Shared by all connections
 * of an agent, so that a thousand clients cannot hold 64 MiB each. Replies small enough for a connection's own reply buffer,
 * and answered at once, are not counted.
 */
import { assert } from '@bootswarm/stdx';

/** 170 guests that wait with six reads of 64 KiB each; a booting QEMU seldom has more. */
export const REPLY_BYTES_MAX = 64 * 1024 * 1024;

/**
 * A connection may always hold this much, so that clients who hoard the budget cannot stop a guest: 1 MiB and headers,
 * virtio-blk's usual longest request, or 16 of 64 KiB. What all hold above the budget because of it comes to the budget once more
 * at most, for which as many clients must hoard as that has MiB.
 */
export const REPLY_BYTES_GUARANTEED = 1024 * 1024 + 4096;

/** One connection's part of the budget. */
export interface ReplyAllowance {
  /** Bytes reserved and not released. */
  heldBytes: number;
  /** Called when a reservation that was refused may be tried again. */
  readonly retry: () => void;
}

export class ReplyBudget {
  readonly bytesMax: number;
  readonly #waiting = new Set<ReplyAllowance>();
  #heldBytes = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** False when there is no room: `allowance.retry` is called once there may be. */
  reserve(allowance: ReplyAllowance, length: number): boolean {
    const held = allowance.heldBytes + length;
    const total = this.#heldBytes + length;
    const isGuaranteed = held <= REPLY_BYTES_GUARANTEED && total <= 2 * this.bytesMax;
    // Half of what is free: a lone client has a third of the budget, and n of them leave 2 / (n + 2) of it to the next.
    const isFairShare = allowance.heldBytes === 0 || 2 * held <= this.bytesMax - this.#heldBytes;
    // A reply longer than the whole budget goes through alone rather than never.
    const fits = (total <= this.bytesMax && isFairShare) || this.#heldBytes === 0;
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
