/** How many messages about boots a node may send its tracker: one budget for all its images and VMs. */

/** 160 a second: half of what the tracker takes from an agent. */
const MESSAGES_PER_INTERVAL = 8;
const INTERVAL_MS = 50;

export class TouchBudget {
  #intervalEnds = 0;
  #left = MESSAGES_PER_INTERVAL;

  /** Whether one may be sent now. */
  isOpen(now: number): boolean {
    if (now >= this.#intervalEnds) {
      this.#intervalEnds = now + INTERVAL_MS;
      this.#left = MESSAGES_PER_INTERVAL;
    }
    return this.#left > 0;
  }

  /** One is sent. */
  take(): void {
    this.#left -= 1;
  }

  /** When one may be sent, as of the last isOpen(). */
  get openAt(): number {
    return this.#left > 0 ? 0 : this.#intervalEnds;
  }
}
