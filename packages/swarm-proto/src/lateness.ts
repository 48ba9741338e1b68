/** When a piece is late: judged by how long demand pieces take at this node, from whomever they come. */
import type { SwarmLimits } from './limits.ts';

/** Shares by which an answer moves the mean and the deviation, as TCP does it (RFC 6298). */
const MEAN_SHARE = 1 / 8;
const DEVIATION_SHARE = 1 / 4;

export class Lateness {
  readonly #limits: SwarmLimits;
  #meanMs = 0;
  #deviationMs = 0;

  constructor(limits: SwarmLimits) {
    this.#limits = limits;
  }

  /** A demand piece came this long after it was asked for, or after a guest came to wait for it. */
  add(latencyMs: number): void {
    const error = latencyMs - this.#meanMs;
    this.#meanMs += error * MEAN_SHARE;
    this.#deviationMs += (Math.abs(error) - this.#deviationMs) * DEVIATION_SHARE;
  }

  /** About twice the 95th percentile, within bounds: a node whose sources are all slow must not take that for normal. */
  get lateAfterMs(): number {
    const { hedgeMinMs, hedgeMaxMs } = this.#limits;
    const usual = 2 * (this.#meanMs + 2 * this.#deviationMs);
    return Math.min(hedgeMaxMs, Math.max(hedgeMinMs, usual));
  }
}
