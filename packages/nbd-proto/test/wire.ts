/** Both sides' messages, written out from proto.md and not from the encoders under test. */

export function hex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));
}

export function join(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts));
}

export function text(value: string): Uint8Array {
  return Uint8Array.from(Buffer.from(value));
}

export function u16(value: number): Uint8Array {
  return hex(value.toString(16).padStart(4, '0'));
}

export function u32(value: number): Uint8Array {
  return hex(value.toString(16).padStart(8, '0'));
}

export function u64(value: number | bigint): Uint8Array {
  return hex(BigInt(value).toString(16).padStart(16, '0'));
}

/** What the server says first: NBDMAGIC, IHAVEOPT, FIXED_NEWSTYLE | NO_ZEROES. */
export const GREETING = hex('4e42444d41474943 49484156454f5054 0003');

/** C_FIXED_NEWSTYLE | C_NO_ZEROES. */
export const CLIENT_FLAGS = u32(3);

export function option(id: number, data: Uint8Array = hex(''), length = data.length): Uint8Array {
  return join(hex('49484156454f5054'), u32(id), u32(length), data);
}

export const OPTION = {
  exportName: 1,
  abort: 2,
  list: 3,
  starttls: 5,
  info: 6,
  go: 7,
  structuredReply: 8,
  listMetaContext: 9,
  setMetaContext: 10,
  extendedHeaders: 11,
} as const;

export const REP = {
  ack: 1,
  server: 2,
  info: 3,
  metaContext: 4,
  errUnsup: 0x80000001,
  errPolicy: 0x80000002,
  errInvalid: 0x80000003,
  errTlsReqd: 0x80000005,
  errUnknown: 0x80000006,
  errTooBig: 0x80000009,
} as const;

export function infoData(name: string, infoTypes: readonly number[] = []): Uint8Array {
  return join(u32(text(name).length), text(name), u16(infoTypes.length), ...infoTypes.map(u16));
}

export function metaContextData(name: string, queries: readonly string[]): Uint8Array {
  const encoded = queries.map((query) => join(u32(text(query).length), text(query)));
  return join(u32(text(name).length), text(name), u32(queries.length), ...encoded);
}

export function optionReply(id: number, type: number, data: Uint8Array = hex('')): Uint8Array {
  return join(hex('0003e889045565a9'), u32(id), u32(type), u32(data.length), data);
}

export const CMD = {
  read: 0,
  write: 1,
  disc: 2,
  flush: 3,
  trim: 4,
  cache: 5,
  writeZeroes: 6,
  blockStatus: 7,
  resize: 8,
} as const;

export const FLAG = { fua: 1, noHole: 2, df: 4, reqOne: 8, fastZero: 16, payload: 32 } as const;

export function request(
  command: number,
  offset: number | bigint = 0,
  length = 0,
  { flags = 0, cookie = 0x0102030405060708n }: { flags?: number; cookie?: bigint } = {},
): Uint8Array {
  return join(hex('25609513'), u16(flags), u16(command), u64(cookie), u64(offset), u32(length));
}

const COOKIE = 0x0102030405060708n;

export function simpleReply(error: number, data: Uint8Array = hex(''), cookie = COOKIE) {
  return join(hex('67446698'), u32(error), u64(cookie), data);
}

/** A structured reply chunk. */
export function chunk(flags: number, type: number, payload: Uint8Array, cookie = COOKIE) {
  return join(hex('668e33ef'), u16(flags), u16(type), u64(cookie), u32(payload.length), payload);
}

export function dataChunk(flags: number, offset: number, data: Uint8Array, cookie = COOKIE) {
  return chunk(flags, 1, join(u64(offset), data), cookie);
}

export function holeChunk(flags: number, offset: number, length: number, cookie = COOKIE) {
  return chunk(flags, 2, join(u64(offset), u32(length)), cookie);
}

export function errorChunk(error: number, message: string, cookie = COOKIE): Uint8Array {
  return chunk(1, 0x8001, join(u32(error), u16(Buffer.byteLength(message)), text(message)), cookie);
}

export const EPERM = 1;
export const EINVAL = 22;
