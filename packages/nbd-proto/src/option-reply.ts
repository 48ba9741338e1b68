/** Encodes what the server says in the handshake: the greeting, option replies, and the end of NBD_OPT_EXPORT_NAME. */
import * as nbd from './constants.ts';
import type { NbdExport } from './export.ts';
import { writeUint16, writeUint32, writeUint64 } from './wire-integer.ts';

/** Reply header: magic 8, option 4, reply type 4, data length 4. */
const OPTION_REPLY_HEADER_LENGTH = 20;
/** Sent after EXPORT_NAME to clients that did not set NBD_FLAG_C_NO_ZEROES. */
const RESERVED_ZEROES_LENGTH = 124;

const UTF8 = new TextEncoder();

/** NBDMAGIC, IHAVEOPT, handshake flags. */
export function encodeGreeting(): Uint8Array {
  const bytes = new Uint8Array(18);
  writeUint32(bytes, 0, nbd.NBD_MAGIC_HIGH);
  writeUint32(bytes, 4, nbd.NBD_MAGIC_LOW);
  writeUint32(bytes, 8, nbd.IHAVEOPT_HIGH);
  writeUint32(bytes, 12, nbd.IHAVEOPT_LOW);
  writeUint16(bytes, 16, nbd.NBD_FLAG_FIXED_NEWSTYLE | nbd.NBD_FLAG_NO_ZEROES);
  return bytes;
}

export function encodeAck(option: number): Uint8Array {
  return encodeOptionReply(option, nbd.NBD_REP_ACK, 0);
}

/** An error reply with a sentence for people. */
export function encodeOptionError(option: number, replyType: number, message: string): Uint8Array {
  const text = UTF8.encode(message);
  const reply = encodeOptionReply(option, replyType, text.length);
  reply.set(text, OPTION_REPLY_HEADER_LENGTH);
  return reply;
}

/** NBD_REP_SERVER: one listed export. */
export function encodeServer(name: string): Uint8Array {
  const text = UTF8.encode(name);
  const reply = encodeOptionReply(nbd.NBD_OPT_LIST, nbd.NBD_REP_SERVER, 4 + text.length);
  writeUint32(reply, OPTION_REPLY_HEADER_LENGTH, text.length);
  reply.set(text, OPTION_REPLY_HEADER_LENGTH + 4);
  return reply;
}

export function encodeMetaContext(option: number, id: number, name: string): Uint8Array {
  const text = UTF8.encode(name);
  const reply = encodeOptionReply(option, nbd.NBD_REP_META_CONTEXT, 4 + text.length);
  writeUint32(reply, OPTION_REPLY_HEADER_LENGTH, id);
  reply.set(text, OPTION_REPLY_HEADER_LENGTH + 4);
  return reply;
}

/** NBD_REP_INFO with NBD_INFO_EXPORT: size and transmission flags. */
export function encodeInfoExport(
  option: number,
  exported: NbdExport,
  isStructured: boolean,
): Uint8Array {
  const reply = encodeInfo(option, nbd.NBD_INFO_EXPORT, 10);
  writeUint64(reply, OPTION_REPLY_HEADER_LENGTH + 2, exported.length);
  writeUint16(reply, OPTION_REPLY_HEADER_LENGTH + 10, transmissionFlags(isStructured));
  return reply;
}

/** NBD_REP_INFO with NBD_INFO_NAME or NBD_INFO_DESCRIPTION. */
export function encodeInfoText(option: number, infoType: number, value: string): Uint8Array {
  const text = UTF8.encode(value);
  const reply = encodeInfo(option, infoType, text.length);
  reply.set(text, OPTION_REPLY_HEADER_LENGTH + 2);
  return reply;
}

/** NBD_REP_INFO with NBD_INFO_BLOCK_SIZE. Minimum 1: any offset and length is served, so nobody need round. */
export function encodeInfoBlockSize(option: number, exported: NbdExport): Uint8Array {
  const reply = encodeInfo(option, nbd.NBD_INFO_BLOCK_SIZE, 12);
  writeUint32(reply, OPTION_REPLY_HEADER_LENGTH + 2, 1);
  writeUint32(reply, OPTION_REPLY_HEADER_LENGTH + 6, exported.preferredBlockLength);
  writeUint32(reply, OPTION_REPLY_HEADER_LENGTH + 10, nbd.READ_LENGTH_MAX);
  return reply;
}

/** The answer to NBD_OPT_EXPORT_NAME: size, transmission flags, zeroes. */
export function encodeExportNameReply(
  exported: NbdExport,
  isStructured: boolean,
  hasZeroes: boolean,
): Uint8Array {
  const bytes = new Uint8Array(10 + (hasZeroes ? RESERVED_ZEROES_LENGTH : 0));
  writeUint64(bytes, 0, exported.length);
  writeUint16(bytes, 8, transmissionFlags(isStructured));
  return bytes;
}

/** FLUSH and multi-conn are free on a read-only export; DF may only be offered with structured replies. */
function transmissionFlags(isStructured: boolean): number {
  return (
    nbd.NBD_FLAG_HAS_FLAGS |
    nbd.NBD_FLAG_READ_ONLY |
    nbd.NBD_FLAG_SEND_FLUSH |
    (isStructured ? nbd.NBD_FLAG_SEND_DF : 0) |
    nbd.NBD_FLAG_CAN_MULTI_CONN |
    nbd.NBD_FLAG_SEND_CACHE
  );
}

function encodeInfo(option: number, infoType: number, length: number): Uint8Array {
  const reply = encodeOptionReply(option, nbd.NBD_REP_INFO, 2 + length);
  writeUint16(reply, OPTION_REPLY_HEADER_LENGTH, infoType);
  return reply;
}

function encodeOptionReply(option: number, replyType: number, length: number): Uint8Array {
  const reply = new Uint8Array(OPTION_REPLY_HEADER_LENGTH + length);
  writeUint32(reply, 0, nbd.NBD_OPTION_REPLY_MAGIC_HIGH);
  writeUint32(reply, 4, nbd.NBD_OPTION_REPLY_MAGIC_LOW);
  writeUint32(reply, 8, option);
  writeUint32(reply, 12, replyType);
  writeUint32(reply, 16, length);
  return reply;
}
