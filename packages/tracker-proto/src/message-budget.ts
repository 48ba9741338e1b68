/** How many messages one agent may still send: a token bucket on the registry's clock. */

export class MessageBudget {
  readonly #perSecond: number;
  readonly #max: number;
  #tokens: number;
  #countedAt: number;

  /** Starts full, with `max` messages. */
  constructor(perSecond: number, max: number, now: number) {
    this.#perSecond = perSecond;
    this.#max = max;
    this.#tokens = max;
    this.#countedAt = now;
  }

  /** Takes one message off; returns false when there is none. */
  spend(now: number): boolean {
    const earned = ((now - this.#countedAt) / 1_000) * this.#perSecond;
    this.#tokens = Math.min(this.#max, this.#tokens + earned);
    this.#countedAt = now;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
