/**
 * Whose turn it is on a shared capacity: round robin by bytes, not by messages (deficit round robin, Shreedhar and Varghese
 * 1995), so that a stream of small messages gets as much as one of large ones. Knows neither rates nor time.
 */

/**
 * The most that leaves in one go: small messages of other streams wait no longer than this, 0.5 ms at 1 Gbit/s. A piece of 64 KiB
 * fits with its header, which would otherwise be a segment of its own, and three events.
 */
export const QUANTUM_BYTES = 65 * 1024;

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

  /** Last in the round, unless it has its place already. */
  join(lane: L): void {
    if (lane.isInTurns) return;
    lane.isInTurns = true;
    lane.credit = QUANTUM_BYTES;
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
      lane.credit += QUANTUM_BYTES;
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
