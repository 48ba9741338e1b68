/**
 * Tells the tracker what happened on this node: once when it is welcomed, then at most every 2 s, and only while there is
 * anything to tell. Ten thousand idle nodes say nothing.
 */
import {
  type NodeAlarm,
  type NodeReport,
  ORIGIN_READS_MAX,
  reportText,
} from '@bootswarm/tracker-proto';
import type { NodeTotals } from './node-totals.ts';

export interface ReporterFacts {
  readonly vmsBooting: number;
  readonly vmsConnected: number;
  readonly cacheBytes: number;
  readonly cacheBytesMax: number;
  readonly alarms: readonly NodeAlarm[];
}

type Amounts = Pick<
  NodeReport,
  'readCache' | 'readPeers' | 'readOrigin' | 'receivedPeers' | 'receivedOrigin'
>;

const REPORT_EVERY_MS = 2_000;
/** A cache that is measured anew is no news by itself. */
const CACHE_BYTES_STEP = 16 * 1024 * 1024;

export class NodeReporter {
  readonly #totals: NodeTotals;
  #base: Amounts;
  #sentAt = 0;
  #told: string | undefined;

  constructor(totals: NodeTotals) {
    this.#totals = totals;
    this.#base = amountsOf(totals);
  }

  /** A tracker has welcomed us, which knows nothing: what was before is not told. Totals are as of now. */
  restart(now: number): void {
    this.#base = amountsOf(this.#totals);
    this.#totals.dropOriginReads();
    this.#sentAt = now;
    this.#told = undefined;
  }

  /** The report that is due, if one is. `now` in milliseconds of any clock. */
  due(facts: ReporterFacts, now: number): NodeReport | undefined {
    const isFirst = this.#told === undefined;
    const sinceMs = Math.round(now - this.#sentAt);
    if (!isFirst && sinceMs < REPORT_EVERY_MS) return undefined;
    const totals = amountsOf(this.#totals);
    const more = differenceOf(totals, this.#base);
    const originReads = this.#totals.takeOriginReads(ORIGIN_READS_MAX);
    const cacheSteps = Math.round(facts.cacheBytes / CACHE_BYTES_STEP);
    const told = JSON.stringify({ ...facts, cacheBytes: cacheSteps });
    const hasMoved = Object.values(more).some((bytes) => bytes > 0) || originReads.length > 0;
    if (!hasMoved && told === this.#told) return undefined;
    this.#base = totals;
    this.#sentAt = now;
    this.#told = told;
    // After a pause it happened just now, not during the pause.
    const intervalMs = Math.min(REPORT_EVERY_MS, sinceMs);
    const alarms = facts.alarms.map(({ code, subject, reason, hint, since }) => ({
      ...{ code, subject: reportText(subject), reason: reportText(reason) },
      ...{ hint: reportText(hint), since },
    }));
    return { ...facts, ...more, intervalMs, originReads, alarms };
  }
}

function amountsOf(totals: NodeTotals): Amounts {
  const receivedOrigin = totals.sum('received.origin.') + totals.of('layer.origin');
  return {
    readCache: totals.of('read.cache'),
    readPeers: totals.of('read.peers'),
    readOrigin: totals.of('read.origin'),
    receivedPeers: totals.sum('received.') + totals.sum('layer.') - receivedOrigin,
    receivedOrigin,
  };
}

function differenceOf(now: Amounts, then: Amounts): Amounts {
  return {
    readCache: now.readCache - then.readCache,
    readPeers: now.readPeers - then.readPeers,
    readOrigin: now.readOrigin - then.readOrigin,
    receivedPeers: now.receivedPeers - then.receivedPeers,
    receivedOrigin: now.receivedOrigin - then.receivedOrigin,
  };
}
