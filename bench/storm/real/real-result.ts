/** The figures of a real storm, under the names that packages/sim gives them, so that the two can be held against each other. */
import type { ImageStatus } from '@bootswarm/agent';
import {
  type Boot,
  guestFigures,
  type StormResult,
  type TracePieces,
  timesOf,
} from '@bootswarm/sim';
import type { LabLoadReport } from './lab-load.ts';

/** What a simulated storm knows and a real one does not: each event. Nor has it zones. */
type OnlySimulated = 'bans' | 'zoneBytesMax' | 'events';
/** What every storm's JSON has, and a real one cannot tell: which source ended which read, and each event. */
type Unknown = 'stallsBySource' | 'eventLogHash';

export interface RealStormResult extends Omit<StormResult, OnlySimulated | Unknown | 'curves'> {
  readonly stallsBySource: null;
  readonly eventLogHash: null;
  readonly curves: Pick<StormResult['curves'], 'vmReadySeconds'>;
  /** What a real storm knows besides. */
  readonly real: RealFigures;
}

export interface RealFigures extends LabLoadReport {
  readonly bytesFromPeers: number;
  readonly bytesFromOrigin: number;
  readonly bytesWasted: number;
  /** What the NIC of origin and tracker sent, in frames, over the bytes of pieces that it sent. */
  readonly originWireRatio: number;
  readonly packetsDropped: number;
  readonly segmentsRetransmitted: number;
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
  /** All guests of a storm in order of arrival, in milliseconds after the first. */
  readonly cold: readonly Boot[];
  readonly warm: readonly Boot[];
  readonly before: Traffic;
  readonly after: Traffic;
  readonly load: LabLoadReport;
  readonly pieces: TracePieces;
  /** Bytes per second. */
  readonly nic: number;
  readonly originNic: number;
}

export function realResult(parts: RealStormParts): RealStormResult {
  const { cold, warm, before, after, pieces } = parts;
  const figures = guestFigures(cold, 0);
  const warmLastVmSeconds = guestFigures(warm, 0).lastVmSeconds;
  const neededBytes = sumOf(pieces.touched.map((index) => bytesOf(pieces, index)));
  const originBytes = after.originBytes - before.originBytes;
  const ready = cold.flatMap(({ readyAt }) => readyAt ?? []);
  return {
    policy: 'bootswarm',
    ...figures,
    originBytes,
    originRequests: originRequests(before, after),
    prefetchedUnusedRatio: unusedRatio(after),
    // No fault is played, and a storm with a guest that is not ready has no result.
    healthy: figures,
    guestsWaiting: 0,
    warmLastVmSeconds,
    coldWarmRatio: figures.lastVmSeconds / warmLastVmSeconds,
    neededBytes,
    originRatio: timesOf(originBytes, neededBytes),
    fluidLimitSeconds: fluidLimitSeconds(parts, neededBytes),
    stallsBySource: null,
    eventLogHash: null,
    curves: { vmReadySeconds: ascending(ready.map((at) => at / 1_000)) },
    real: realFigures(parts, originBytes),
  };
}

/** That of StormWorld in packages/sim, for one zone. */
function fluidLimitSeconds({ cold, nic, originNic }: RealStormParts, bytes: number): number {
  const firsts = new Map<number, number>();
  for (const { node, startAt } of cold) if (!firsts.has(node)) firsts.set(node, startAt);
  return Math.max(Math.max(...firsts.values()) / 1_000 + bytes / nic, bytes / originNic);
}

function realFigures({ before, after, load }: RealStormParts, originBytes: number): RealFigures {
  const since = (figure: Counter) => countOf(after, figure) - countOf(before, figure);
  return {
    ...load,
    bytesFromPeers: since('bytesFromPeers'),
    bytesFromOrigin: since('bytesFromOrigin'),
    bytesWasted: since('bytesWasted'),
    originWireRatio: timesOf(after.storeBytesSent - before.storeBytesSent, originBytes),
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
