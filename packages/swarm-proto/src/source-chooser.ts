/**
 * Chooses whom to ask for one piece. First those near us who have it, the one that would finish soonest; then, in the order of
 * the relay tree, those who will have it; then those far away; the origin only when it is our turn or nobody else is left, and
 * then with a reason. Whoever the origin has named instead of itself is asked before the origin is asked again.
 */
import type { OriginReason } from './engine-io.ts';
import type { Flight } from './flights.ts';
import type { Neighbours } from './neighbours.ts';
import type { Peer } from './peer.ts';
import { RelayTree } from './relay-tree.ts';
import type { SwarmState } from './swarm-state.ts';

export type Choice =
  | { readonly type: 'ask'; readonly peer: Peer; readonly originReason?: OriginReason }
  /** A wire is being made: ask again when it is there, or has not come for a while. */
  | { readonly type: 'wait' }
  | { readonly type: 'none' };

const NONE: Choice = { type: 'none' };
const WAIT: Choice = { type: 'wait' };

export class SourceChooser<Payload> {
  readonly #state: SwarmState<Payload>;
  readonly #neighbours: Neighbours<Payload>;

  constructor(state: SwarmState<Payload>, neighbours: Neighbours<Payload>) {
    this.#state = state;
    this.#neighbours = neighbours;
  }

  /** For a piece somebody waits for or will read soon, not asked of anybody yet. */
  first(flight: Flight): Choice {
    const others = this.#others(flight);
    if (others.type !== 'none') return others;
    const origin = this.#origin(flight);
    if (origin.type !== 'none') return origin;
    // Nobody willing is left: better a source that has been silent or slow than none.
    const unwilling = this.holder(flight, true) ?? this.#anyOrigin(flight);
    return unwilling ? { type: 'ask', peer: unwilling } : NONE;
  }

  /** The origin out of turn, for a piece that nobody is known to have; undefined without an open wire to it. */
  ahead(flight: Flight): Choice | undefined {
    if (this.holder(flight)) return undefined;
    const origin = this.#openOrigin(flight);
    if (origin) return { type: 'ask', peer: origin, originReason: 'first-touch' };
    this.#neighbours.reachOrigin();
    return undefined;
  }

  /** A second source for a piece that is late, other than those already asked. */
  another(flight: Flight, isOriginAllowed: boolean): Choice {
    const others = this.#others(flight);
    if (others.type === 'ask') return others;
    if (!isOriginAllowed) return NONE;
    const origin = this.#openOrigin(flight);
    return origin ? { type: 'ask', peer: origin, originReason: 'holder-late' } : NONE;
  }

  /** The peer that has the piece and would finish soonest, near ones first; never the origin. */
  holder(flight: Flight, isUnwillingAllowed = false): Peer | undefined {
    const { peers, now } = this.#state;
    const length = this.#state.lengthOf(flight.pieceIndex);
    let best: Peer | undefined;
    let bestMs = Infinity;
    for (const peer of peers.values()) {
      if (!peer.has(flight.pieceIndex) || peer.isOrigin || peer.peerIsChoking) continue;
      if (!isUnwillingAllowed && !peer.isServing(now)) continue;
      if (!mayAsk(peer, flight)) continue;
      let finishMs = peer.finishMs(length);
      // Where it is, is looked up only of those who may be the best.
      if (finishMs < bestMs && !this.#neighbours.isNear(peer)) finishMs += FAR_MS;
      if (finishMs < bestMs) {
        best = peer;
        bestMs = finishMs;
      }
    }
    return best;
  }

  /** Anybody but the origin. */
  #others(flight: Flight): Choice {
    const { inZone, elsewhere, understudies } = this.#neighbours.sourcesOf(flight.pieceIndex);
    const isBusy = this.#state.busyUntil > this.#state.now;
    const near = this.#relay(flight, isBusy && inZone.length === 0 ? understudies : inZone);
    if (near.type === 'ask') {
      if (flight.pieceClass !== 'demand' || near.peer.has(flight.pieceIndex)) return near;
      const holder = this.holder(flight);
      return holder && this.#isIdle(holder) ? { type: 'ask', peer: holder } : near;
    }
    const holder = this.holder(flight);
    if (holder && this.#neighbours.isNear(holder)) return { type: 'ask', peer: holder };
    if (near.type === 'wait') return near;
    if (holder) return { type: 'ask', peer: holder };
    const far = this.#relay(flight, elsewhere);
    if (far.type !== 'none') return far;
    return flight.lease ? this.#relay(flight, [flight.lease.node], flight.leasedAt) : NONE;
  }

  /**
   * Whether a peer beside the tree may be asked for what it has. Not one that owes us something already: the first to have a
   * piece would be asked by everybody, and its own children, through whom the rest get it, would starve.
   */
  #isIdle(holder: Peer): boolean {
    return holder.requests.size === 0 && this.#neighbours.isNear(holder);
  }

  /** The first of these who can be asked; one that is being dialled is waited for, for a while from `since`. */
  #relay(flight: Flight, nodes: readonly string[], since = flight.wantedAt): Choice {
    const { now, limits } = this.#state;
    const graceEnds = since + limits.dialGraceMs;
    for (const node of nodes) {
      const peer = this.#neighbours.peerOf(node);
      if (peer === undefined || peer.peerIsChoking) {
        if (now < graceEnds && this.#neighbours.reach(node)) return WAIT;
      } else if (
        peer.isServing(now) &&
        mayAsk(peer, flight) &&
        // It waits for this very piece from us: asking back would close a circle.
        !peer.uploads.isHolding(flight.pieceIndex)
      ) {
        return { type: 'ask', peer };
      }
    }
    return NONE;
  }

  #origin(flight: Flight): Choice {
    const origin = this.#openOrigin(flight);
    if (origin) return { type: 'ask', peer: origin, originReason: this.#originReason(flight) };
    const { origins } = this.#neighbours;
    const isOpen = origins.some((peer) => !peer.peerIsChoking);
    if (!isOpen && (origins.length > 0 || this.#neighbours.reachOrigin())) {
      return WAIT;
    }
    return NONE;
  }

  #openOrigin(flight: Flight): Peer | undefined {
    const { now } = this.#state;
    return this.#neighbours.origins.find((peer) => peer.isServing(now) && mayAsk(peer, flight));
  }

  #anyOrigin(flight: Flight): Peer | undefined {
    return this.#neighbours.origins.find((peer) => !peer.peerIsChoking && mayAsk(peer, flight));
  }

  #originReason(flight: Flight): OriginReason {
    if (flight.refusedBy.length > 0) return 'piece-refused';
    if (flight.lease !== undefined) return 'lease-failed';
    const { tree } = this.#neighbours;
    if (tree === undefined) return 'no-holder';
    return tree.isRoot(RelayTree.stripeOf(flight.pieceIndex)) ? 'tree-root' : 'sources-unreachable';
  }
}

/** What a piece from elsewhere must be faster by: between zones the network is what all of them share. */
const FAR_MS = 1_000;

function mayAsk(peer: Peer, flight: Flight): boolean {
  return !flight.asked.includes(peer.id) && !flight.refusedBy.includes(peer.id);
}
