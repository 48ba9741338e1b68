/**
 * Whose turn it is on a shared capacity: round robin by bytes, not by messages (deficit round robin, Shreedhar and Varghese
 * 1995), so that a stream of small messages gets as much as one of large ones. Says what a turn is worth; knows no time.
 */
import type { BytesPerMs } from './network.ts';

/** A piece of 64 KiB fits with its header, which would otherwise be a segment of its own, and three events. */
export const QUANTUM_BYTES_MAX = 65 * 1024;
/**
 * What lies before a NIC: in the lab at 20 Mbit/s TCP's own smoothed round trips are 6 to 27 ms, 16 on average, where the empty
 * way takes 0.1. Linux with BBR lets most of a piece lie there, not all; in turns of whole pieces all nodes keep step as they
 * do not in life.
 */
const QUANTUM_BYTES = 40_000;
/** From here on, 0.8 Gbit/s, it makes 0.2 ms of difference, and whole pieces a third of the events. */
const FAST: BytesPerMs = 100_000;

/** The most that leaves in one go at that rate: other streams wait no longer than this for their turn. */
export function quantumBytesAt(rate: BytesPerMs): number {
  return rate >= FAST ? QUANTUM_BYTES_MAX : QUANTUM_BYTES;
}

/** What one stream has at one capacity. */
export interface Lane<L> {
  /** Bytes it may still send in this turn; what it sent beyond comes off the next one. */
  credit: number;
  isInTurns: boolean;
  nextLane: L | undefined;
}

export class Turns<L extends Lane<L>> {
  #first: L | undefined = undefined;
  #last: L | undefined = undefined;

  /** The lane whose turn it is. */
  get first(): L | undefined {
    return this.#first;
  }

  /** Last in the round, unless it has its place already; a turn is worth `quantumBytes`. */
  join(lane: L, quantumBytes: number): void {
    if (lane.isInTurns) return;
    lane.isInTurns = true;
    lane.credit = quantumBytes;
    this.#append(lane);
  }

  /** The first lane has sent `bytes` (up to a quantum), and has nothing more to send unless `hasMore`. */
  spend(bytes: number, hasMore: boolean, quantumBytes: number): void {
    const lane = this.#first!;
    lane.credit -= bytes;
    if (!hasMore) {
      this.#removeFirst();
      lane.isInTurns = false;
    } else if (lane.credit <= 0) {
      lane.credit += quantumBytes;
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
