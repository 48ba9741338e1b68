/** What guests saw of a storm, simulated or real. */
import { percentile } from './percentile.ts';

/** A guest, or a node that fetches the whole image. Times are milliseconds of any one clock. */
export interface Boot {
  readonly node: number;
  readonly startAt: number;
  readonly readyAt: number | undefined;
  readonly stallsMs: readonly number[];
}

export interface GuestFigures {
  /** Guests, or nodes that fetch the whole image. */
  readonly vms: number;
  /** After the first of all arrivals; Infinity when one is not ready. This and the next three are NaN where there is no guest. */
  readonly lastVmSeconds: number;
  /** From each guest's own arrival on. */
  readonly meanVmSeconds: number;
  readonly p99VmSeconds: number;
  readonly p999VmSeconds: number;
  /** Of the reads that were not at hand. */
  readonly readStallMsP50: number;
  readonly readStallMsP99: number;
  readonly readStallMsP999: number;
}

/** So many times `whole`; nothing of nothing is 0. */
export function timesOf(part: number, whole: number): number {
  return part === 0 ? 0 : part / whole;
}

/** `beginAt`: when the first of all guests arrived. */
export function guestFigures(boots: readonly Boot[], beginAt: number): GuestFigures {
  const seconds = boots
    .map(({ readyAt = Infinity, startAt }) => (readyAt - startAt) / 1_000)
    .sort((a, b) => a - b);
  const stalls = boots.flatMap(({ stallsMs }) => stallsMs).sort((a, b) => a - b);
  const last = boots.reduce((max, { readyAt = Infinity }) => Math.max(max, readyAt), 0);
  const isNobody = boots.length === 0;
  return {
    vms: boots.length,
    lastVmSeconds: isNobody ? Number.NaN : (last - beginAt) / 1_000,
    meanVmSeconds: seconds.reduce((sum, each) => sum + each, 0) / seconds.length,
    p99VmSeconds: isNobody ? Number.NaN : percentile(seconds, 0.99),
    p999VmSeconds: isNobody ? Number.NaN : percentile(seconds, 0.999),
    readStallMsP50: percentile(stalls, 0.5),
    readStallMsP99: percentile(stalls, 0.99),
    readStallMsP999: percentile(stalls, 0.999),
  };
}
