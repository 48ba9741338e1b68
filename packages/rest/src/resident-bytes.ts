/**
 * The memory of this process. Linux tells it in a file, so that a process without a file descriptor to spare cannot ask: whoever
 * wants to know how it is doing then gets what was last known, and nobody dies of the question.
 */
let lastKnown = 0;

export function residentBytes(): number {
  try {
    lastKnown = process.memoryUsage.rss();
  } catch {
    // EMFILE, ENFILE: of the system, or of our limit.
  }
  return lastKnown;
}
