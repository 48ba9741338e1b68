/** What a copy reads from: the interface that each scheme's reader keeps. Bytes come as runs of units, in any order. */
import type { Bitfield } from '@bootswarm/stdx';

/** Whole units that lie one behind the other. */
export interface Run {
  readonly firstUnit: number;
  readonly unitCount: number;
  /** Undefined: all zeros. */
  readonly bytes: Uint8Array | undefined;
}

export interface Digest {
  readonly algorithm: 'sha256' | 'sha384' | 'sha512' | 'sha1' | 'md5';
  readonly hex: string;
}

export interface CopySource {
  /** For messages and the journal. */
  readonly shown: string;
  readonly length: number;
  /** What is written, recorded and proven at once; a power of two, and no more than UNITS_MAX make an image. */
  readonly unitLength: number;
  /** Names these very bytes; undefined when nothing does, so that nothing of an interrupted copy can be kept. */
  readonly version: string | undefined;
  /** What all bytes together must hash to, where the source says so. */
  readonly digest?: Digest;
  /** Whether these are the unit's bytes; not there where only the whole can be proven. */
  isRight?(unit: number, bytes: Uint8Array): boolean;
  /** A file that may be cloned where the file system can: complete, though perhaps damaged where isRight() tells. */
  cloneable?(): Promise<string | undefined>;
  /**
   * Every unit that `had` lacks, once. What is given is proven as far as the source can. `had` may gain units that were given
   * meanwhile.
   */
  runs(had: Bitfield, signal: AbortSignal): AsyncIterable<Run>;
  /** Throws OperatorError `source-changed` when it is no longer what it was when it was opened. */
  recheck(): Promise<void>;
  close(): Promise<void>;
}

/** So that a journal stays below 48 MiB. */
export const UNITS_MAX = 2 ** 20;
const UNIT_LENGTH_MIN = 1024 * 1024;

/** For sources without pieces: 1 MiB, more where that would be too many. */
export function unitLengthFor(length: number): number {
  let unitLength = UNIT_LENGTH_MIN;
  while (length / unitLength > UNITS_MAX) unitLength *= 2;
  return unitLength;
}

export function unitCountOf({
  length,
  unitLength,
}: Pick<CopySource, 'length' | 'unitLength'>): number {
  return Math.ceil(length / unitLength);
}

/** Bytes of `count` units from `first`: the last one of all may be short. */
export function bytesOfUnits(
  { length, unitLength }: Pick<CopySource, 'length' | 'unitLength'>,
  first: number,
  count: number,
): number {
  return Math.min(length, (first + count) * unitLength) - first * unitLength;
}

/** The next run of units that `had` lacks, from `from` on, of at most `unitsMax`; undefined when there is none. */
export function nextMissing(
  had: Bitfield,
  from: number,
  unitCount: number,
  unitsMax: number,
): { first: number; count: number } | undefined {
  if (from >= unitCount) return undefined;
  const first = had.nextClear(from);
  if (first < 0 || first >= unitCount) return undefined;
  let count = 1;
  while (count < unitsMax && first + count < unitCount && !had.has(first + count)) count += 1;
  return { first, count };
}
