/**
 * What two peers say to each other once their handshakes are done, independent of its encoding (peer-wire encodes it).
 * `Payload` is opaque: bytes between real peers, a length in the simulator.
 */
import type { Bitfield } from '@bootswarm/stdx';

/** demand: a guest waits; boot-order: will be read soon; fill: the rest. Lower index goes first in every queue. */
export const PIECE_CLASSES = ['demand', 'boot-order', 'fill'] as const;
export type PieceClass = (typeof PIECE_CLASSES)[number];

/**
 * Between our own agents a request is a whole piece (offset 0, length of the piece), may be made for a piece that the
 * other side does not have yet, and is then kept open. A foreign peer asks for at most 16 KiB of a piece it was
 * told of; towards one, peer-wire splits our whole-piece requests into 16 KiB blocks and joins the answers.
 */
export type PeerMessage<Payload> =
  | { readonly type: 'choke' }
  | { readonly type: 'unchoke' }
  | { readonly type: 'interested' }
  | { readonly type: 'not-interested' }
  | { readonly type: 'bitfield'; readonly bitfield: Bitfield }
  | { readonly type: 'have-all' }
  | { readonly type: 'have-none' }
  /** Pieces newly had. At most haveBatchMax of them; one message per batch to ours, one `have` each to foreign peers. */
  | { readonly type: 'have'; readonly pieceIndexes: readonly number[] }
  | {
      readonly type: 'request';
      readonly pieceIndex: number;
      readonly offset: number;
      readonly length: number;
      readonly pieceClass: PieceClass;
      /** To the origin: the number of its lease whose holder has failed us, if it has redirected us before. */
      readonly failedLease?: number;
    }
  /**
   * From the origin, just before it rejects a request: this node has been sent the piece, ask it. `lease` tells this holder
   * from those before it.
   */
  | {
      readonly type: 'redirect';
      readonly pieceIndex: number;
      readonly lease: number;
      readonly node: string;
    }
  /**
   * Are you there? Asked of one of ours that is late and silent; answered at once, before any piece. `padding`: bytes of no
   * meaning, to measure our uplink.
   */
  | { readonly type: 'ping'; readonly padding: number }
  /** `bytesPerMs`: what the answerer's uplink has at least, a whole number below 2^32; 0 while it does not know. */
  | { readonly type: 'pong'; readonly bytesPerMs: number }
  /** I cannot send in good time what you asked me for, and will not be able to for a while: ask others. */
  | { readonly type: 'busy' }
  /** Moves an outstanding request of ours to another class (a guest now waits for what was prefetch). */
  | { readonly type: 'priority'; readonly pieceIndex: number; readonly pieceClass: PieceClass }
  | {
      readonly type: 'cancel';
      readonly pieceIndex: number;
      readonly offset: number;
      readonly length: number;
    }
  | {
      readonly type: 'reject';
      readonly pieceIndex: number;
      readonly offset: number;
      readonly length: number;
    }
  | {
      readonly type: 'piece';
      readonly pieceIndex: number;
      readonly offset: number;
      readonly length: number;
      readonly payload: Payload;
    };

/** Who is at the far end of a wire, learned from its handshakes. Claims, not proofs. */
export type PeerIdentity =
  | {
      readonly kind: 'ours';
      /** Name of the node, unique in the cloud; the tracker's member list uses the same. */
      readonly node: string;
      readonly zone: string;
      readonly rack: string;
      /** The first seeder, which reads the original image. */
      readonly isOrigin: boolean;
    }
  /** Any other BitTorrent v2 client. `client` is its BEP 10 `v`, or empty. */
  | { readonly kind: 'foreign'; readonly client: string; readonly requestsInFlightMax: number };
