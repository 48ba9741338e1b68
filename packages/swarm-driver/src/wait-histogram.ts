/** How long reads waited that could not be answered at once: a few counters, one comparison or two per such read. */

/** Seconds: from what a piece takes in one rack to what QEMU's guests complain of (a SCSI command of Linux: 30 s). */
export const WAIT_BOUNDS_SECONDS = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
] as const;

export class WaitHistogram {
  /** Reads per bucket, not cumulated; the last is beyond all bounds. */
  readonly counts: number[] = new Array(WAIT_BOUNDS_SECONDS.length + 1).fill(0);
  sumSeconds = 0;

  add(waitMs: number): void {
    const seconds = waitMs / 1_000;
    let at = 0;
    while (at < WAIT_BOUNDS_SECONDS.length && seconds > WAIT_BOUNDS_SECONDS[at]) at += 1;
    this.counts[at] += 1;
    this.sumSeconds += seconds;
  }
}
