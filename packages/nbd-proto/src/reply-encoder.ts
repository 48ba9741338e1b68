/**
 * Encodes transmission-phase replies: simple ones for clients that did not negotiate structured replies, structured reply
 * chunks for all others. Which reply a request gets is decided in transmission.ts.
 */
import * as nbd from './constants.ts';
import { writeUint16, writeUint32, writeUint64 } from './wire-integer.ts';

/** The part of a request that its reply repeats. */
export interface Cookie {
  readonly cookieHigh: number;
  readonly cookieLow: number;
}

/** Success without data: FLUSH, CACHE. */
export function encodeDone(cookie: Cookie, isStructured: boolean): Uint8Array {
  if (!isStructured) return encodeSimple(cookie, 0);
  const bytes = new Uint8Array(nbd.REPLY_CHUNK_HEADER_LENGTH);
  writeChunkHeader(bytes, cookie, true, nbd.NBD_REPLY_TYPE_NONE, 0);
  return bytes;
}

const UTF8 = new TextEncoder();

/** An error; `message` reaches only clients with structured replies. */
export function encodeError(
  cookie: Cookie,
  isStructured: boolean,
  error: number,
  message: string,
): Uint8Array {
  if (!isStructured) return encodeSimple(cookie, error);
  const text = UTF8.encode(message);
  const bytes = new Uint8Array(nbd.REPLY_CHUNK_HEADER_LENGTH + 6 + text.length);
  writeChunkHeader(bytes, cookie, true, nbd.NBD_REPLY_TYPE_ERROR, 6 + text.length);
  writeUint32(bytes, nbd.REPLY_CHUNK_HEADER_LENGTH, error);
  writeUint16(bytes, nbd.REPLY_CHUNK_HEADER_LENGTH + 4, text.length);
  bytes.set(text, nbd.REPLY_CHUNK_HEADER_LENGTH + 6);
  return bytes;
}

/** An OFFSET_HOLE chunk: `length` zero bytes at `offset`. */
export function encodeHole(
  cookie: Cookie,
  isDone: boolean,
  offset: number,
  length: number,
): Uint8Array {
  const bytes = new Uint8Array(nbd.REPLY_CHUNK_HEADER_LENGTH + 12);
  writeChunkHeader(bytes, cookie, isDone, nbd.NBD_REPLY_TYPE_OFFSET_HOLE, 12);
  writeUint64(bytes, nbd.REPLY_CHUNK_HEADER_LENGTH, offset);
  writeUint32(bytes, nbd.REPLY_CHUNK_HEADER_LENGTH + 8, length);
  return bytes;
}

/** `extents` alternates length and status flags. */
export function encodeBlockStatus(cookie: Cookie, extents: readonly number[]): Uint8Array {
  const payloadLength = 4 + 4 * extents.length;
  const bytes = new Uint8Array(nbd.REPLY_CHUNK_HEADER_LENGTH + payloadLength);
  writeChunkHeader(bytes, cookie, true, nbd.NBD_REPLY_TYPE_BLOCK_STATUS, payloadLength);
  writeUint32(bytes, nbd.REPLY_CHUNK_HEADER_LENGTH, nbd.BASE_ALLOCATION_ID);
  extents.forEach((value, index) => {
    writeUint32(bytes, nbd.REPLY_CHUNK_HEADER_LENGTH + 4 + 4 * index, value);
  });
  return bytes;
}

/** Writes the OFFSET_DATA header into the first DATA_CHUNK_HEADER_LENGTH bytes of `bytes`; `length` bytes follow it. */
export function writeDataHeader(
  bytes: Uint8Array,
  cookie: Cookie,
  isDone: boolean,
  offset: number,
  length: number,
): void {
  writeChunkHeader(bytes, cookie, isDone, nbd.NBD_REPLY_TYPE_OFFSET_DATA, 8 + length);
  writeUint64(bytes, nbd.REPLY_CHUNK_HEADER_LENGTH, offset);
}

/** Writes a simple reply into the first SIMPLE_REPLY_LENGTH bytes of `bytes`. */
export function writeSimpleHeader(bytes: Uint8Array, cookie: Cookie, error: number): void {
  writeUint32(bytes, 0, nbd.NBD_SIMPLE_REPLY_MAGIC);
  writeUint32(bytes, 4, error);
  writeUint32(bytes, 8, cookie.cookieHigh);
  writeUint32(bytes, 12, cookie.cookieLow);
}

function encodeSimple(cookie: Cookie, error: number): Uint8Array {
  const bytes = new Uint8Array(nbd.SIMPLE_REPLY_LENGTH);
  writeSimpleHeader(bytes, cookie, error);
  return bytes;
}

function writeChunkHeader(
  bytes: Uint8Array,
  cookie: Cookie,
  isDone: boolean,
  type: number,
  payloadLength: number,
): void {
  writeUint32(bytes, 0, nbd.NBD_STRUCTURED_REPLY_MAGIC);
  writeUint16(bytes, 4, isDone ? nbd.NBD_REPLY_FLAG_DONE : 0);
  writeUint16(bytes, 6, type);
  writeUint32(bytes, 8, cookie.cookieHigh);
  writeUint32(bytes, 12, cookie.cookieLow);
  writeUint32(bytes, 16, payloadLength);
}
