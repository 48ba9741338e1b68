/**
 * Where the metainfo of an image says its packed piece layer is: within the metainfo while it is small, otherwise in a swarm
 * of its own, whose content is described as every swarm's is. Decides the limit between the two; fetching is others' matter.
 */
import { ProtocolError } from '@bootswarm/stdx';
import type { BencodeInput, BencodeValue } from './bencode.ts';
import { PIECE_LENGTH_MIN } from './image-shape.ts';
import { createInfo, parseInfo } from './info-dict.ts';
import type { Metainfo, PieceLayer } from './metainfo.ts';
import { isPackedLayerLength, packLayer } from './packed-layer.ts';
import { PieceHasher } from './piece-hasher.ts';
import { makePieceLayer } from './piece-layer.ts';

/** What a swarm carries whose content is the packed piece layer of an image. */
export interface LayerTorrent {
  readonly metainfo: Metainfo;
  /** Of the packed layer's own pieces. */
  readonly layer: PieceLayer;
}

export type CarriedLayer =
  | { readonly type: 'inline'; readonly packed: Uint8Array }
  | ({ readonly type: 'swarm' } & LayerTorrent);

/** 500 pieces of data: 1,000 nodes that fetch it at once cost 16 MB, 0.13 s of the tracker's 1 Gbit/s. */
const INLINE_BYTES_MAX = 16 * 1024;
/** Their hashes are 2 KiB of the metainfo. More pieces would move sooner from node to node, and weigh on the tracker. */
const LAYER_PIECES_MAX = 64;

/** How the layer of an image travels, and its packed form. */
export function carryLayer(
  metainfo: Metainfo,
  layer: PieceLayer,
): { carried: CarriedLayer; packed: Uint8Array } {
  const packed = packLayer(layer);
  if (packed.length <= INLINE_BYTES_MAX) return { carried: { type: 'inline', packed }, packed };
  return { carried: { type: 'swarm', ...layerTorrentOf(metainfo, packed) }, packed };
}

function layerTorrentOf(image: Metainfo, packed: Uint8Array): LayerTorrent {
  const { length } = packed;
  let pieceLength = PIECE_LENGTH_MIN;
  while (length > pieceLength * LAYER_PIECES_MAX) pieceLength *= 2;
  const hasher = new PieceHasher({ length, pieceLength });
  hasher.push(packed);
  const { piecesRoot, pieceLayer } = hasher.finish();
  const name = `${image.imageId}.layer`;
  const metainfo = createInfo({ name, length, pieceLength, piecesRoot });
  return { metainfo, layer: makePieceLayer(metainfo, pieceLayer) };
}

/** For the `layer` of metainfo: `{packed}`, or `{hashes, info}`. */
export function encodeCarriedLayer(carried: CarriedLayer): ReadonlyMap<string, BencodeInput> {
  if (carried.type === 'inline') return new Map([['packed', carried.packed]]);
  return new Map([
    ['hashes', carried.layer.bytes],
    // A byte string, not a dictionary: its bytes are the identity of the swarm.
    ['info', carried.metainfo.infoBytes],
  ]);
}

/** Throws ProtocolError `layer-…`, `info-…` or `piece-layer-mismatch`. What an inline layer holds is not looked at. */
export function parseCarriedLayer(image: Metainfo, value: BencodeValue): CarriedLayer {
  if (!(value instanceof Map)) throw new ProtocolError('layer-malformed');
  const packed = value.get('packed');
  const hashes = value.get('hashes');
  const info = value.get('info');
  if (packed instanceof Uint8Array && value.size === 1) {
    assertLength(image, packed.length, INLINE_BYTES_MAX);
    return { type: 'inline', packed: new Uint8Array(packed) };
  }
  if (!(hashes instanceof Uint8Array && info instanceof Uint8Array && value.size === 2)) {
    throw new ProtocolError('layer-malformed');
  }
  const metainfo = parseInfo(info);
  assertLength(image, metainfo.length, LAYER_PIECES_MAX * metainfo.pieceLength);
  return { type: 'swarm', metainfo, layer: makePieceLayer(metainfo, new Uint8Array(hashes)) };
}

/** The length is what a node sets memory aside for, so it must be one that the image's layer can have. */
function assertLength(image: Metainfo, length: number, lengthMax: number): void {
  const { pieceCount, imageId } = image;
  if (isPackedLayerLength(pieceCount, length) && length <= lengthMax) return;
  throw new ProtocolError('layer-length', { imageId, pieceCount, length });
}
