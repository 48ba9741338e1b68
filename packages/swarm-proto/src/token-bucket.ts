/** A rate with a burst: takes are allowed while there is anything left, and may go below zero, which the next ones wait for. */
export class TokenBucket {
  #perMs: number;
  #burst: number;
  #level: number;
  #filledAt = 0;

  /** `perMs` and `burst` are in one unit, any; times in ms. `perMs` may be Infinity: then it is never empty. */
  constructor(perMs: number, burst: number) {
    this.#perMs = perMs;
    this.#burst = burst;
    this.#level = burst;
  }

  /** Another rate and burst from now on; what has been taken stays taken. */
  reset(perMs: number, burst: number, now: number): void {
    if (this.#perMs !== Infinity) this.#fill(now);
    this.#perMs = perMs;
    this.#burst = burst;
    this.#level = Math.min(this.#level, burst);
    this.#filledAt = now;
  }

  take(amount: number, now: number): void {
    if (this.#perMs === Infinity) return;
    this.#fill(now);
    this.#level -= amount;
  }

  /** Adds what was earned outside of time, up to the burst. */
  give(amount: number): void {
    this.#level = Math.min(this.#burst, this.#level + amount);
  }

  isEmpty(now: number): boolean {
    if (this.#perMs === Infinity) return false;
    this.#fill(now);
    return this.#level <= 0;
  }

  /** When it is no longer empty. */
  refilledAt(now: number): number {
    this.#fill(now);
    // A bit more than the division says, lest rounding leave it empty.
    return this.#level > 0 ? now : now + (1 - this.#level) / this.#perMs;
  }

  #fill(now: number): void {
    this.#level = Math.min(this.#burst, this.#level + (now - this.#filledAt) * this.#perMs);
    this.#filledAt = now;
  }
}
