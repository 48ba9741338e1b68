/**
 * How far a peer is trusted to bring what it is asked for. One that fails is left alone for a while, twice as long each time, and
 * then tried with a single piece; each one that comes in time doubles what it may owe us, until it is as good as any other.
 */

/** First pause after a failure; long against a hedge, short against a boot. */
const PAUSE_MIN_MS = 1_000;
const PAUSE_MAX_MS = 64_000;

export class Standing {
  #pauseMs = 0;
  #avoidedUntil = 0;
  /** Requests it may have open; Infinity when nothing is held against it. */
  #allowance = Infinity;

  isAvoided(now: number): boolean {
    return this.#avoidedUntil > now;
  }

  /** Whether it may be asked for one more while it has `open` requests. */
  allows(open: number): boolean {
    return open < this.#allowance;
  }

  /** It was silent, slow, or did not give what it has. */
  failed(now: number): void {
    this.#pauseMs = Math.min(PAUSE_MAX_MS, Math.max(PAUSE_MIN_MS, 2 * this.#pauseMs));
    this.#avoidedUntil = Math.max(this.#avoidedUntil, now + this.#pauseMs);
    this.#allowance = 1;
  }

  /** It says itself that it cannot serve for this long: nothing to punish, and no reason to try before. */
  declined(now: number, forMs: number): void {
    this.#avoidedUntil = Math.max(this.#avoidedUntil, now + forMs);
    this.#allowance = 1;
  }

  /** A piece came from it; `isInTime` compared with what others take. */
  answered(now: number, isInTime: boolean, requestsMax: number): void {
    if (this.#allowance === Infinity || this.isAvoided(now)) return;
    if (!isInTime) return this.failed(now);
    this.#allowance *= 2;
    if (this.#allowance < requestsMax) return;
    this.#allowance = Infinity;
    this.#pauseMs = 0;
  }
}
