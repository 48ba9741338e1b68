/**
 * The piece layer as it travels: a bitfield of the all-zero pieces in wire order, then the hashes of the others. A layer has
 * this one form, so that any node can make it anew and serve it, and its length says exactly what comes out.
 */
import { Bitfield, ProtocolError } from '@bootswarm/stdx';
import { imageShape, PIECE_COUNT_MAX } from './image-shape.ts';
import { HASH_LENGTH } from './merkle-tree.ts';
import type { Metainfo, PieceLayer } from './metainfo.ts';
import { makePieceLayer } from './piece-layer.ts';
import { zeroPieceHashes } from './zero-pieces.ts';

/** Of an image of the most pieces, none of them zero. */
export const PACKED_LAYER_BYTES_MAX =
  Bitfield.byteLength(PIECE_COUNT_MAX) + PIECE_COUNT_MAX * HASH_LENGTH;

/** Bytes of a packed layer. */
export function packedLayerLength(pieceCount: number, zeroCount: number): number {
  return Bitfield.byteLength(pieceCount) + (pieceCount - zeroCount) * HASH_LENGTH;
}

/** Whether some number of zero pieces gives a packed layer this length. */
export function isPackedLayerLength(pieceCount: number, length: number): boolean {
  const hashBytes = length - Bitfield.byteLength(pieceCount);
  return hashBytes % HASH_LENGTH === 0 && hashBytes >= 0 && hashBytes <= pieceCount * HASH_LENGTH;
}

export function packLayer(layer: PieceLayer): Uint8Array {
  const { pieceCount, bytes } = layer;
  const packed = new Uint8Array(packedLayerLength(pieceCount, layer.zeroCount));
  const zeros = new Bitfield(pieceCount);
  let end = Bitfield.byteLength(pieceCount);
  for (let index = 0; index < pieceCount; index += 1) {
    if (layer.isZero(index)) {
      zeros.set(index);
      continue;
    }
    packed.set(bytes.subarray(index * HASH_LENGTH, (index + 1) * HASH_LENGTH), end);
    end += HASH_LENGTH;
  }
  packed.set(zeros.toBytes());
  return packed;
}

/**
 * Throws ProtocolError `packed-layer-malformed` for bytes that packLayer() cannot have made, and `piece-layer-mismatch` for a
 * layer that is not the one under the pieces root. Takes no memory before the length is right.
 */
export function unpackLayer(metainfo: Metainfo, packed: Uint8Array): PieceLayer {
  const { pieceCount, imageId } = metainfo;
  const bitfieldLength = Bitfield.byteLength(pieceCount);
  const zeros = Bitfield.fromBytes(pieceCount, packed.subarray(0, bitfieldLength));
  const expected = zeros && packedLayerLength(pieceCount, zeros.count);
  if (zeros === undefined || packed.length !== expected) {
    throw new ProtocolError('packed-layer-malformed', { imageId, length: packed.length, expected });
  }
  const layer = makePieceLayer(metainfo, unpacked(metainfo, zeros, packed));
  // One that is packed otherwise could not be made anew from the layer, and so not be served.
  if (layer.zeroCount !== zeros.count)
    throw new ProtocolError('packed-layer-malformed', { imageId });
  return layer;
}

function unpacked(metainfo: Metainfo, zeros: Bitfield, packed: Uint8Array): Uint8Array {
  const { pieceCount, length, pieceLength } = metainfo;
  const zero = zeroPieceHashes(imageShape(length, pieceLength));
  const bytes = new Uint8Array(pieceCount * HASH_LENGTH);
  let from = Bitfield.byteLength(pieceCount);
  for (let index = 0; index < pieceCount; index += 1) {
    if (zeros.has(index)) {
      bytes.set(index === pieceCount - 1 ? zero.last : zero.whole, index * HASH_LENGTH);
      continue;
    }
    bytes.set(packed.subarray(from, from + HASH_LENGTH), index * HASH_LENGTH);
    from += HASH_LENGTH;
  }
  return bytes;
}
