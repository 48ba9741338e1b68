/**
 * Whether this node holds up those it relays to: it gives on far less than it takes in, while one of them waits. A node knows
 * that of itself at once and for certain; to its children a slow parent looks like a parent that waits for its own.
 */
import type { UploadMark } from './upload-queue.ts';

/** Long against a burst that a send buffer takes, short against a boot. */
const WAIT_MIN_MS = 150;
/** A node whose uplink carries less than this share of what its downlink brings is no relay. */
const SHARE_MIN = 1 / 4;

/**
 * `waiting`: when the request that waits longest could have been sent. `now`: the same for the present moment. `bytesPerMsIn`:
 * what our best source brings us.
 */
export function isBottleneck(waiting: UploadMark, now: UploadMark, bytesPerMsIn: number): boolean {
  const waitedMs = now.at - waiting.at;
  if (waitedMs < WAIT_MIN_MS) return false;
  const bytesPerMsOut = (now.bytesSent - waiting.bytesSent) / waitedMs;
  return bytesPerMsOut < bytesPerMsIn * SHARE_MIN;
}
