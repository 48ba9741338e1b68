/** Sends a guest's read of what the cache has to the swarm as well, once the disk is late: now, or while the read waits. */

/** How often a read that waits asks again whether the disk is late. */
const ASK_AGAIN_MS = 250;

export interface WatchedRead {
  /** The disk has answered, one way or the other. Returns whether it was late. */
  over(): boolean;
}

/** Calls `onLate` once, never in this turn, unless the read is over before. */
export function watchDisk(isDiskLate: () => boolean, onLate: () => void): WatchedRead {
  let isLate = false;
  let timer: NodeJS.Timeout | undefined;
  let immediate: NodeJS.Immediate | undefined;
  // After what has arrived: when it was us who were late, the disk has answered by then.
  const askNext = (): void => {
    immediate = setImmediate(ask);
  };
  const ask = (): void => {
    if (!isDiskLate()) {
      timer = setTimeout(askNext, ASK_AGAIN_MS);
      return;
    }
    isLate = true;
    onLate();
  };
  askNext();
  return {
    over: () => {
      clearTimeout(timer);
      clearImmediate(immediate);
      return isLate;
    },
  };
}
