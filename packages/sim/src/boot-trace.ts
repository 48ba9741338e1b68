/**
 * A recorded boot: which bytes a guest read, in which order, and how long it thought in between. The format is that of
 * bench/traces: reads of [microseconds since the first, offset, length], and which granules of the disk are not all zero.
 */
import { assert, Bitfield } from '@bootswarm/stdx';

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
  /** Whether the bytes of this granule are all zero. */
  isZeroAt(offset: number): boolean;
}

interface TraceFile {
  readonly name: string;
  readonly sizeBytes: number;
  readonly granuleBytes: number;
  readonly dataGranules: readonly (readonly [first: number, count: number])[];
  readonly reads: readonly (readonly [microseconds: number, offset: number, length: number])[];
}

/** Takes the parsed JSON of a trace file. Throws AssertionError when it is not one. */
export function parseBootTrace(value: unknown): BootTrace {
  const file = value as TraceFile;
  assert(typeof file?.name === 'string' && Array.isArray(file.reads), 'not a boot trace');
  const granules = new Bitfield(Math.ceil(file.sizeBytes / file.granuleBytes));
  for (const [first, count] of file.dataGranules) granules.setRange(first, count);
  let before = 0;
  const reads = file.reads.map(([microseconds, offset, length]) => {
    assert(offset >= 0 && length > 0 && offset + length <= file.sizeBytes, 'read past the disk');
    const thinkMs = Math.max(0, microseconds - before) / 1_000;
    before = microseconds;
    return { offset, length, thinkMs };
  });
  return {
    name: file.name,
    length: file.sizeBytes,
    reads,
    isZeroAt: (offset) => !granules.has(Math.floor(offset / file.granuleBytes)),
  };
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
    if (isZeroPiece(trace, index * pieceLength, pieceLength)) zero.set(index);
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

function isZeroPiece(trace: BootTrace, start: number, pieceLength: number): boolean {
  // Traces have granules of 64 KiB or a divisor of it; pieces are at least as long.
  const step = Math.min(pieceLength, 65_536);
  const end = Math.min(trace.length, start + pieceLength);
  for (let offset = start; offset < end; offset += step) {
    if (!trace.isZeroAt(offset)) return false;
  }
  return true;
}

/** An image without zeros that somebody needs whole. */
export function fullImagePieces(length: number, pieceLength: number): TracePieces {
  const pieceCount = Math.ceil(length / pieceLength);
  const touched = Array.from({ length: pieceCount }, (_, index) => index);
  const zero = new Bitfield(pieceCount);
  return { pieceCount, pieceLength, length, zero, perRead: [], touched };
}
