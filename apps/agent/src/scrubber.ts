/**
 * Has the caches of all images scrubbed, one after the other, no faster than it is told: decides when, and which comes next. What
 * is damaged the store finds out, and the session fetches it again.
 */

/** The cache of one image. */
export interface Scrubbed {
  /** When its next pass may begin. */
  scrubDueAt: number;
  /** Looks at one more piece; resolves to the bytes read, 0 at the end of a pass. */
  scrubNext(): Promise<number>;
}

export interface ScrubberOptions {
  /** Bytes per second read from the disk and hashed; 0 turns it off. */
  readonly bytesPerSecond: number;
  readonly sessions: () => Iterable<Scrubbed>;
}

/**
 * From the end of one pass over an image to the start of the next. Rot is rare: a small cache need not be read all day, and at
 * the default rate a large one takes longer than this anyway.
 */
export const SCRUB_REST_MS = 3_600_000;
/** What may be read at once after a time of rest: a second's worth. */
const BURST_MS = 1_000;

export class Scrubber {
  readonly #options: ScrubberOptions;
  /** Below 0 after a piece that is longer than what was left. */
  #allowance = 0;
  #tickedAt: number | undefined;
  #current: Scrubbed | undefined;
  #running: Promise<void> | undefined;
  #isClosed = false;

  constructor(options: ScrubberOptions) {
    this.#options = options;
  }

  /** About once a second. */
  tick(now: number): void {
    const { bytesPerSecond } = this.#options;
    const elapsedMs = Math.min(now - (this.#tickedAt ?? now), BURST_MS);
    this.#tickedAt = now;
    const earned = (bytesPerSecond * elapsedMs) / 1_000;
    this.#allowance = Math.min(this.#allowance + earned, (bytesPerSecond * BURST_MS) / 1_000);
    if (this.#running !== undefined || this.#allowance <= 0) return;
    this.#running = this.#run(now).finally(() => {
      this.#running = undefined;
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#running;
  }

  async #run(now: number): Promise<void> {
    while (this.#allowance > 0 && !this.#isClosed) {
      this.#current ??= this.#nextDue(now);
      if (this.#current === undefined) return;
      const byteCount = await this.#current.scrubNext();
      this.#allowance -= byteCount;
      if (byteCount > 0) continue;
      this.#current.scrubDueAt = now + SCRUB_REST_MS;
      this.#current = undefined;
    }
  }

  /** Who has waited longest. */
  #nextDue(now: number): Scrubbed | undefined {
    let next: Scrubbed | undefined;
    for (const session of this.#options.sessions()) {
      if (session.scrubDueAt > now) continue;
      if (next === undefined || session.scrubDueAt < next.scrubDueAt) next = session;
    }
    return next;
  }
}
