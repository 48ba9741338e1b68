/** The figures of a real storm, under the names that packages/sim gives them, so that the two can be held against each other. */
import type { ImageStatus } from '@bootswarm/agent';
import { percentile, type StormResult, type TracePieces } from '@bootswarm/sim';
import type { LabLoadReport } from './lab-load.ts';

/** What a simulated storm knows and a real one does not: each event, and which source ended which read. */
type OnlySimulated = 'stallsBySource' | 'bans' | 'eventLogHash' | 'events';

export interface RealStormResult extends Omit<StormResult, OnlySimulated> {
  /** What a real storm knows besides. */
  readonly real: RealFigures;
}

export interface RealFigures extends LabLoadReport {
  readonly originRequests: Readonly<Record<string, number>>;
  readonly bytesFromPeers: number;
  readonly bytesFromOrigin: number;
  readonly bytesWasted: number;
  /** What the NIC of origin and tracker sent, in frames, over the bytes of pieces that it sent. */
  readonly originWireRatio: number;
  readonly packetsDropped: number;
  readonly segmentsRetransmitted: number;
}

/** All guests of one storm, in order of arrival. */
export interface PlayedStorm {
  readonly boots: readonly {
    /** Both in milliseconds after the first guest arrived. */
    readonly arrivedAt: number;
    readonly readyAt: number;
    readonly stallsMs: readonly number[];
  }[];
}

/** Everything counted since the lab began. */
export interface Traffic {
  readonly originBytes: number;
  readonly storeBytesSent: number;
  readonly packetsDropped: number;
  readonly segmentsRetransmitted: number;
  /** Of each agent; undefined before it knows the image. */
  readonly images: readonly (ImageStatus | undefined)[];
}

export interface RealStormParts {
  readonly cold: PlayedStorm;
  readonly warm: PlayedStorm;
  readonly before: Traffic;
  readonly after: Traffic;
  readonly load: LabLoadReport;
  readonly pieces: TracePieces;
  /** The slower NIC's, bytes per second. */
  readonly nicBytesPerSecond: number;
}

export function realResult(parts: RealStormParts): RealStormResult {
  const { cold, warm, before, after, pieces } = parts;
  const vmSeconds = cold.boots.map(({ arrivedAt, readyAt }) => (readyAt - arrivedAt) / 1_000);
  const stalls = ascending(cold.boots.flatMap(({ stallsMs }) => stallsMs));
  const [lastVmSeconds, warmLastVmSeconds] = [cold, warm].map(lastReadySeconds);
  const neededBytes = sumOf(pieces.touched.map((index) => bytesOf(pieces, index)));
  const originBytes = after.originBytes - before.originBytes;
  return {
    lastVmSeconds,
    meanVmSeconds: sumOf(vmSeconds) / vmSeconds.length,
    p99VmSeconds: percentile(ascending(vmSeconds), 0.99),
    warmLastVmSeconds,
    coldWarmRatio: lastVmSeconds / warmLastVmSeconds,
    originBytes,
    neededBytes,
    originRatio: originBytes / neededBytes,
    readStallMsP50: percentile(stalls, 0.5),
    readStallMsP99: percentile(stalls, 0.99),
    readStallMsP999: percentile(stalls, 0.999),
    prefetchedUnusedRatio: unusedRatio(after),
    fluidLimitSeconds: neededBytes / parts.nicBytesPerSecond,
    vmSeconds,
    real: realFigures(parts, originBytes),
  };
}

function realFigures({ before, after, load }: RealStormParts, originBytes: number): RealFigures {
  const since = (figure: Counter) => countOf(after, figure) - countOf(before, figure);
  return {
    ...load,
    originRequests: originRequests(before, after),
    bytesFromPeers: since('bytesFromPeers'),
    bytesFromOrigin: since('bytesFromOrigin'),
    bytesWasted: since('bytesWasted'),
    originWireRatio: (after.storeBytesSent - before.storeBytesSent) / originBytes,
    packetsDropped: after.packetsDropped - before.packetsDropped,
    segmentsRetransmitted: after.segmentsRetransmitted - before.segmentsRetransmitted,
  };
}

type Counter = 'bytesFromPeers' | 'bytesFromOrigin' | 'bytesWasted';

function countOf({ images }: Traffic, counter: Counter): number {
  return sumOf(images.map((image) => image?.[counter] ?? 0));
}

function originRequests(before: Traffic, after: Traffic): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const [sign, { images }] of [
    [-1, before],
    [1, after],
  ] as const) {
    for (const [reason, count] of images.flatMap((image) =>
      Object.entries(image?.originRequests ?? {}),
    )) {
      sum[reason] = (sum[reason] ?? 0) + sign * count;
    }
  }
  return sum;
}

function lastReadySeconds({ boots }: PlayedStorm): number {
  return Math.max(...boots.map(({ readyAt }) => readyAt)) / 1_000;
}

function unusedRatio({ images }: Traffic): number {
  const brought = sumOf(images.map((image) => (image ? image.piecesHad - image.zeroPieces : 0)));
  const used = sumOf(images.map((image) => image?.piecesTouched ?? 0));
  // A piece that a guest has just got may not be recorded yet.
  return used === 0 ? 0 : Math.max(0, brought - used) / used;
}

function bytesOf({ pieceCount, pieceLength, length }: TracePieces, pieceIndex: number): number {
  return pieceIndex === pieceCount - 1 ? length - pieceIndex * pieceLength : pieceLength;
}

function ascending(values: readonly number[]): number[] {
  return values.toSorted((a, b) => a - b);
}

function sumOf(values: readonly number[]): number {
  return values.reduce((sum, each) => sum + each, 0);
}
