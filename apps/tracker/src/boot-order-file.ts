/**
 * boot-order.json in an image's directory: what boots of the image have taught, kept over restarts. Read as strictly as
 * anything from outside: a damaged file costs what was learned, never the image.
 */
import { BOOT_PIECES_MAX, type KindRecord } from '@bootswarm/tracker-proto';

export const BOOT_ORDER_FILE = 'boot-order.json';
/** Six kinds of 2^17 pieces at some 25 bytes. */
export const BOOT_ORDER_BYTES_MAX = 32 * 1024 * 1024;

const KINDS_MAX = 16;
const LENGTHS_MAX = 100;

export function encodeBootOrder(kinds: readonly KindRecord[]): string {
  const records = kinds.map(({ isShared, weight, bootsMerged, lengths, learnedAtMs, pieces }) => ({
    isShared,
    weight,
    bootsMerged,
    lengths,
    learnedAtMs,
    pieces: pieces.map(([index, { weight, chances, rank }]) => [
      index,
      ...[weight, chances, rank].map(short),
    ]),
  }));
  return `${JSON.stringify({ version: 1, kinds: records })}\n`;
}

/** Throws Error with what is wrong. */
export function decodeBootOrder(text: string, pieceCount: number): KindRecord[] {
  const { version, kinds } = objectOf(JSON.parse(text));
  if (version !== 1) throw new Error(`it has version ${String(version)}`);
  if (!Array.isArray(kinds) || kinds.length > KINDS_MAX) throw new Error('its kinds are no list');
  return kinds.map((kind) => kindOf(kind, pieceCount));
}

function kindOf(value: unknown, pieceCount: number): KindRecord {
  const { isShared, weight, bootsMerged, lengths, learnedAtMs, pieces } = objectOf(value);
  if (typeof isShared !== 'boolean') throw new Error('isShared is no boolean');
  if (!Array.isArray(pieces) || pieces.length > BOOT_PIECES_MAX) {
    throw new Error('its pieces are no list');
  }
  if (!Array.isArray(lengths) || lengths.length > LENGTHS_MAX) {
    throw new Error('its lengths are no list');
  }
  const seen = new Set<number>();
  const records = pieces.map((piece: unknown) => {
    const [index, pieceWeight, chances, rank] = Array.isArray(piece) ? piece : [];
    const pieceIndex = numberOf(index, pieceCount - 1, 'a piece index');
    if (!Number.isInteger(pieceIndex) || seen.has(pieceIndex)) throw new Error('a piece is wrong');
    seen.add(pieceIndex);
    const record = {
      weight: numberOf(pieceWeight, WEIGHT_MAX, 'a weight'),
      chances: numberOf(chances, WEIGHT_MAX, 'a weight'),
      rank: numberOf(rank, BOOT_PIECES_MAX, 'a rank'),
    };
    return [pieceIndex, record] as const;
  });
  return {
    isShared,
    weight: numberOf(weight, WEIGHT_MAX, 'weight'),
    lengths: lengths.map((each: unknown) => numberOf(each, BOOT_PIECES_MAX, 'a length')),
    bootsMerged: numberOf(bootsMerged, Number.MAX_SAFE_INTEGER, 'bootsMerged'),
    learnedAtMs: numberOf(learnedAtMs, Number.MAX_SAFE_INTEGER, 'learnedAtMs'),
    pieces: records,
  };
}

/** Weights fade to 10; those of a piece that few boots reach grow by 1 with each that does. */
const WEIGHT_MAX = 1_000_000_000;

function objectOf(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null) throw new Error('it is no object');
  return value as Record<string, unknown>;
}

function numberOf(value: unknown, max: number, what: string): number {
  if (typeof value === 'number' && value >= 0 && value <= max) return value;
  throw new Error(`${what} is ${JSON.stringify(value)}`);
}

function short(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}
