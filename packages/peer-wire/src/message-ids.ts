/** The first byte of each message of BEP 3, 6, 10 and 52, and the layout the request-like ones share. */

export const MESSAGE_ID = {
  choke: 0,
  unchoke: 1,
  interested: 2,
  notInterested: 3,
  have: 4,
  bitfield: 5,
  request: 6,
  piece: 7,
  cancel: 8,
  port: 9,
  suggest: 13,
  haveAll: 14,
  haveNone: 15,
  reject: 16,
  allowedFast: 17,
  extended: 20,
  hashRequest: 21,
  hashes: 22,
  hashReject: 23,
} as const;

/** A frame is a message with its four length bytes in front, so the id is its fifth byte. */
export const LENGTH_BYTES = 4;
/** Length, id, index and offset: what comes before the payload of a piece. */
export const PIECE_HEAD_BYTES = LENGTH_BYTES + 1 + 8;

/** Big-endian and unsigned: a length of 2^31 is not a negative number here. */
export function readUint32(bytes: Uint8Array, at: number): number {
  return ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0;
}

export function writeUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}
