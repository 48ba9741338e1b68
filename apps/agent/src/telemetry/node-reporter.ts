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
  #base: Amounts | undefined;
  #sentAt = 0;
  #told = '';

  constructor(totals: NodeTotals) {
    this.#totals = totals;
  }

  /** A tracker has welcomed us, which knows nothing: what was before is not told. */
  restart(): void {
    this.#base = undefined;
  }

  /** The report that is due, if one is. `now` in milliseconds of any clock. */
  due(facts: ReporterFacts, now: number): NodeReport | undefined {
    const base = this.#base;
    if (base !== undefined && now - this.#sentAt < REPORT_EVERY_MS) return undefined;
    const totals = amountsOf(this.#totals);
    if (base === undefined) this.#totals.dropOriginReads();
    const more = base === undefined ? NOTHING : differenceOf(totals, base);
    const originReads = this.#totals.takeOriginReads(ORIGIN_READS_MAX);
    const told = JSON.stringify({
      ...facts,
      cacheBytes: Math.round(facts.cacheBytes / CACHE_BYTES_STEP),
    });
    const hasMoved = Object.values(more).some((bytes) => bytes > 0) || originReads.length > 0;
    if (base !== undefined && !hasMoved && told === this.#told) return undefined;
    // After a pause it happened just now, not during the pause.
    const intervalMs =
      base === undefined ? 0 : Math.min(REPORT_EVERY_MS, Math.round(now - this.#sentAt));
    this.#base = totals;
    this.#sentAt = now;
    this.#told = told;
    const alarms = facts.alarms.map(({ code, subject, reason, hint, since }) => ({
      ...{ code, subject: reportText(subject), reason: reportText(reason) },
      ...{ hint: reportText(hint), since },
    }));
    return { ...facts, ...more, intervalMs, originReads, alarms };
  }
}

const NOTHING: Amounts = {
  readCache: 0,
  readPeers: 0,
  readOrigin: 0,
  receivedPeers: 0,
  receivedOrigin: 0,
};

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
