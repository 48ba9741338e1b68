/**
 * Answers BEP 52 hash requests (messages 21 to 23) from a piece layer. Only the piece layer can be asked for: leaves,
 * base layer 0, are computed from data, which is not at hand here. Framing the messages is the wire's.
 */
import { imageShape, levelsAbove } from './image-shape.ts';
import { HASH_LENGTH } from './merkle-tree.ts';
import type { Metainfo, PieceLayer } from './metainfo.ts';

/** The fields of a `hash request`, as received. */
export interface HashRequest {
  readonly piecesRoot: Uint8Array;
  /** Levels above the leaves. */
  readonly baseLayer: number;
  /** In hashes of the base layer. */
  readonly index: number;
  readonly length: number;
  readonly proofLayers: number;
}

/** BEP 52: a requester should not ask for more, and libtorrent does not. */
export const HASHES_MAX = 512;

/**
 * The payload of a `hashes` message after its fields: the hashes asked for, padding where the image has ended, then the
 * uncle hashes upwards. Undefined when the request must be rejected: it is malformed, for another file, or for another
 * layer than the pieces'. The layer of a single piece has one hash, the root, and two is the least one may ask for.
 */
export function hashesFor(
  layer: PieceLayer,
  metainfo: Metainfo,
  request: HashRequest,
): Uint8Array | undefined {
  const { baseLayer, index, length, proofLayers } = request;
  if (!Buffer.from(metainfo.piecesRoot).equals(request.piecesRoot)) return undefined;
  const shape = imageShape(metainfo.length, metainfo.pieceLength);
  const height = levelsAbove(shape.pieceCount);
  if (baseLayer !== levelsAbove(shape.leafCount)) return undefined;
  if (length < 2 || length > HASHES_MAX || (length & (length - 1)) !== 0) return undefined;
  if (index % length !== 0 || index + length > 2 ** height) return undefined;
  // The root itself is no proof layer: the requester has it.
  if (proofLayers >= height) return undefined;

  const spanLevel = levelsAbove(length);
  // The first log2(length) - 1 proof layers follow from the hashes asked for and are not sent.
  const uncleCount = Math.max(0, proofLayers - (spanLevel - 1));
  const hashes = new Uint8Array((length + uncleCount) * HASH_LENGTH);
  for (let offset = 0; offset < length; offset += 1) {
    hashes.set(layer.node(0, index + offset), offset * HASH_LENGTH);
  }
  for (let uncle = 0; uncle < uncleCount; uncle += 1) {
    const level = spanLevel + uncle;
    const sibling = Math.floor(index / 2 ** level) ^ 1;
    hashes.set(layer.node(level, sibling), (length + uncle) * HASH_LENGTH);
  }
  return hashes;
}
