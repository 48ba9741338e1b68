/**
 * What this node has moved over all its images, also those that have left it: sums that never go back. Sessions count; here is
 * added what they have counted since the last look.
 */
import type { ImageSession, SessionCounters } from '../image-session.ts';

/** `read.cache`, `received.zone.demand`, `originRequests.tree-root`, … */
type Counts = Map<string, number>;

export interface OriginReadCount {
  readonly image: string;
  readonly reason: string;
  pieces: number;
}

/** Images times reasons: more is told with the next report. */
const ORIGIN_READS_MAX = 1_024;

export class NodeTotals {
  readonly #totals: Counts = new Map();
  readonly #seen = new WeakMap<ImageSession, Counts>();
  /** Since they were taken. */
  #originReads = new Map<string, OriginReadCount>();

  update(sessions: Iterable<ImageSession>): void {
    for (const session of sessions) {
      const now: Counts = new Map();
      flatten(now, '', session.counters());
      const then = this.#seen.get(session);
      this.#seen.set(session, now);
      for (const [key, value] of now) {
        const more = value - (then?.get(key) ?? 0);
        if (more <= 0) continue;
        this.#totals.set(key, this.of(key) + more);
        if (key.startsWith(REASON_PREFIX)) this.#addOriginRead(session.id, key, more);
      }
    }
  }

  of(key: string): number {
    return this.#totals.get(key) ?? 0;
  }

  /** Those whose key begins so, by the rest of the key. */
  under(prefix: string): Map<string, number> {
    const found = new Map<string, number>();
    for (const [key, value] of this.#totals) {
      if (key.startsWith(prefix)) found.set(key.slice(prefix.length), value);
    }
    return found;
  }

  sum(prefix: string): number {
    let sum = 0;
    for (const value of this.under(prefix).values()) sum += value;
    return sum;
  }

  /** At most `countMax` of what was asked of the origin and not taken yet. */
  takeOriginReads(countMax: number): OriginReadCount[] {
    const taken = [...this.#originReads].slice(0, countMax);
    for (const [key] of taken) this.#originReads.delete(key);
    return taken.map(([, count]) => count);
  }

  dropOriginReads(): void {
    this.#originReads.clear();
  }

  #addOriginRead(image: string, key: string, pieces: number): void {
    const reason = key.slice(REASON_PREFIX.length);
    const name = `${image} ${reason}`;
    const known = this.#originReads.get(name);
    if (known) known.pieces += pieces;
    else if (this.#originReads.size < ORIGIN_READS_MAX) {
      this.#originReads.set(name, { image, reason, pieces });
    }
  }
}

const REASON_PREFIX: `${keyof SessionCounters & 'originRequests'}.` = 'originRequests.';

function flatten(into: Counts, prefix: string, values: object): void {
  for (const [key, value] of Object.entries(values)) {
    if (typeof value === 'number') into.set(prefix + key, value);
    else flatten(into, `${prefix}${key}.`, value);
  }
}
