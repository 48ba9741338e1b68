/**
 * Chooses what to fetch when no guest is waiting: the rarest piece among the peers' that any of them can send now; of what nobody
 * has yet, this node's share from the origin, so that together the nodes take each piece from it once. From other zones a node
 * takes its own share only, so that each zone takes a piece across once.
 */
import type { Availability } from './availability.ts';
import type { Neighbours } from './neighbours.ts';
import type { Peer } from './peer.ts';
import type { SwarmState } from './swarm-state.ts';

export interface FillPick {
  readonly pieceIndex: number;
  readonly peer: Peer;
}

/** Pieces looked at for one pick: bounds the work when the peers with room have none of the rarest. */
const LOOKS_MAX = 32;
/** Pieces of our share skipped in one call because they are had already; one look is a few array reads. */
const SHARE_LOOKS_MAX = 1_024;

export class FillPicker<Payload> {
  readonly #state: SwarmState<Payload>;
  readonly #availability: Availability;
  readonly #neighbours: Neighbours<Payload>;
  #shareCursor = 0;

  constructor(
    state: SwarmState<Payload>,
    availability: Availability,
    neighbours: Neighbours<Payload>,
  ) {
    this.#state = state;
    this.#availability = availability;
    this.#neighbours = neighbours;
  }

  /** The rarest piece that a peer with room has. */
  fromPeers(): FillPick | undefined {
    const { limits, now, demandedAt, shape } = this.#state;
    const isBesideGuests = now - demandedAt < limits.guestsReadMs;
    return this.#rarestOf((peer) => {
      return peer.isServing(now) && peer.hasRoom(shape.pieceLength, isBesideGuests, limits);
    });
  }

  /** The rarest piece of a peer that has been silent or slow, or said it would be, and is asked for nothing now. */
  fromUnwilling(): FillPick | undefined {
    return this.#rarestOf((peer) => !peer.peerIsChoking && peer.requests.size === 0);
  }

  #rarestOf(mayAsk: (peer: Peer) => boolean): FillPick | undefined {
    const roomy: Peer[] = [];
    let seeders = 0;
    for (const peer of this.#state.peers.values()) {
      if (peer.isOrigin || !mayAsk(peer)) continue;
      roomy.push(peer);
      if (peer.isSeeder) seeders += 1;
    }
    if (roomy.length === 0) return undefined;
    let looks = LOOKS_MAX;
    for (let count = seeders > 0 ? 0 : 1; count < this.#availability.bucketCount; count += 1) {
      const size = this.#availability.bucketSize(count);
      if (size === 0) continue;
      const start = this.#state.random.below(size);
      for (let n = 0; n < size && looks > 0; n += 1, looks -= 1) {
        const pieceIndex = this.#availability.at(count, (start + n) % size);
        const peer = this.#soonest(roomy, pieceIndex);
        if (peer) return { pieceIndex, peer };
      }
    }
    return undefined;
  }

  /** The next piece of our share that nobody but the origin has. Looks at a bounded number of pieces per call. */
  fromOrigin(origin: Peer): FillPick | undefined {
    const { tree } = this.#neighbours;
    if (tree === undefined || !tree.isFirstZone) return undefined;
    const { pieceCount } = this.#state.shape;
    for (let looks = SHARE_LOOKS_MAX; looks > 0; looks -= 1) {
      if (!tree.isOwnShare(this.#shareCursor) || this.#shareCursor >= pieceCount) {
        this.#shareCursor = tree.place;
      }
      const pieceIndex = this.#shareCursor;
      this.#shareCursor += tree.shareStep;
      if (pieceIndex >= pieceCount) return undefined;
      if (this.#isWithOriginOnly(pieceIndex)) return { pieceIndex, peer: origin };
    }
    return undefined;
  }

  /** Any piece that nobody but the origin has: whoever should have taken it does not. */
  orphan(origin: Peer): FillPick | undefined {
    const size = this.#availability.bucketSize(0);
    if (size === 0) return undefined;
    const pieceIndex = this.#availability.at(0, this.#state.random.below(size));
    return { pieceIndex, peer: origin };
  }

  #isWithOriginOnly(pieceIndex: number): boolean {
    return this.#availability.isListed(pieceIndex) && this.#availability.count(pieceIndex) === 0;
  }

  #soonest(peers: readonly Peer[], pieceIndex: number): Peer | undefined {
    const length = this.#state.lengthOf(pieceIndex);
    const isOwnShare = this.#neighbours.tree?.isOwnShare(pieceIndex) ?? true;
    let best: Peer | undefined;
    let bestMs = Infinity;
    for (const peer of peers) {
      if (!peer.has(pieceIndex)) continue;
      if (peer.isOurs && !isOwnShare && !this.#neighbours.isNear(peer)) continue;
      const finishMs = peer.finishMs(length);
      if (finishMs < bestMs) {
        best = peer;
        bestMs = finishMs;
      }
    }
    return best;
  }
}
