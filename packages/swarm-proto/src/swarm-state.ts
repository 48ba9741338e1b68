/** What all parts of one engine share: the swarm's shape, what we have, the peers, the clock's last value, effects to come. */
import { assert, type Bitfield, type Random } from '@bootswarm/stdx';
import type { PeerId, SwarmEffect, SwarmStats } from './engine-io.ts';
import type { SwarmLimits } from './limits.ts';
import type { Peer } from './peer.ts';
import type { PeerMessage } from './peer-message.ts';
import { noReceivedBytes } from './received-bytes.ts';
import type { TokenBucket } from './token-bucket.ts';

export interface SwarmShape {
  readonly pieceCount: number;
  /** Bytes of every piece but the last. */
  readonly pieceLength: number;
  /** Bytes of the image. */
  readonly length: number;
}

export class SwarmState<Payload> {
  readonly shape: SwarmShape;
  /** Name of our own node. */
  readonly node: string;
  readonly isOrigin: boolean;
  readonly have: Bitfield;
  readonly limits: SwarmLimits;
  readonly random: Random;
  /** Bytes of pieces that may leave. */
  readonly uploadBudget: TokenBucket;
  readonly peers = new Map<PeerId, Peer>();
  readonly stats: SwarmStats = {
    bytesFromPeers: 0,
    bytesFromOrigin: 0,
    received: noReceivedBytes(),
    bytesSent: 0,
    piecesSent: 0,
    bytesWasted: 0,
    piecesRefuted: 0,
    originRequests: {
      'tree-root': 0,
      'no-holder': 0,
      'sources-unreachable': 0,
      'first-touch': 0,
      'lease-failed': 0,
      'holder-late': 0,
      'piece-refused': 0,
      'fill-share': 0,
    },
    hedges: 0,
  };
  /** Of the input being handled. */
  now = 0;
  /** When a guest of ours last asked for what was not here. */
  demandedAt = Number.NEGATIVE_INFINITY;
  /** Until then our uplink is known to be no good for relaying. */
  busyUntil = 0;
  /** Until then no piece is to leave, as our uplink is being measured. */
  uploadsHeldUntil = 0;
  #effects: SwarmEffect<Payload>[] = [];
  #next = 0;

  constructor(options: {
    shape: SwarmShape;
    node: string;
    isOrigin: boolean;
    have: Bitfield;
    limits: SwarmLimits;
    random: Random;
    uploadBudget: TokenBucket;
  }) {
    assert(options.have.size === options.shape.pieceCount, 'have does not fit the swarm');
    this.shape = options.shape;
    this.node = options.node;
    this.isOrigin = options.isOrigin;
    this.have = options.have;
    this.limits = options.limits;
    this.random = options.random;
    this.uploadBudget = options.uploadBudget;
  }

  emit(effect: SwarmEffect<Payload>): void {
    this.#effects.push(effect);
  }

  send(peer: Peer, message: PeerMessage<Payload>): void {
    this.#effects.push({ type: 'send', peer: peer.id, message });
  }

  /** Answers the number of this ping on its wire, counted from 1 on. */
  ping(peer: Peer, padding = 0): number {
    this.send(peer, { type: 'ping', padding });
    peer.pings += 1;
    return peer.pings;
  }

  poll(): SwarmEffect<Payload> | undefined {
    if (this.#next === this.#effects.length) {
      if (this.#next > 0) {
        this.#effects = [];
        this.#next = 0;
      }
      return undefined;
    }
    const effect = this.#effects[this.#next];
    this.#next += 1;
    return effect;
  }

  /** Bytes of this piece; only the last may be short. */
  lengthOf(pieceIndex: number): number {
    const { pieceCount, pieceLength, length } = this.shape;
    return pieceIndex === pieceCount - 1 ? length - pieceIndex * pieceLength : pieceLength;
  }
}
