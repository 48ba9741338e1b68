/**
 * A recorded boot: which bytes a guest read, in which order, and how long it thought in between. The format is that of
 * bench/traces: reads of [microseconds since the first, offset, length], and which granules of the disk are not all zero.
 */
import { Bitfield, OperatorError } from '@bootswarm/stdx';

export interface TraceRead {
  readonly offset: number;
  readonly length: number;
  /** From the answer of the read before to this one. */
  readonly thinkMs: number;
}

export interface BootTrace {
  readonly name: string;
  /** Bytes of the disk. */
  readonly length: number;
  readonly reads: readonly TraceRead[];
  /** Whether all of these bytes are zero. */
  isZero(offset: number, length: number): boolean;
}

/** 2^28 granules: 32 MiB of bits, and 16 TiB of disk in granules of 64 KiB. */
const GRANULES_MAX = 2 ** 28;

/** Takes the parsed JSON of a trace file. Throws OperatorError when it is not one. */
export function parseBootTrace(value: unknown): BootTrace {
  const file = recordOf(value);
  const { name } = file;
  if (typeof name !== 'string' || name === '') throw notATrace('it has no name');
  const length = sizeOf(file, 'sizeBytes');
  const granuleBytes = sizeOf(file, 'granuleBytes');
  const granules = granulesOf(file, Math.ceil(length / granuleBytes));
  return {
    name,
    length,
    reads: readsOf(file, length),
    isZero: (offset, count) => {
      const last = Math.floor((offset + count - 1) / granuleBytes);
      for (let index = Math.floor(offset / granuleBytes); index <= last; index += 1) {
        if (granules.has(index)) return false;
      }
      return true;
    },
  };
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw notATrace('it is no object');
}

function sizeOf(file: Readonly<Record<string, unknown>>, field: string): number {
  const size = file[field];
  if (Number.isSafeInteger(size) && (size as number) > 0) return size as number;
  throw notATrace(`${field} is ${JSON.stringify(size)}, and no number of bytes`);
}

function granulesOf(file: Readonly<Record<string, unknown>>, count: number): Bitfield {
  if (count > GRANULES_MAX) throw notATrace(`its disk has ${count} granules: more than 2^28`);
  const granules = new Bitfield(count);
  for (const [index, run] of listOf(file, 'dataGranules').entries()) {
    const [first, length] = numbersOf(run, 2) ?? [-1, 0];
    const isWithin = isCount(first) && isCount(length) && first + length <= count;
    if (!isWithin) throw notATrace(`dataGranules[${index}] is no [first, count] of ${count}`);
    granules.setRange(first, length);
  }
  return granules;
}

function readsOf(file: Readonly<Record<string, unknown>>, disk: number): TraceRead[] {
  const list = listOf(file, 'reads');
  if (list.length === 0) throw notATrace('it has no reads');
  let before = 0;
  return list.map((read, index) => {
    const [microseconds, offset, length] = numbersOf(read, 3) ?? [0, -1, 0];
    const isWithin = isCount(offset) && isCount(length) && length > 0 && offset + length <= disk;
    if (!isWithin) {
      throw notATrace(`reads[${index}] is no [microseconds, offset, length] on a disk of ${disk}`);
    }
    const thinkMs = Math.max(0, microseconds - before) / 1_000;
    before = microseconds;
    return { offset, length, thinkMs };
  });
}

function listOf(file: Readonly<Record<string, unknown>>, field: string): readonly unknown[] {
  const list = file[field];
  if (Array.isArray(list)) return list;
  throw notATrace(`${field} is no list`);
}

/** So many finite numbers; undefined when it is anything else. */
function numbersOf(value: unknown, count: number): readonly number[] | undefined {
  const isIt = Array.isArray(value) && value.length === count && value.every(Number.isFinite);
  return isIt ? (value as number[]) : undefined;
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function notATrace(why: string): OperatorError {
  const hint = 'The first lines of bench/traces/debian12-minimal.json show what one looks like.';
  return new OperatorError('boot-trace', `not a boot trace: ${why}`, hint);
}

/** How the disk of a trace falls into pieces. */
export interface TracePieces {
  readonly pieceCount: number;
  readonly pieceLength: number;
  /** Bytes of the image. */
  readonly length: number;
  /** Pieces that are all zero: held by everybody, asked of nobody. */
  readonly zero: Bitfield;
  /** Per read: the pieces it needs that are not zero. */
  readonly perRead: readonly (readonly number[])[];
  /** Distinct pieces over all reads, in order of first touch. */
  readonly touched: readonly number[];
}

export function piecesOf(trace: BootTrace, pieceLength: number): TracePieces {
  const pieceCount = Math.ceil(trace.length / pieceLength);
  const zero = new Bitfield(pieceCount);
  for (let index = 0; index < pieceCount; index += 1) {
    const start = index * pieceLength;
    if (trace.isZero(start, Math.min(pieceLength, trace.length - start))) zero.set(index);
  }
  const touched = new Set<number>();
  const perRead = trace.reads.map(({ offset, length }) => {
    const pieces: number[] = [];
    const end = Math.floor((offset + length - 1) / pieceLength);
    for (let index = Math.floor(offset / pieceLength); index <= end; index += 1) {
      if (zero.has(index)) continue;
      pieces.push(index);
      touched.add(index);
    }
    return pieces;
  });
  return { pieceCount, pieceLength, length: trace.length, zero, perRead, touched: [...touched] };
}

/** An image without zeros that somebody needs whole. */
export function fullImagePieces(length: number, pieceLength: number): TracePieces {
  const pieceCount = Math.ceil(length / pieceLength);
  const touched = Array.from({ length: pieceCount }, (_, index) => index);
  const zero = new Bitfield(pieceCount);
  return { pieceCount, pieceLength, length, zero, perRead: [], touched };
}
