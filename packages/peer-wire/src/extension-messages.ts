/**
 * The payloads of our BEP 10 messages, version 1 (docs/protocol/peer.md):
 * bs_have: entries of u32; an entry with its top bit set is followed by a u32 count and stands for that many pieces
 * from the index in its other bits. bs_prio: u32 piece index, u8 class, and with a request that follows upon a failed lease its
 * u32 number. bs_redir: u32 piece index, u32 lease, node name. bs_ping: u8, 0 ping and then padding, 1 pong and then u32 bytes
 * per ms, 2 busy.
 */
import { assert, ProtocolError } from '@bootswarm/stdx';
import { type PeerMessage, PIECE_CLASSES, type PieceClass } from '@bootswarm/swarm-proto';
import { readUint32, writeUint32 } from './message-ids.ts';
import { decodeName } from './node-name.ts';

/** Pieces in one bs_have: 256 MiB of 64 KiB pieces, 16 KiB on the wire when no two are neighbours. */
export const HAVE_BATCH_MAX = 4_096;
const RUN_BIT = 0x8000_0000;
/** Shorter runs take no more room as single entries. */
const RUN_MIN = 3;
const PRIORITY_BYTES = 5;
/** With the number of a failed lease. */
const PRIORITY_AND_LEASE_BYTES = 9;
/** Before the node name. */
const REDIRECT_HEAD_BYTES = 8;
/** Indexed by what bs_ping carries first. */
const PING_TYPES = ['ping', 'pong', 'busy'] as const;
export type Ping = Extract<PeerMessage<never>, { type: (typeof PING_TYPES)[number] }>;
const PONG_BYTES = 5;
/** Zero bytes after a ping: enough to measure an uplink of 10 Gbit/s, little to read and drop. */
export const PING_PADDING_MAX = 60 * 1024;

export interface Priority {
  readonly pieceIndex: number;
  readonly pieceClass: PieceClass;
  /** Greater than 0. */
  readonly failedLease: number | undefined;
}

export interface Redirect {
  readonly pieceIndex: number;
  /** Greater than 0. */
  readonly lease: number;
  readonly node: string;
}

/** `pieceIndexes` are 1 to HAVE_BATCH_MAX, in any order; ascending neighbours make it short. */
export function encodeHaveBatch(pieceIndexes: readonly number[]): Uint8Array {
  const words: number[] = [];
  for (let at = 0; at < pieceIndexes.length; ) {
    const count = runLength(pieceIndexes, at);
    if (count >= RUN_MIN) {
      words.push(RUN_BIT + pieceIndexes[at], count);
      at += count;
    } else {
      words.push(pieceIndexes[at]);
      at += 1;
    }
  }
  const payload = new Uint8Array(words.length * 4);
  for (const [at, word] of words.entries()) writeUint32(payload, at * 4, word);
  return payload;
}

/** Throws `have-batch-malformed` or `index-out-of-range`. Duplicates are allowed. */
export function decodeHaveBatch(payload: Uint8Array, pieceCount: number): number[] {
  if (payload.length === 0 || payload.length % 4 !== 0) throw malformed('its length');
  const pieceIndexes: number[] = [];
  for (let at = 0; at < payload.length; at += 4) {
    const word = readUint32(payload, at);
    let count = 1;
    if (word >= RUN_BIT) {
      at += 4;
      if (at === payload.length) throw malformed('a run without its count');
      count = readUint32(payload, at);
    }
    const first = word % RUN_BIT;
    if (count === 0 || pieceIndexes.length + count > HAVE_BATCH_MAX) throw malformed('its size');
    if (first + count > pieceCount) {
      throw new ProtocolError('index-out-of-range', { pieceIndex: first + count - 1 });
    }
    for (let index = first; index < first + count; index += 1) pieceIndexes.push(index);
  }
  return pieceIndexes;
}

export function encodePriority(
  pieceIndex: number,
  pieceClass: PieceClass,
  failedLease?: number,
): Uint8Array {
  const hasLease = failedLease !== undefined;
  const payload = new Uint8Array(hasLease ? PRIORITY_AND_LEASE_BYTES : PRIORITY_BYTES);
  writeUint32(payload, 0, pieceIndex);
  payload[4] = PIECE_CLASSES.indexOf(pieceClass);
  if (hasLease) writeUint32(payload, PRIORITY_BYTES, failedLease);
  return payload;
}

/** Throws `priority-malformed` or `index-out-of-range`. */
export function decodePriority(payload: Uint8Array, pieceCount: number): Priority {
  const hasLease = payload.length === PRIORITY_AND_LEASE_BYTES;
  const failedLease = hasLease ? readUint32(payload, PRIORITY_BYTES) : undefined;
  const isLengthGood = hasLease || payload.length === PRIORITY_BYTES;
  if (!isLengthGood || payload[4] >= PIECE_CLASSES.length || failedLease === 0) {
    throw new ProtocolError('priority-malformed');
  }
  const pieceIndex = decodeIndex(payload, pieceCount);
  return { pieceIndex, pieceClass: PIECE_CLASSES[payload[4]], failedLease };
}

export function encodeRedirect({ pieceIndex, lease, node }: Redirect): Uint8Array {
  const name = Buffer.from(node);
  const payload = new Uint8Array(REDIRECT_HEAD_BYTES + name.length);
  writeUint32(payload, 0, pieceIndex);
  writeUint32(payload, 4, lease);
  payload.set(name, REDIRECT_HEAD_BYTES);
  return payload;
}

/** Throws `redirect-malformed` or `index-out-of-range`. */
export function decodeRedirect(payload: Uint8Array, pieceCount: number): Redirect {
  if (payload.length <= REDIRECT_HEAD_BYTES) throw new ProtocolError('redirect-malformed');
  const lease = readUint32(payload, 4);
  const node = decodeName(payload.subarray(REDIRECT_HEAD_BYTES));
  if (lease === 0 || node === undefined) throw new ProtocolError('redirect-malformed');
  return { pieceIndex: decodeIndex(payload, pieceCount), lease, node };
}

/** `padding` is at most PING_PADDING_MAX, `bytesPerMs` a whole number below 2^32. */
export function encodePing(ping: Ping): Uint8Array {
  const padding = ping.type === 'ping' ? ping.padding : 0;
  assert(padding <= PING_PADDING_MAX, `a ping with ${padding} bytes of padding`);
  const payload = new Uint8Array(ping.type === 'pong' ? PONG_BYTES : 1 + padding);
  payload[0] = PING_TYPES.indexOf(ping.type);
  if (ping.type === 'pong') writeUint32(payload, 1, ping.bytesPerMs);
  return payload;
}

/** Throws `ping-malformed`. */
export function decodePing(payload: Uint8Array): Ping {
  const type = PING_TYPES[payload[0]];
  const padding = payload.length - 1;
  if (type === 'ping' && padding <= PING_PADDING_MAX && isZero(payload.subarray(1))) {
    return { type, padding };
  }
  if (type === 'pong' && payload.length === PONG_BYTES) {
    return { type, bytesPerMs: readUint32(payload, 1) };
  }
  if (type === 'busy' && payload.length === 1) return { type };
  throw new ProtocolError('ping-malformed');
}

/** Compared with itself moved by one, which is native code: padding comes by the 16 KiB. */
function isZero(bytes: Uint8Array): boolean {
  if (bytes.length === 0) return true;
  return bytes[0] === 0 && Buffer.compare(bytes.subarray(1), bytes.subarray(0, -1)) === 0;
}

function decodeIndex(payload: Uint8Array, pieceCount: number): number {
  const pieceIndex = readUint32(payload, 0);
  if (pieceIndex >= pieceCount) throw new ProtocolError('index-out-of-range', { pieceIndex });
  return pieceIndex;
}

function runLength(pieceIndexes: readonly number[], at: number): number {
  let end = at + 1;
  while (end < pieceIndexes.length && pieceIndexes[end] === pieceIndexes[end - 1] + 1) end += 1;
  return end - at;
}

function malformed(what: string): ProtocolError {
  return new ProtocolError('have-batch-malformed', { what });
}
