/**
 * Chooses whom to ask for one piece. First those who have it, the one that would finish soonest; then, in the order of the relay
 * tree, those who will have it; the origin only when it is our turn or nobody else is left, and then with a reason.
 */
import type { OriginReason } from './engine-io.ts';
import type { Flight } from './flights.ts';
import type { Neighbours } from './neighbours.ts';
import type { Peer } from './peer.ts';
import { RelayTree } from './relay-tree.ts';
import type { SwarmState } from './swarm-state.ts';

export type Choice =
  | { readonly type: 'ask'; readonly peer: Peer; readonly originReason?: OriginReason }
  /** A wire is being made: ask again when it is there, at the latest at `until`. */
  | { readonly type: 'wait'; readonly until: number }
  | { readonly type: 'none' };

export class SourceChooser<Payload> {
  readonly #state: SwarmState<Payload>;
  readonly #neighbours: Neighbours<Payload>;

  constructor(state: SwarmState<Payload>, neighbours: Neighbours<Payload>) {
    this.#state = state;
    this.#neighbours = neighbours;
  }

  /** For a piece somebody waits for or will read soon, not asked of anybody yet. */
  first(flight: Flight): Choice {
    const holder = this.holder(flight);
    if (holder) return { type: 'ask', peer: holder };
    const relay = this.#relay(flight);
    if (relay.type !== 'none') return relay;
    const origin = this.#origin(flight);
    if (origin.type !== 'none') return origin;
    // Nobody willing is left: better a source that has been silent than none.
    const silent = this.holder(flight, true);
    return silent ? { type: 'ask', peer: silent } : { type: 'none' };
  }

  /** A second source for a piece that is late, other than those already asked. */
  another(flight: Flight, isOriginAllowed: boolean): Choice {
    const holder = this.holder(flight);
    if (holder) return { type: 'ask', peer: holder };
    const relay = this.#relay(flight);
    if (relay.type === 'ask') return relay;
    if (!isOriginAllowed) return { type: 'none' };
    const origin = this.#origin(flight);
    return origin.type === 'ask' ? { ...origin, originReason: 'holder-late' } : { type: 'none' };
  }

  /** The peer that has the piece and would finish soonest; never the origin. */
  holder(flight: Flight, isSilentAllowed = false): Peer | undefined {
    const length = this.#state.lengthOf(flight.pieceIndex);
    let best: Peer | undefined;
    let bestMs = Infinity;
    for (const peer of this.#state.peers.values()) {
      if (peer.isOrigin || !peer.has(flight.pieceIndex) || peer.peerIsChoking) continue;
      if (peer.isSnubbed && !isSilentAllowed) continue;
      if (!this.#mayAsk(peer, flight)) continue;
      const finishMs = peer.finishMs(length);
      if (finishMs < bestMs) {
        best = peer;
        bestMs = finishMs;
      }
    }
    return best;
  }

  #mayAsk(peer: Peer, flight: Flight): boolean {
    return !flight.asked.includes(peer.id) && !flight.refusedBy.includes(peer.id);
  }

  #relay(flight: Flight): Choice {
    const { now, limits } = this.#state;
    const graceEnds = flight.wantedAt + limits.dialGraceMs;
    for (const node of this.#neighbours.sourcesOf(flight.pieceIndex)) {
      const peer = this.#neighbours.peerOf(node);
      if (peer === undefined || peer.peerIsChoking) {
        if (now < graceEnds && this.#neighbours.reach(node)) {
          return { type: 'wait', until: graceEnds };
        }
      } else if (
        peer.isServing &&
        this.#mayAsk(peer, flight) &&
        // It waits for this very piece from us: asking back would close a circle.
        !peer.uploads.isHolding(flight.pieceIndex)
      ) {
        return { type: 'ask', peer };
      }
    }
    return { type: 'none' };
  }

  #origin(flight: Flight): Choice {
    const { origins } = this.#neighbours;
    const open = origins.filter((peer) => !peer.peerIsChoking);
    const origin = open.find((peer) => this.#mayAsk(peer, flight));
    if (origin) return { type: 'ask', peer: origin, originReason: this.#originReason(flight) };
    if (open.length === 0 && (origins.length > 0 || this.#neighbours.reachOrigin())) {
      return { type: 'wait', until: this.#state.now + this.#state.limits.dialGraceMs };
    }
    return { type: 'none' };
  }

  #originReason(flight: Flight): OriginReason {
    if (flight.refusedBy.length > 0) return 'piece-refused';
    const { tree } = this.#neighbours;
    if (tree === undefined) return 'no-holder';
    return tree.isRoot(RelayTree.stripeOf(flight.pieceIndex)) ? 'tree-root' : 'sources-unreachable';
  }
}
