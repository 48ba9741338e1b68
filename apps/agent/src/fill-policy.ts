/**
 * When a node fetches what no guest has asked for: never, always, or once its guests have missed nothing for a while, so that
 * fill and boots do not meet. Of an image that no guest of this node wants, as it was joined ahead, it fetches nothing.
 */

export const FILL_MODES = ['idle', 'always', 'never'] as const;
export type FillMode = (typeof FILL_MODES)[number];

/** A guest that boots reads something new at least every few seconds; one that has been quiet for this long runs. */
export const FILL_IDLE_MS = 30_000;

export class FillPolicy {
  readonly #mode: FillMode;
  #quietSince: number;
  #readsMissed = 0;
  #isFilling = false;

  constructor(mode: FillMode, now: number) {
    this.#mode = mode;
    this.#quietSince = now;
  }

  /**
   * Called about once a second with the number of reads that ever missed and of those that wait now, and whether a guest of this
   * node wants the image; returns the new setting when it changes.
   */
  update(
    readsMissed: number,
    readsWaiting: number,
    isWanted: boolean,
    now: number,
    /** Somebody waits for all of it: guests that boot are served first anyway. */
    isOrdered = false,
  ): boolean | undefined {
    if (!isWanted || readsMissed !== this.#readsMissed || readsWaiting > 0) this.#quietSince = now;
    this.#readsMissed = readsMissed;
    const isFilling =
      isOrdered ||
      (isWanted &&
        (this.#mode === 'always' ||
          (this.#mode === 'idle' && now - this.#quietSince >= FILL_IDLE_MS)));
    if (isFilling === this.#isFilling) return undefined;
    this.#isFilling = isFilling;
    return isFilling;
  }
}
