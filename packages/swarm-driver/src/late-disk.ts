/**
 * When a guest's read of what the cache has should go to the swarm: after the disk has not answered for a while, and at once as
 * long as it has not answered another.
 */

/** As long as a request to a peer may take before another is asked. */
const LATE_MS = 250;

export interface WatchedRead {
  /** The disk has answered, one way or the other. Returns whether it was late. */
  over(): boolean;
}

export class LateDisk {
  /** Reads that are late and not over. */
  #lateCount = 0;

  /** Calls `onLate` once, now or later, unless the read is over before. */
  watch(onLate: () => void): WatchedRead {
    let isLate = false;
    const late = (): void => {
      isLate = true;
      this.#lateCount += 1;
      onLate();
    };
    if (this.#lateCount > 0) late();
    const timer = isLate ? undefined : setTimeout(late, LATE_MS);
    return {
      over: () => {
        clearTimeout(timer);
        if (isLate) this.#lateCount -= 1;
        return isLate;
      },
    };
  }
}
