/** What a wire must know of the swarm it belongs to: identity for the handshake, shape for checking every message. */
import type { HashRequest } from '@bootswarm/metainfo';
import { BufferPool } from '@bootswarm/stdx';
import type { PeerIdentity } from '@bootswarm/swarm-proto';
import { PIECE_HEAD_BYTES } from './message-ids.ts';

/** Bytes of frames kept that no wire uses: the queues of two wires at their high mark. */
const SPARE_BYTES_MAX = 8 * 1024 * 1024;

export interface WireSwarm {
  /** First 20 bytes of the SHA-256 infohash (BEP 52). */
  readonly infoHash: Uint8Array;
  /** Our own 20-byte peer id in this swarm. */
  readonly peerId: Uint8Array;
  readonly pieceCount: number;
  /** Bytes of every piece but the last; a power of two from 16 KiB to 16 MiB. */
  readonly pieceLength: number;
  /** Bytes of the image. */
  readonly length: number;
  /** What we tell peers of ours about ourselves. */
  readonly self: Extract<PeerIdentity, { kind: 'ours' }>;
  /**
   * Received pieces of full length are on these; whoever is done with one gives it back. Looked up for each piece: a wire may be
   * older than the store of its swarm.
   */
  readonly pieceBuffers: BufferPool;
  /** From makeFrameBuffers(): pieces on their way to peers are on these. */
  readonly frameBuffers: BufferPool;
  /** Whether BitTorrent clients that do not speak our extensions may join. */
  readonly foreignPeersAllowed: boolean;
  /**
   * Answers a BEP 52 hash request (message 21) with `count` consecutive hashes followed by the proof, or undefined to
   * reject it. `root` is the pieces root the peer named.
   */
  readonly hashes: (request: HashRequest) => Uint8Array | undefined;
}

/** Buffers for the `piece` messages that all wires of a swarm send. */
export function makeFrameBuffers(pieceLength: number): BufferPool {
  return new BufferPool(PIECE_HEAD_BYTES + pieceLength, Math.ceil(SPARE_BYTES_MAX / pieceLength));
}
