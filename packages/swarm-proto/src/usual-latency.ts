/** What is in time for a peer on trial: compared with how long pieces take from all peers. */

/** A peer on trial must not take longer than this many times the mean of all. */
const IN_TIME_FACTOR = 4;
/** Answers that the mean covers. */
const ANSWERS = 32;

export class UsualLatency {
  readonly #minMs: number;
  #meanMs = 0;

  /** What takes no longer than `minMs` is in time in any case. */
  constructor(minMs: number) {
    this.#minMs = minMs;
  }

  /** A piece came this long after it was asked for; returns whether that is in time. */
  add(latencyMs: number): boolean {
    const isInTime = latencyMs <= Math.max(this.#minMs, IN_TIME_FACTOR * this.#meanMs);
    this.#meanMs += (latencyMs - this.#meanMs) / ANSWERS;
    return isInTime;
  }
}
