/**
 * The journal of a copy, as bytes: which source it is of, and for each unit that was safely on the disk when the record was
 * written, its index and its SHA-256. A record that is torn or damaged ends it. Pure; when what is written is file-target.ts's
 * matter.
 */
import { crc32 } from 'node:zlib';
import { UNITS_MAX } from './copy-source.ts';

export interface JournalHeader {
  /** Without secrets. */
  readonly source: string;
  readonly version: string;
  readonly length: number;
  readonly unitLength: number;
}

export interface Journal {
  readonly header: JournalHeader;
  /** SHA-256 by unit. */
  readonly units: ReadonlyMap<number, Uint8Array>;
  /** Up to where it can be read: what follows is cut off before more is written. */
  readonly validLength: number;
}

const MAGIC = 'bootswarm copy 1\n';
const HEADER_BYTES_MAX = 32 * 1024;
const DIGEST_LENGTH = 32;
/** Unit 4, digest 32, CRC 4. */
export const RECORD_LENGTH = 4 + DIGEST_LENGTH + 4;
/** Every unit once, and as many again for those that were found damaged and copied anew. */
export const JOURNAL_BYTES_MAX = HEADER_BYTES_MAX + 2 * UNITS_MAX * RECORD_LENGTH;

export function encodeHeader(header: JournalHeader): Buffer {
  const { source, version, length, unitLength } = header;
  const text = JSON.stringify({ source, version, length, unitLength });
  return Buffer.from(`${MAGIC}${crc32(text).toString(16).padStart(8, '0')} ${text}\n`);
}

export function encodeRecord(unit: number, digest: Uint8Array): Buffer {
  const record = Buffer.alloc(RECORD_LENGTH);
  record.writeUInt32BE(unit, 0);
  record.set(digest, 4);
  record.writeUInt32BE(crc32(record.subarray(0, 4 + DIGEST_LENGTH)), 4 + DIGEST_LENGTH);
  return record;
}

/** Undefined when it is no journal, or its header is damaged. Throws nothing. */
export function decodeJournal(bytes: Uint8Array): Journal | undefined {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (buffer.subarray(0, MAGIC.length).toString('latin1') !== MAGIC) return undefined;
  const end = buffer.subarray(0, HEADER_BYTES_MAX).indexOf('\n', MAGIC.length);
  if (end < 0) return undefined;
  const header = decodeHeader(buffer.toString('utf8', MAGIC.length, end));
  if (header === undefined) return undefined;
  const unitCount = Math.ceil(header.length / header.unitLength);
  const units = new Map<number, Uint8Array>();
  let at = end + 1;
  for (; at + RECORD_LENGTH <= buffer.length; at += RECORD_LENGTH) {
    const record = buffer.subarray(at, at + RECORD_LENGTH);
    const unit = record.readUInt32BE(0);
    const isWhole =
      record.readUInt32BE(4 + DIGEST_LENGTH) === crc32(record.subarray(0, 4 + DIGEST_LENGTH));
    if (!isWhole || unit >= unitCount) break;
    units.set(unit, Uint8Array.from(record.subarray(4, 4 + DIGEST_LENGTH)));
  }
  return { header, units, validLength: at };
}

function decodeHeader(line: string): JournalHeader | undefined {
  const text = line.slice(9);
  if (line.slice(0, 9) !== `${crc32(text).toString(16).padStart(8, '0')} `) return undefined;
  try {
    const { source, version, length, unitLength } = JSON.parse(text) as Record<string, unknown>;
    if (typeof source !== 'string' || typeof version !== 'string') return undefined;
    if (!isCount(length) || !isCount(unitLength)) return undefined;
    if (length / unitLength > UNITS_MAX) return undefined;
    return { source, version, length, unitLength };
  } catch {
    return undefined;
  }
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0;
}
