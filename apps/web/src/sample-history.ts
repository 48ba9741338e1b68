/**
 * The last minutes by the second, put together from what the overview stream sends: all of it at first, then the last seconds
 * again and again, as late reports change them. Knows no clock.
 */
import type { StormSample } from '@bootswarm/tracker';

/** As many as the tracker keeps. */
export const HISTORY_SECONDS = 300;
/** Nodes report every 2 s: what is newer lacks reports that are still to come, and would always seem to fall. */
export const LATE_SECONDS = 2;

/** Columns of the same length, the oldest first; one entry per second. */
export interface HistoryColumns {
  /** Seconds since 1970. */
  readonly at: number[];
  readonly vmsBooting: number[];
  /** Bytes in that second: what guests read of their node's cache, and what nodes received. */
  readonly cache: number[];
  readonly peers: number[];
  readonly origin: number[];
  /** Percent of what nodes received that came from the origin; null where they received nothing. */
  readonly originPercent: (number | null)[];
}

export class SampleHistory {
  #samples = new Map<number, StormSample>();

  /** The tracker has begun anew: what it does not know is forgotten. */
  replace(samples: readonly StormSample[]): void {
    this.#samples.clear();
    this.merge(samples);
  }

  merge(samples: readonly StormSample[]): void {
    let newest = Number.NEGATIVE_INFINITY;
    for (const sample of samples) {
      this.#samples.set(sample.at, sample);
      newest = Math.max(newest, sample.at);
    }
    for (const at of this.#samples.keys()) {
      if (at <= newest - HISTORY_SECONDS) this.#samples.delete(at);
    }
  }

  columns(): HistoryColumns {
    const all = [...this.#samples.values()].sort((a, b) => a.at - b.at);
    const samples = all.slice(0, Math.max(0, all.length - LATE_SECONDS));
    return {
      at: samples.map(({ at }) => at),
      vmsBooting: samples.map(({ vmsBooting }) => vmsBooting),
      cache: samples.map(({ read }) => read.cache),
      peers: samples.map(({ received }) => received.peers),
      origin: samples.map(({ received }) => received.origin),
      originPercent: samples.map(({ received: { peers, origin } }) =>
        peers + origin === 0 ? null : (100 * origin) / (peers + origin),
      ),
    };
  }
}
