/**
 * Piece indexes in order ↔ bytes: each as its difference from the one before, zigzag (0, -1, 1, -2 → 0, 1, 2, 3), in LEB128.
 * Boots read runs of neighbouring pieces, which so take a byte or two each.
 */
import { ProtocolError } from '@bootswarm/stdx';

const INDEX_MAX = 0xffff_ffff;
/** A zigzag difference has up to 33 bits. */
const VARINT_BYTES_MAX = 5;

export function encodePieceIndexes(pieceIndexes: Uint32Array): Uint8Array {
  const bytes = new Uint8Array(pieceIndexes.length * VARINT_BYTES_MAX);
  let length = 0;
  let before = 0;
  for (const pieceIndex of pieceIndexes) {
    const difference = pieceIndex - before;
    before = pieceIndex;
    let rest = difference < 0 ? -2 * difference - 1 : 2 * difference;
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) {
      bytes[length] = (rest % 0x80) | 0x80;
      length += 1;
    }
    bytes[length] = rest;
    length += 1;
  }
  return bytes.slice(0, length);
}

/** Throws ProtocolError `piece-indexes-malformed`, or `too-many-pieces` when there are more than `countMax`. */
export function decodePieceIndexes(bytes: Uint8Array, countMax: number): Uint32Array {
  let count = 0;
  for (const byte of bytes) if (byte < 0x80) count += 1;
  if (count > countMax) throw new ProtocolError('too-many-pieces', { count, countMax });
  const pieceIndexes = new Uint32Array(count);
  let at = 0;
  let before = 0;
  for (let index = 0; index < count; index += 1) {
    const start = at;
    let value = 0;
    let scale = 1;
    while (bytes[at] >= 0x80) {
      value += (bytes[at] - 0x80) * scale;
      scale *= 0x80;
      at += 1;
    }
    value += bytes[at] * scale;
    at += 1;
    // A last byte of 0 would make a second spelling of a shorter one.
    const isShortest = at - start === 1 || bytes[at - 1] !== 0;
    before += value % 2 === 0 ? value / 2 : -(value + 1) / 2;
    const isIndex = before >= 0 && before <= INDEX_MAX;
    if (at - start > VARINT_BYTES_MAX || !isShortest || !isIndex) throw malformed(start);
    pieceIndexes[index] = before;
  }
  if (at !== bytes.length) throw malformed(at);
  return pieceIndexes;
}

function malformed(offset: number): ProtocolError {
  return new ProtocolError('piece-indexes-malformed', { offset });
}
