/**
 * The payloads of our two BEP 10 messages, version 1 (docs/protocol/peer.md):
 * bs_have: entries of u32; an entry with its top bit set is followed by a u32 count and stands for that many pieces
 * from the index in its other bits. bs_prio: u32 piece index, u8 class.
 */
import { ProtocolError } from '@bootswarm/stdx';
import { PIECE_CLASSES, type PieceClass } from '@bootswarm/swarm-proto';
import { readUint32, writeUint32 } from './message-ids.ts';

/** Pieces in one bs_have: 256 MiB of 64 KiB pieces, 16 KiB on the wire when no two are neighbours. */
export const HAVE_BATCH_MAX = 4_096;
const RUN_BIT = 0x8000_0000;
/** Shorter runs take no more room as single entries. */
const RUN_MIN = 3;
const PRIORITY_BYTES = 5;

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

export function encodePriority(pieceIndex: number, pieceClass: PieceClass): Uint8Array {
  const payload = new Uint8Array(PRIORITY_BYTES);
  writeUint32(payload, 0, pieceIndex);
  payload[4] = PIECE_CLASSES.indexOf(pieceClass);
  return payload;
}

/** Throws `priority-malformed` or `index-out-of-range`. */
export function decodePriority(
  payload: Uint8Array,
  pieceCount: number,
): { readonly pieceIndex: number; readonly pieceClass: PieceClass } {
  if (payload.length !== PRIORITY_BYTES || payload[4] >= PIECE_CLASSES.length) {
    throw new ProtocolError('priority-malformed');
  }
  const pieceIndex = readUint32(payload, 0);
  if (pieceIndex >= pieceCount) throw new ProtocolError('index-out-of-range', { pieceIndex });
  return { pieceIndex, pieceClass: PIECE_CLASSES[payload[4]] };
}

function runLength(pieceIndexes: readonly number[], at: number): number {
  let end = at + 1;
  while (end < pieceIndexes.length && pieceIndexes[end] === pieceIndexes[end - 1] + 1) end += 1;
  return end - at;
}

function malformed(what: string): ProtocolError {
  return new ProtocolError('have-batch-malformed', { what });
}
