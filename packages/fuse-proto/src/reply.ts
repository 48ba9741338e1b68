/** Replies to the kernel, put into a buffer of the caller. The layouts are those of <linux/fuse.h>. */
import {
  ERRNO,
  type Errno,
  INIT_FLAGS,
  KERNEL_MAJOR,
  KERNEL_MINOR,
  NAME_LENGTH_MAX,
  NOTIFY_RESEND,
  OUT_HEADER_LENGTH,
  READ_LENGTH_MAX,
  WRITE_LENGTH,
} from './constants.ts';
import type { InitRequest, Unique } from './request.ts';
import { writeUint16, writeUint32, writeUint64 } from './wire-integer.ts';

/** What stat(2) shows. */
export interface FuseAttributes {
  readonly nodeId: number;
  readonly isDirectory: boolean;
  readonly length: number;
  /** Bytes of disk: what is not there yet is a hole. */
  readonly allocatedBytes: number;
  /** Seconds since 1970. */
  readonly mtime: number;
}

const ATTRIBUTES_LENGTH = 88;
const ENTRY_LENGTH = 40 + ATTRIBUTES_LENGTH;
const DIRECTORY_ENTRY_LENGTH = 24;
const INIT_LENGTH = 64;
const DIRECTORY_MODE = 0o040_755;
/** Not 0444: Nova's Flat backend copies the mode to its disk, and whoever opens for writing is told why it fails. */
const FILE_MODE = 0o100_644;
const DIRECTORY_TYPE = 4;
const FILE_TYPE = 8;
const BLOCK_LENGTH = 4096;
/** How long the kernel believes a name or what stat(2) shows: a withdrawn image is gone, and its blocks are true, this soon. */
const VALID_SECONDS = 1;
/** Reads into the page cache that the kernel has under way at a time; those of O_DIRECT are beside them. */
const BACKGROUND_MAX = 64;
const CONGESTED_AT = 48;
/** The kernel's own default. */
const READ_AHEAD_MAX = 128 * 1024;

/** Fills in the 16 bytes before a reply's payload. */
export function writeHeader(
  target: Uint8Array,
  unique: Unique,
  payloadLength: number,
  errno: Errno | undefined,
): void {
  writeUint32(target, 0, OUT_HEADER_LENGTH + payloadLength);
  writeUint32(target, 4, errno === undefined ? 0 : -ERRNO[errno]);
  writeUint32(target, 8, unique.low);
  writeUint32(target, 12, unique.high);
}

/** Has the kernel send again what another process has read from /dev/fuse and not answered: Linux 6.9. */
export function encodeResend(): Uint8Array {
  const bytes = new Uint8Array(OUT_HEADER_LENGTH);
  writeUint32(bytes, 0, OUT_HEADER_LENGTH);
  writeUint32(bytes, 4, NOTIFY_RESEND);
  return bytes;
}

/** The functions below write a payload at `at` and return its length. */

export function writeInit(target: Uint8Array, at: number, asked: InitRequest): number {
  const wanted =
    INIT_FLAGS.asyncRead |
    INIT_FLAGS.exportSupport |
    INIT_FLAGS.readdirplus |
    INIT_FLAGS.readdirplusAuto |
    INIT_FLAGS.parallelDirectory |
    INIT_FLAGS.maxPages;
  target.fill(0, at, at + INIT_LENGTH);
  writeUint32(target, at, KERNEL_MAJOR);
  writeUint32(target, at + 4, Math.min(KERNEL_MINOR, asked.minor));
  writeUint32(target, at + 8, Math.min(READ_AHEAD_MAX, asked.readAheadMax));
  writeUint32(target, at + 12, wanted & asked.flags);
  writeUint16(target, at + 16, BACKGROUND_MAX);
  writeUint16(target, at + 18, CONGESTED_AT);
  writeUint32(target, at + 20, WRITE_LENGTH);
  writeUint32(target, at + 24, 1);
  writeUint16(target, at + 28, READ_LENGTH_MAX / BLOCK_LENGTH);
  return INIT_LENGTH;
}

export function writeEntry(target: Uint8Array, at: number, file: FuseAttributes): number {
  target.fill(0, at, at + 40);
  writeUint64(target, at, file.nodeId);
  writeUint64(target, at + 16, VALID_SECONDS);
  writeUint64(target, at + 24, VALID_SECONDS);
  writeStat(target, at + 40, file);
  return ENTRY_LENGTH;
}

export function writeAttributes(target: Uint8Array, at: number, file: FuseAttributes): number {
  target.fill(0, at, at + 16);
  writeUint64(target, at, VALID_SECONDS);
  writeStat(target, at + 16, file);
  return 16 + ATTRIBUTES_LENGTH;
}

export function writeOpen(target: Uint8Array, at: number, handle: number, flags: number): number {
  target.fill(0, at, at + 16);
  writeUint64(target, at, handle);
  writeUint32(target, at + 8, flags);
  return 16;
}

export function writeSeek(target: Uint8Array, at: number, offset: number): number {
  writeUint64(target, at, offset);
  return 8;
}

/** Of a file system that has no room, since nothing can be written. */
export function writeStatfs(target: Uint8Array, at: number, bytes: number, files: number): number {
  target.fill(0, at, at + 80);
  writeUint64(target, at, Math.ceil(bytes / BLOCK_LENGTH));
  writeUint64(target, at + 24, files);
  writeUint32(target, at + 40, BLOCK_LENGTH);
  writeUint32(target, at + 44, NAME_LENGTH_MAX);
  writeUint32(target, at + 48, BLOCK_LENGTH);
  return 80;
}

export interface DirectoryEntry {
  readonly name: Uint8Array;
  /** Where a listing that ends with this entry goes on. */
  readonly next: number;
  readonly attributes: FuseAttributes;
}

/** Returns 0 when there is no room for it before `end`. `withEntry`: as READDIRPLUS has it. */
export function writeDirectoryEntry(
  target: Uint8Array,
  at: number,
  end: number,
  { name, next, attributes }: DirectoryEntry,
  withEntry: boolean,
): number {
  const prefix = withEntry ? ENTRY_LENGTH : 0;
  const length = (prefix + DIRECTORY_ENTRY_LENGTH + name.length + 7) & ~7;
  if (at + length > end) return 0;
  target.fill(0, at, at + length);
  if (withEntry) writePlusEntry(target, at, attributes, name);
  const base = at + prefix;
  writeUint64(target, base, attributes.nodeId);
  writeUint64(target, base + 8, next);
  writeUint32(target, base + 16, name.length);
  writeUint32(target, base + 20, attributes.isDirectory ? DIRECTORY_TYPE : FILE_TYPE);
  target.set(name, base + DIRECTORY_ENTRY_LENGTH);
  return length;
}

/** For `.` and `..` a node id of 0: they are no lookups. */
function writePlusEntry(
  target: Uint8Array,
  at: number,
  file: FuseAttributes,
  name: Uint8Array,
): void {
  const isDot = name[0] === 0x2e && name.length <= 2;
  if (!isDot) writeEntry(target, at, file);
}

function writeStat(target: Uint8Array, at: number, file: FuseAttributes): void {
  target.fill(0, at, at + ATTRIBUTES_LENGTH);
  writeUint64(target, at, file.nodeId);
  writeUint64(target, at + 8, file.length);
  writeUint64(target, at + 16, Math.ceil(file.allocatedBytes / 512));
  for (const time of [24, 32, 40]) writeUint64(target, at + time, file.mtime);
  writeUint32(target, at + 60, file.isDirectory ? DIRECTORY_MODE : FILE_MODE);
  writeUint32(target, at + 64, file.isDirectory ? 2 : 1);
  writeUint32(target, at + 80, BLOCK_LENGTH);
}
