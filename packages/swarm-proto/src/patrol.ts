/**
 * Looks for lateness, every PATROL_MS while anything is awaited. A peer is judged by its progress, not by the age of one piece:
 * in a storm most lateness is queues, and taking those for death makes more of them. A silent peer of ours is asked whether it is
 * there; one that is not is left with everything it owes. A late demand piece is asked of a second source, within a budget;
 * a peer that loses such races is too slow for what it relays, and left as well. Whom to ask instead is SourceChooser's matter.
 */
import type { PeerId } from './engine-io.ts';
import type { Flight, Flights } from './flights.ts';
import { Lateness } from './lateness.ts';
import type { Neighbours } from './neighbours.ts';
import type { Peer } from './peer.ts';
import type { Choice, SourceChooser } from './source-chooser.ts';
import type { SwarmState } from './swarm-state.ts';
import { TokenBucket } from './token-bucket.ts';

/** What the patrol has done to flights. */
export interface FlightKeeper {
  /** Takes everything back that the peer was asked for, and tells it. */
  abandon(peer: Peer, isCancelSent: boolean): void;
  /** Asks whom the choice names. */
  carryOut(flight: Flight, choice: Choice): unknown;
  /** Everything of the fill has been asked for. */
  readonly isEndgame: boolean;
}

/** Sources asked for one piece at a time, hedges included. */
const SOURCES_MAX = 3;

/** Estimates are rough: one who has a late piece is asked for it when it seems faster by this. */
const SOONER_FACTOR = 4;

/** What others sent meanwhile lies in our sockets: it is handled before the next walk. */
const STANDSTILL_MS = 100;

export class Patrol<Payload> {
  readonly #state: SwarmState<Payload>;
  readonly #neighbours: Neighbours<Payload>;
  readonly #flights: Flights;
  readonly #chooser: SourceChooser<Payload>;
  readonly #keeper: FlightKeeper;
  readonly #hedges: TokenBucket;
  readonly #lateness: Lateness;

  constructor(
    state: SwarmState<Payload>,
    neighbours: Neighbours<Payload>,
    flights: Flights,
    chooser: SourceChooser<Payload>,
    keeper: FlightKeeper,
  ) {
    this.#state = state;
    this.#neighbours = neighbours;
    this.#flights = flights;
    this.#chooser = chooser;
    this.#keeper = keeper;
    const { hedgesPerSecond, hedgesBurst } = state.limits;
    this.#lateness = new Lateness(state.limits);
    this.#hedges = new TokenBucket(hedgesPerSecond / 1_000, hedgesBurst);
  }

  /** `lateMs` after it was due: if we stood still ourselves, nobody else is judged for it. */
  walk(lateMs: number): void {
    if (lateMs > STANDSTILL_MS) {
      for (const peer of this.#state.peers.values()) peer.pardon(this.#state.now);
      return;
    }
    for (const peer of this.#state.peers.values()) {
      if (peer.requests.size === 0) continue;
      if (peer.isOurs) this.#judge(peer);
      else this.#judgeForeign(peer);
    }
    const { isEndgame } = this.#keeper;
    for (const flight of this.#flights.values()) {
      if (flight.state !== 'asked' || flight.asked.length >= SOURCES_MAX) continue;
      if (flight.pieceClass === 'demand') this.#hedge(flight);
      else if (isEndgame) this.#hedgeFill(flight);
    }
  }

  /** A piece came that was asked of `first` before all others. */
  onPiece(flight: Flight, first: PeerId, winner: Peer): void {
    const { now, limits } = this.#state;
    this.#hedges.give(limits.hedgesPerPiece);
    if (flight.pieceClass === 'demand') this.#lateness.add(now - lateSince(flight));
    this.#onRace(first, winner);
  }

  /** One of ours says itself that it cannot serve us. */
  onBusy(peer: Peer): void {
    if (peer.isOrigin) return;
    const { now, limits } = this.#state;
    peer.standing.declined(now, limits.busyMs);
    this.#abandon(peer);
  }

  #onRace(first: PeerId, winner: Peer): void {
    if (first === winner.id) {
      winner.racesLost = 0;
      return;
    }
    const loser = this.#state.peers.get(first);
    if (loser === undefined) return;
    loser.racesLost += 1;
    const { racesLostMax } = this.#state.limits;
    if (loser.isOurs && !loser.isOrigin && loser.racesLost >= racesLostMax) this.#avoid(loser);
  }

  /** One of ours answers a ping at once, whatever it waits for itself. */
  #judge(peer: Peer): void {
    const { now, limits } = this.#state;
    const [oldest] = peer.requests.values();
    if (peer.has(oldest.pieceIndex)) {
      const idleMs = now - Math.max(peer.progressAt, oldest.sentAt);
      if (idleMs > limits.owedIdleMs) return this.#leave(peer);
    }
    if (peer.probedAt === 0) {
      const silentMs = now - Math.max(peer.heardAt, oldest.sentAt);
      if (silentMs < limits.probeAfterMs) return;
      peer.probedAt = now;
      this.#state.ping(peer);
    } else if (now - peer.probedAt > limits.deadPeerMs) {
      this.#state.emit({ type: 'disconnect', peer: peer.id, code: 'no-progress' });
    } else if (now - peer.probedAt >= limits.probeTimeoutMs && !peer.isSilent) {
      peer.isSilent = true;
      this.#leave(peer);
    }
  }

  /** A foreign peer can only be judged by what it owes: pieces it says it has. */
  #judgeForeign(peer: Peer): void {
    const { now, limits } = this.#state;
    const [oldest] = peer.requests.values();
    const silentMs = now - Math.max(peer.progressAt, oldest.sentAt);
    if (silentMs <= limits.snubMs) return;
    // Whatever else it sends: only a piece that comes in time restores it.
    peer.standing.failed(now);
    this.#keeper.abandon(peer, true);
  }

  #avoid(peer: Peer): void {
    peer.racesLost = 0;
    this.#leave(peer);
  }

  #leave(peer: Peer): void {
    peer.standing.failed(this.#state.now);
    this.#abandon(peer);
  }

  #abandon(peer: Peer): void {
    this.#keeper.abandon(peer, true);
    // With a slow uplink our own pings leave late: what is silent then may be we.
    if (this.#state.busyUntil > this.#state.now) return;
    if (peer.node !== undefined && !peer.isOrigin) this.#neighbours.suspect(peer.node);
  }

  #hedge(flight: Flight): void {
    const { now } = this.#state;
    if (this.#hedges.isEmpty(now)) return;
    const choice = this.#isLate(flight) ? this.#second(flight) : this.#sooner(flight);
    if (choice.type !== 'ask') return;
    this.#hedges.take(1, now);
    this.#state.stats.hedges += 1;
    this.#keeper.carryOut(flight, choice);
  }

  #second(flight: Flight): Choice {
    const isOriginAllowed = this.#state.now - flight.wantedAt > this.#state.limits.originHedgeMs;
    return this.#chooser.another(flight, isOriginAllowed);
  }

  /** Somebody who has the piece and, as fast as he was until now, had brought it several times over since it was asked for. */
  #sooner(flight: Flight): Choice {
    const holder = this.#chooser.holder(flight);
    if (holder === undefined || holder.download.bytesPerMs === 0) return { type: 'none' };
    const waitedMs = this.#state.now - lateSince(flight);
    const finishMs = holder.finishMs(this.#state.lengthOf(flight.pieceIndex));
    return waitedMs > SOONER_FACTOR * finishMs ? { type: 'ask', peer: holder } : { type: 'none' };
  }

  #hedgeFill(flight: Flight): void {
    if (!this.#isLate(flight)) return;
    const peer = this.#chooser.holder(flight);
    if (peer) this.#keeper.carryOut(flight, { type: 'ask', peer });
  }

  #isLate(flight: Flight): boolean {
    return this.#state.now - lateSince(flight) > this.#lateness.lateAfterMs;
  }
}

/** Since when the last of those asked might have sent it for whoever waits. */
function lateSince(flight: Flight): number {
  return Math.max(flight.askedAt, flight.wantedAt);
}
