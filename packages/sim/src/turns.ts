/**
 * Whose turn it is on a shared capacity: round robin by bytes, not by messages (deficit round robin, Shreedhar and Varghese
 * 1995), so that a stream of small messages gets as much as one of large ones. Knows neither rates nor time.
 */
import type { BytesPerMs } from './network.ts';

/** A piece of 64 KiB fits with its header, which would otherwise be a segment of its own, and three events. */
export const QUANTUM_BYTES_MAX = 65 * 1024;
const FRAME_BYTES = 1538;
/**
 * How long packets wait before a slow NIC, by TCP's own smoothed round trips: 16 ms on average, 6 to 27, in the lab at 20 Mbit/s
 * where the empty way takes 0.1. Linux with BBR lets most of a piece of 64 KiB lie there, not all.
 */
const QUANTUM_MS = 16;

/** The most that leaves in one go at that rate: small messages of other streams wait no longer than this. */
export function quantumBytesAt(rate: BytesPerMs): number {
  return Math.min(QUANTUM_BYTES_MAX, Math.max(FRAME_BYTES, rate * QUANTUM_MS));
}

/** What one stream has at one capacity. */
export interface Lane<L> {
  /** Bytes it may still send in this turn; what it sent beyond comes off the next one. */
  credit: number;
  isInTurns: boolean;
  nextLane: L | undefined;
}

export class Turns<L extends Lane<L>> {
  /** What a turn is worth. */
  quantumBytes = QUANTUM_BYTES_MAX;
  #first: L | undefined = undefined;
  #last: L | undefined = undefined;

  /** The lane whose turn it is. */
  get first(): L | undefined {
    return this.#first;
  }

  /** Last in the round, unless it has its place already. */
  join(lane: L): void {
    if (lane.isInTurns) return;
    lane.isInTurns = true;
    lane.credit = this.quantumBytes;
    this.#append(lane);
  }

  /** The first lane has sent `bytes` (up to a quantum), and has nothing more to send unless `hasMore`. */
  spend(bytes: number, hasMore: boolean): void {
    const lane = this.#first!;
    lane.credit -= bytes;
    if (!hasMore) {
      this.#removeFirst();
      lane.isInTurns = false;
    } else if (lane.credit <= 0) {
      lane.credit += this.quantumBytes;
      this.#removeFirst();
      this.#append(lane);
    }
  }

  #append(lane: L): void {
    if (this.#last === undefined) this.#first = lane;
    else this.#last.nextLane = lane;
    this.#last = lane;
  }

  #removeFirst(): void {
    const lane = this.#first!;
    this.#first = lane.nextLane;
    if (this.#first === undefined) this.#last = undefined;
    lane.nextLane = undefined;
  }
}
