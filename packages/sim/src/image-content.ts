/**
 * What a node must have before the first piece of an image: signed metainfo and the piece layer, as long as those of a real
 * image with the trace's pieces. Made by the code that publishes images, of hashes that are made up.
 */
import {
  carryLayer,
  createInfo,
  generatePublisherKey,
  type PieceLayer,
  signMetainfo,
} from '@bootswarm/metainfo';
import type { SwarmShape } from '@bootswarm/swarm-proto';
import type { TracePieces } from './boot-trace.ts';

export interface ImageContent {
  /** Pieces of the image. */
  readonly pieceCount: number;
  readonly metainfoBytes: number;
  /** What the swarm of the layer carries; undefined when the layer is in the metainfo. */
  readonly layer: SwarmShape | undefined;
}

export function imageContentOf(pieces: TracePieces): ImageContent {
  const { pieceCount, pieceLength, length, zero } = pieces;
  const piecesRoot = new Uint8Array(32);
  const metainfo = createInfo({ name: 'debian-12', length, pieceLength, piecesRoot });
  // Only its length counts, which depends on nothing but the zero pieces.
  const layer: PieceLayer = {
    pieceCount,
    bytes: new Uint8Array(pieceCount * 32).fill(1),
    isZero: (index) => zero.has(index),
    zeroCount: zero.count,
    verify: () => false,
    isRoot: () => false,
    node: () => piecesRoot,
  };
  const { carried } = carryLayer(metainfo, layer);
  const metainfoBytes = signMetainfo(metainfo, generatePublisherKey(), carried).length;
  if (carried.type === 'inline') return { pieceCount, metainfoBytes, layer: undefined };
  const { pieceCount: count, pieceLength: pieceBytes, length: bytes } = carried.metainfo;
  const shape = { pieceCount: count, pieceLength: pieceBytes, length: bytes };
  return { pieceCount, metainfoBytes, layer: shape };
}
