/**
 * For how long a link was busy since some moment of the near past. What is known is bounded: of long ago only that it was busy,
 * not when.
 */

/** Passings kept apart, far more than there are while one segment arrives. */
const PASSINGS_MAX = 32;

export class BusyTimes {
  /** A ring, oldest first. */
  readonly #from = new Float64Array(PASSINGS_MAX);
  readonly #until = new Float64Array(PASSINGS_MAX);
  readonly #busyMs = new Float64Array(PASSINGS_MAX);
  #first = 0;
  #count = 0;

  /** It was busy for `busyMs` somewhere between two moments, of which `until` is not before those added earlier. */
  add(from: number, until: number, busyMs: number): void {
    if (this.#count === PASSINGS_MAX) this.#mergeOldest();
    const at = (this.#first + this.#count) % PASSINGS_MAX;
    this.#from[at] = from;
    this.#until[at] = until;
    this.#busyMs[at] = busyMs;
    this.#count += 1;
  }

  /** Milliseconds; what lies on both sides of the moment counts as if it had been as late as it can. */
  since(moment: number): number {
    let sum = 0;
    for (let index = this.#count - 1; index >= 0; index -= 1) {
      const at = (this.#first + index) % PASSINGS_MAX;
      if (this.#until[at] <= moment) break;
      const busyMs = this.#busyMs[at];
      sum += this.#from[at] >= moment ? busyMs : Math.min(busyMs, this.#until[at] - moment);
    }
    return sum;
  }

  clear(): void {
    this.#count = 0;
  }

  #mergeOldest(): void {
    const oldest = this.#first;
    const next = (oldest + 1) % PASSINGS_MAX;
    this.#from[next] = this.#from[oldest];
    this.#busyMs[next] += this.#busyMs[oldest];
    this.#first = next;
    this.#count -= 1;
  }
}
