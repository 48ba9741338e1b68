/** What the nodes have reported: sums, the last report of each that is connected, why the origin was read. Knows no clock. */
import type { NodeIdentity, NodeReport } from '@bootswarm/tracker-proto';
import { ORIGIN_READS_MAX } from '../overview-api.ts';
import { addAmounts, type Bytes, noBytes } from './storm-history.ts';

export interface ReportedNode {
  last: NodeReport;
  /** Milliseconds since 1970. */
  at: number;
  /** When it last received anything. */
  receivedAt: number;
  readonly read: Bytes;
  readonly received: Bytes;
}

export interface ReportedOriginRead {
  readonly atMs: number;
  readonly node: string;
  readonly image: string;
  readonly reason: string;
  readonly pieces: number;
}

/** Reasons there are eight of; an agent of another version, or one that lies, may have others. */
const REASONS_MAX = 32;

export class NodeReports {
  /** Over all nodes there ever were. */
  readonly read = noBytes();
  readonly received = noBytes();
  readonly originReasons = new Map<string, number>();
  #nodes = new Map<string, ReportedNode>();
  #vmsBooting = 0;
  readonly #originReads: ReportedOriginRead[] = [];

  add({ node }: NodeIdentity, report: NodeReport, nowMs: number): void {
    let known = this.#nodes.get(node);
    if (known === undefined) {
      known = { last: report, at: nowMs, receivedAt: 0, read: noBytes(), received: noBytes() };
      this.#nodes.set(node, known);
      this.#vmsBooting += report.vmsBooting;
    } else {
      this.#vmsBooting += report.vmsBooting - known.last.vmsBooting;
    }
    known.last = report;
    known.at = nowMs;
    if (report.receivedPeers + report.receivedOrigin > 0) known.receivedAt = nowMs;
    addAmounts(known, report);
    addAmounts(this, report);
    for (const { image, reason, pieces } of report.originReads) {
      const counted = this.originReasons.get(reason);
      if (counted !== undefined || this.originReasons.size < REASONS_MAX) {
        this.originReasons.set(reason, (counted ?? 0) + pieces);
      }
      this.#originReads.push({ atMs: nowMs, node, image, reason, pieces });
    }
    const surplus = this.#originReads.length - ORIGIN_READS_MAX;
    if (surplus > 0) this.#originReads.splice(0, surplus);
  }

  /** Nodes that are gone do nothing any more. */
  keep(isConnected: (node: string) => boolean): void {
    for (const [node, { last }] of this.#nodes) {
      if (isConnected(node)) continue;
      this.#nodes.delete(node);
      this.#vmsBooting -= last.vmsBooting;
    }
  }

  get(node: string): ReportedNode | undefined {
    return this.#nodes.get(node);
  }

  get all(): ReadonlyMap<string, ReportedNode> {
    return this.#nodes;
  }

  get vmsBooting(): number {
    return this.#vmsBooting;
  }

  /** The newest first. */
  get originReads(): ReportedOriginRead[] {
    return this.#originReads.toReversed();
  }
}
