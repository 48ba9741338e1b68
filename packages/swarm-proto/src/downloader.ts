/**
 * Gets pieces: demand at once, boot order next, then fill. Opens requests, takes answers, gives up on the silent, and asks a
 * second source when a guest has waited too long. Whom to ask is SourceChooser's decision, what to fill FillPicker's.
 */
import { Availability } from './availability.ts';
import type { OriginReason } from './engine-io.ts';
import { FillPicker } from './fill-picker.ts';
import { type Flight, Flights } from './flights.ts';
import type { Neighbours } from './neighbours.ts';
import type { Peer } from './peer.ts';
import type { PeerMessage, PieceClass } from './peer-message.ts';
import { type Choice, SourceChooser } from './source-chooser.ts';
import type { SwarmState } from './swarm-state.ts';

type PieceMessage<Payload> = Extract<PeerMessage<Payload>, { type: 'piece' }>;

/** Sources asked for one piece at a time, hedges included. */
const SOURCES_MAX = 3;
/** Behind so many pieces whose source is busy, the rest wait unseen: to look at all of them at every event is quadratic. */
const BUSY_MAX = 32;
/** A peer that rejects this often in a row, of what it says it has, is asked for nothing for a while. */
const REJECTS_IN_A_ROW_MAX = 8;

export class Downloader<Payload> {
  readonly #state: SwarmState<Payload>;
  readonly #neighbours: Neighbours<Payload>;
  readonly #chooser: SourceChooser<Payload>;
  readonly #picker: FillPicker<Payload>;
  readonly availability: Availability;
  readonly flights = new Flights();
  /** Of flights being verified. */
  readonly #payloads = new Map<number, { payload: Payload; isFromOrigin: boolean }>();
  /** Boot order still to be fetched; a cursor instead of shift(), since it can be long. */
  #prefetchQueue: number[] = [];
  #prefetchNext = 0;
  readonly #prefetchMax: number;
  #isFillEnabled = false;
  /** When fill last got a piece from a peer, or one of its own share. */
  #fillProgressAt = 0;
  /** Pieces taken from the origin out of turn, because fill had stalled. */
  readonly #orphans = new Set<number>();

  constructor(state: SwarmState<Payload>, neighbours: Neighbours<Payload>) {
    this.#state = state;
    this.#neighbours = neighbours;
    this.availability = new Availability(state.shape.pieceCount);
    this.#chooser = new SourceChooser(state, neighbours);
    this.#picker = new FillPicker(state, this.availability, neighbours);
    const { have, limits, shape } = state;
    const byBytes = Math.max(4, Math.floor(limits.prefetchBytesMax / shape.pieceLength));
    this.#prefetchMax = Math.min(limits.prefetchInFlightMax, byBytes);
    for (let index = have.nextClear(0); index >= 0; index = have.nextClear(index + 1)) {
      this.availability.list(index);
    }
  }

  get isFillEnabled(): boolean {
    return this.#isFillEnabled && !this.#state.have.isFull;
  }

  setFill(isEnabled: boolean): void {
    this.#isFillEnabled = isEnabled;
    this.#fillProgressAt = this.#state.now;
  }

  prefetch(pieceIndexes: readonly number[]): void {
    this.#prefetchQueue = this.#prefetchQueue.slice(this.#prefetchNext).concat(pieceIndexes);
    this.#prefetchNext = 0;
  }

  demand(pieceIndex: number): void {
    if (this.#state.have.has(pieceIndex)) return;
    this.flights.setDemanded(this.#want(pieceIndex, 'demand'), true);
  }

  demandOver(pieceIndex: number): void {
    const flight = this.flights.get(pieceIndex);
    if (flight === undefined) return;
    this.flights.setDemanded(flight, false);
    this.#dropIfUnwanted(flight);
  }

  wantForPeer(pieceIndex: number, pieceClass: PieceClass): void {
    this.#want(pieceIndex, pieceClass).holders += 1;
  }

  unwantForPeer(pieceIndex: number): void {
    const flight = this.flights.get(pieceIndex);
    if (flight === undefined || flight.holders === 0) return;
    flight.holders -= 1;
    this.#dropIfUnwanted(flight);
  }

  /** Opens as many requests as the pipelines take, most urgent class first. */
  schedule(): void {
    let busy = 0;
    for (const flight of this.flights.waiting) {
      if (this.#assign(flight) === 'busy') busy += 1;
      if (busy >= BUSY_MAX) break;
    }
    while (this.#prefetchNext < this.#prefetchQueue.length && this.#hasPrefetchRoom()) {
      const pieceIndex = this.#prefetchQueue[this.#prefetchNext];
      this.#prefetchNext += 1;
      if (this.#state.have.has(pieceIndex) || this.flights.get(pieceIndex)) continue;
      this.#assign(this.#begin(pieceIndex, 'boot-order'));
    }
    if (this.isFillEnabled) this.#fill();
  }

  /** A wire says `piece`. The payload goes to be verified if anybody here still wants it. */
  onPiece(peer: Peer, message: PieceMessage<Payload>): void {
    const { pieceIndex, length, payload } = message;
    const request = peer.settle(pieceIndex);
    if (request) peer.answered(request, this.#state.now);
    peer.rejectsInARow = 0;
    const flight = this.flights.get(pieceIndex);
    if (flight === undefined || flight.state === 'verifying' || flight.state === 'storing') {
      this.#state.stats.bytesWasted += length;
      return;
    }
    this.#cancelOthers(flight, peer);
    this.flights.verify(flight);
    this.#state.emit({ type: 'verify', pieceIndex, peer: peer.id, payload });
    this.#payloads.set(pieceIndex, { payload, isFromOrigin: peer.isOrigin });
  }

  /** The hash is right: verifying → storing, and the piece goes to those who wait. */
  onVerified(pieceIndex: number): void {
    const flight = this.flights.get(pieceIndex)!;
    const isPrefetch = !flight.isDemanded;
    const { payload, isFromOrigin } = this.#payloads.get(pieceIndex)!;
    this.#payloads.delete(pieceIndex);
    const length = this.#state.lengthOf(pieceIndex);
    if (isFromOrigin) this.#state.stats.bytesFromOrigin += length;
    else this.#state.stats.bytesFromPeers += length;
    const isOrphan = this.#orphans.delete(pieceIndex);
    if (flight.pieceClass === 'fill' && !isOrphan) this.#fillProgressAt = this.#state.now;
    this.flights.store(flight);
    this.#state.emit({ type: 'deliver', pieceIndex, payload, isFromOrigin, isPrefetch });
  }

  /** The hash is wrong: verifying → waiting, and this peer is not asked for it again. */
  onRefuted(pieceIndex: number, peer: number): void {
    this.#payloads.delete(pieceIndex);
    this.#state.stats.bytesWasted += this.#state.lengthOf(pieceIndex);
    this.#state.stats.piecesRefuted += 1;
    const flight = this.flights.get(pieceIndex)!;
    this.flights.refute(flight, peer);
    this.#dropIfUnwanted(flight);
  }

  /** storing → nothing. */
  onStored(pieceIndex: number, isKept: boolean): void {
    const flight = this.flights.get(pieceIndex);
    if (flight?.state !== 'storing') return;
    const isDemandedAgain = flight.isDemanded;
    this.flights.end(flight);
    if (isKept) {
      this.#state.have.set(pieceIndex);
    } else {
      this.availability.list(pieceIndex);
      if (isDemandedAgain) this.demand(pieceIndex);
    }
  }

  onLost(pieceIndex: number): void {
    if (this.#state.have.clear(pieceIndex)) this.availability.list(pieceIndex);
  }

  onReject(peer: Peer, pieceIndex: number): void {
    if (peer.settle(pieceIndex) === undefined) return;
    if (peer.has(pieceIndex)) {
      peer.rejectsInARow += 1;
      if (peer.rejectsInARow >= REJECTS_IN_A_ROW_MAX) peer.isSnubbed = true;
    }
    const flight = this.flights.get(pieceIndex);
    if (flight === undefined) return;
    flight.refusedBy.push(peer.id);
    this.flights.unask(flight, peer.id);
    this.#dropIfUnwanted(flight);
  }

  /** The peer is gone, or chokes us, or is silent: nothing is to be expected of it any more. */
  abandon(peer: Peer, isCancelSent: boolean): void {
    for (const { pieceIndex, length } of [...peer.requests.values()]) {
      peer.settle(pieceIndex);
      if (isCancelSent) {
        this.#state.send(peer, { type: 'cancel', pieceIndex, offset: 0, length });
      }
      const flight = this.flights.get(pieceIndex);
      if (flight === undefined) continue;
      this.flights.unask(flight, peer.id);
      this.#dropIfUnwanted(flight);
    }
  }

  /** Looks for lateness: silent peers, late demand pieces, the last pieces of a fill. */
  patrol(): void {
    const { now, limits } = this.#state;
    for (const peer of this.#state.peers.values()) {
      const owed = oldestOwed(peer);
      if (owed === undefined) continue;
      const silentMs = now - Math.max(peer.progressAt, owed.sentAt);
      if (silentMs > limits.deadPeerMs) {
        this.#state.emit({ type: 'disconnect', peer: peer.id, code: 'no-progress' });
      } else if (silentMs > limits.snubMs && !peer.isSnubbed) {
        peer.isSnubbed = true;
        this.abandon(peer, true);
      }
    }
    const isEndgame = this.isFillEnabled && this.availability.listed === 0;
    for (const flight of this.flights.values()) {
      if (flight.state !== 'asked' || flight.asked.length >= SOURCES_MAX) continue;
      if (flight.pieceClass === 'demand') this.#hedge(flight);
      else if (isEndgame) this.#hedgeFill(flight);
    }
  }

  #hedge(flight: Flight): void {
    const { now, limits, peers } = this.#state;
    const last = peers.get(flight.asked[flight.asked.length - 1]);
    const lateAfter = last?.lateAfterMs(limits) ?? limits.hedgeMinMs;
    if (now - flight.askedAt <= lateAfter) return;
    const isOriginAllowed = now - flight.wantedAt > limits.originHedgeMs;
    this.#carryOut(flight, this.#chooser.another(flight, isOriginAllowed));
  }

  #hedgeFill(flight: Flight): void {
    const { now, limits, peers } = this.#state;
    const last = peers.get(flight.asked[flight.asked.length - 1]);
    if (now - flight.askedAt <= (last?.lateAfterMs(limits) ?? limits.hedgeMinMs)) return;
    const holder = this.#chooser.holder(flight);
    if (holder) this.#ask(flight, holder);
  }

  #want(pieceIndex: number, pieceClass: PieceClass): Flight {
    const flight = this.flights.get(pieceIndex);
    if (flight === undefined) return this.#begin(pieceIndex, pieceClass);
    if (this.flights.raise(flight, pieceClass, this.#state.now)) {
      for (const id of flight.asked) {
        const peer = this.#state.peers.get(id);
        if (peer?.isOurs) this.#state.send(peer, { type: 'priority', pieceIndex, pieceClass });
      }
    }
    return flight;
  }

  #begin(pieceIndex: number, pieceClass: PieceClass): Flight {
    this.availability.unlist(pieceIndex);
    return this.flights.begin(pieceIndex, pieceClass, this.#state.now);
  }

  #assign(flight: Flight): Choice['type'] | 'busy' {
    let choice = this.#chooser.first(flight);
    if (choice.type === 'none' && this.#mayRetryRefused(flight)) {
      choice = this.#chooser.first(flight);
    }
    if (choice.type === 'none') this.#dropIfUnwanted(flight);
    return this.#carryOut(flight, choice);
  }

  /** Every source has refused it: they are asked again, but not at once, lest we spin. */
  #mayRetryRefused(flight: Flight): boolean {
    if (flight.refusedBy.length === 0 || this.#state.now < flight.retryAt) return false;
    flight.refusedBy.length = 0;
    flight.retryAt = this.#state.now + this.#state.limits.retryRefusedMs;
    return true;
  }

  /** busy: its best source is asked for enough; to go past it, to the origin in the end, would cost all more than the wait. */
  #carryOut(flight: Flight, choice: Choice): Choice['type'] | 'busy' {
    if (choice.type !== 'ask') return choice.type;
    if (choice.peer.requests.size >= this.#state.limits.demandInFlightMax) return 'busy';
    this.#ask(flight, choice.peer, choice.originReason);
    return 'ask';
  }

  #ask(flight: Flight, peer: Peer, originReason?: OriginReason): void {
    const { pieceIndex, pieceClass } = flight;
    const length = this.#state.lengthOf(pieceIndex);
    peer.asked({ pieceIndex, length, sentAt: this.#state.now });
    this.flights.ask(flight, peer.id, this.#state.now);
    if (originReason) this.#state.stats.originRequests[originReason] += 1;
    this.#state.send(peer, { type: 'request', pieceIndex, offset: 0, length, pieceClass });
  }

  #cancelOthers(flight: Flight, sender: Peer): void {
    const { pieceIndex } = flight;
    for (const id of [...flight.asked]) {
      this.flights.unask(flight, id);
      const peer = id === sender.id ? undefined : this.#state.peers.get(id);
      const request = peer?.settle(pieceIndex);
      if (peer && request) {
        this.#state.send(peer, { type: 'cancel', pieceIndex, offset: 0, length: request.length });
      }
    }
  }

  /** waiting → nothing, when neither a guest nor a peer waits for it; it can be picked again. */
  #dropIfUnwanted(flight: Flight): void {
    if (flight.state !== 'waiting' || flight.isDemanded || flight.holders > 0) return;
    this.flights.end(flight);
    this.#orphans.delete(flight.pieceIndex);
    this.availability.list(flight.pieceIndex);
  }

  #hasPrefetchRoom(): boolean {
    return this.flights.prefetchAsked + this.flights.storing < this.#prefetchMax;
  }

  #fill(): void {
    const { limits, now } = this.#state;
    while (this.#hasPrefetchRoom()) {
      const pick = this.#picker.fromPeers();
      if (pick === undefined) break;
      this.#ask(this.#begin(pick.pieceIndex, 'fill'), pick.peer);
    }
    const origin = this.#neighbours.origins.find((peer) => peer.isServing);
    if (origin === undefined) {
      this.#reachOriginForFill();
      return;
    }
    const isStalled = now - this.#fillProgressAt > limits.fillStalledMs;
    while (this.#hasPrefetchRoom() && origin.requests.size < limits.fillFromOriginMax) {
      let pick = this.#picker.fromOrigin(origin);
      if (pick === undefined && isStalled) {
        pick = this.#picker.orphan(origin);
        if (pick) this.#orphans.add(pick.pieceIndex);
      }
      if (pick === undefined) break;
      this.#ask(this.#begin(pick.pieceIndex, 'fill'), pick.peer, 'fill-share');
    }
  }

  #reachOriginForFill(): void {
    const isNobodyElse =
      this.availability.bucketSize(0) > 0 && this.#neighbours.origins.length === 0;
    if (isNobodyElse) this.#neighbours.reachOrigin();
  }
}

/** The oldest request for a piece the peer has: for others it may rightly keep us waiting. */
function oldestOwed(peer: Peer): { readonly sentAt: number } | undefined {
  for (const request of peer.requests.values()) if (peer.has(request.pieceIndex)) return request;
  return undefined;
}
