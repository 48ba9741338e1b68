/**
 * Whether this node holds up those it relays to: it gives on far less than it takes in, while they wait. A node knows that of itself
 * at once and for certain; to its children a slow parent looks like a parent that waits for its own.
 */

/** Long against a burst that a send buffer takes, short against a boot. */
const WATCH_MS = 150;
/** A node whose uplink carries less than this share of what its downlink brings is no relay. */
const SHARE_MIN = 1 / 4;

export class Bottleneck {
  #backlogSince = Infinity;
  #bytesSentThen = 0;

  /**
   * To be told now and then, at least every WATCH_MS / 2 while it matters. `isBacklogged`: requests wait that we could answer.
   * `bytesSent`: so far. `bytesPerMsIn`: what our best source brings us. Returns whether we are one.
   */
  watch(now: number, isBacklogged: boolean, bytesSent: number, bytesPerMsIn: number): boolean {
    if (!isBacklogged) {
      this.#backlogSince = Infinity;
      return false;
    }
    if (this.#backlogSince === Infinity) {
      this.#backlogSince = now;
      this.#bytesSentThen = bytesSent;
      return false;
    }
    const elapsedMs = now - this.#backlogSince;
    if (elapsedMs < WATCH_MS) return false;
    const bytesPerMsOut = (bytesSent - this.#bytesSentThen) / elapsedMs;
    this.#backlogSince = now;
    this.#bytesSentThen = bytesSent;
    return bytesPerMsOut < bytesPerMsIn * SHARE_MIN;
  }
}
