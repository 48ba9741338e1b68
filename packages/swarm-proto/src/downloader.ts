/**
 * Gets pieces: demand at once, boot order next, then fill. Opens requests and takes answers. Whom to ask is SourceChooser's
 * decision, what to fill Filler's, and whom to give up Patrol's.
 */
import { Bitfield } from '@bootswarm/stdx';
import { Availability } from './availability.ts';
import type { OriginReason } from './engine-io.ts';
import type { FillPick } from './fill-picker.ts';
import { Filler } from './filler.ts';
import { type Flight, Flights } from './flights.ts';
import { Frontier } from './frontier.ts';
import type { Neighbours } from './neighbours.ts';
import type { Lease } from './origin-leases.ts';
import { Patrol } from './patrol.ts';
import type { Peer, Request } from './peer.ts';
import type { PeerMessage, PieceClass } from './peer-message.ts';
import { PrefetchQueue } from './prefetch-queue.ts';
import { sourceOf } from './received-bytes.ts';
import { RelayTree } from './relay-tree.ts';
import { type Choice, SourceChooser } from './source-chooser.ts';
import type { SwarmState } from './swarm-state.ts';
import { UsualLatency } from './usual-latency.ts';

type PieceMessage<Payload> = Extract<PeerMessage<Payload>, { type: 'piece' }>;

/** Behind so many pieces that cannot be asked for now, the rest wait unseen: to look at all at every event is quadratic. */
const STUCK_MAX = 32;

export class Downloader<Payload> {
  readonly #state: SwarmState<Payload>;
  readonly #neighbours: Neighbours<Payload>;
  readonly #chooser: SourceChooser<Payload>;
  readonly filler: Filler<Payload>;
  readonly availability: Availability;
  readonly flights = new Flights();
  readonly patrol: Patrol<Payload>;
  readonly #frontier = new Frontier();
  /** Pieces that some boot order or read-ahead has named: others are on their way with them. */
  readonly #expected: Bitfield;
  /** Of flights being verified. */
  readonly #payloads = new Map<number, { payload: Payload; sender: Peer }>();
  readonly #bootOrder = new PrefetchQueue();
  readonly #prefetchMax: number;
  readonly #usualLatency: UsualLatency;

  constructor(state: SwarmState<Payload>, neighbours: Neighbours<Payload>) {
    this.#state = state;
    this.#neighbours = neighbours;
    this.availability = new Availability(state.shape.pieceCount);
    this.#chooser = new SourceChooser(state, neighbours);
    this.filler = new Filler(state, neighbours, this.availability, this);
    this.patrol = new Patrol(state, neighbours, this.flights, this.#chooser, this);
    const { have, limits, shape } = state;
    this.#expected = new Bitfield(shape.pieceCount);
    this.#usualLatency = new UsualLatency(limits.hedgeMinMs);
    const byBytes = Math.max(4, Math.floor(limits.prefetchBytesMax / shape.pieceLength));
    this.#prefetchMax = Math.min(limits.prefetchInFlightMax, byBytes);
    for (let index = have.nextClear(0); index >= 0; index = have.nextClear(index + 1)) {
      this.availability.list(index);
    }
  }

  prefetch(pieceIndexes: readonly number[]): void {
    this.#bootOrder.append(pieceIndexes);
    for (const pieceIndex of pieceIndexes) this.#expected.set(pieceIndex);
  }

  /** Where a guest in front of the swarm goes, its read-ahead goes too: to the origin at once. */
  readAhead(behind: number, pieceIndexes: readonly number[]): void {
    if (this.#expected.has(behind)) return;
    for (const pieceIndex of pieceIndexes) {
      if (!this.hasPrefetchRoom()) return;
      if (this.#state.have.has(pieceIndex) || this.flights.get(pieceIndex)) continue;
      const flight = this.#begin(pieceIndex, 'boot-order');
      flight.isFirstTouch = this.#frontier.isInFront;
      this.#assign(flight);
    }
  }

  demand(pieceIndex: number): void {
    if (this.#state.have.has(pieceIndex)) return;
    this.#state.demandedAt = this.#state.now;
    const flight = this.#want(pieceIndex, 'demand');
    flight.isOwn = true;
    this.flights.setDemanded(flight, true);
  }

  demandOver(pieceIndex: number): void {
    const flight = this.flights.get(pieceIndex);
    if (flight === undefined) return;
    this.flights.setDemanded(flight, false);
    this.#dropIfUnwanted(flight);
  }

  wantForPeer(pieceIndex: number, pieceClass: PieceClass): void {
    const isNew = this.flights.get(pieceIndex) === undefined;
    const flight = this.#want(pieceIndex, pieceClass);
    flight.holders += 1;
    if (isNew) flight.isOwn = false;
  }

  unwantForPeer(pieceIndex: number): void {
    const flight = this.flights.get(pieceIndex);
    if (flight === undefined || flight.holders === 0) return;
    flight.holders -= 1;
    const isForNobody = flight.holders === 0 && !flight.isOwn;
    if (isForNobody && flight.state === 'asked') this.#cancelOthers(flight, undefined);
    this.#dropIfUnwanted(flight);
  }

  /** Opens as many requests as the pipelines take, most urgent class first. */
  schedule(): void {
    let stuck = 0;
    for (const flight of this.flights.waiting) {
      if (this.#assign(flight) !== 'ask') stuck += 1;
      if (stuck >= STUCK_MAX) break;
    }
    for (let next = this.#bootOrder.first; next !== undefined; next = this.#bootOrder.first) {
      if (!this.hasPrefetchRoom()) break;
      const flight = this.flights.get(next);
      if (flight !== undefined) flight.isOwn = true;
      else if (!this.#state.have.has(next)) {
        // Without any source it keeps its turn.
        if (this.#assign(this.#begin(next, 'boot-order')) === 'none') break;
      }
      this.#bootOrder.advance();
    }
    if (this.filler.isEnabled) this.filler.fill();
  }

  /** A wire says `piece`. The payload goes to be verified if anybody here still wants it. */
  onPiece(peer: Peer, message: PieceMessage<Payload>): void {
    const { pieceIndex, length, payload } = message;
    const request = peer.settle(pieceIndex);
    if (request) this.#answered(peer, request);
    const flight = this.flights.get(pieceIndex);
    if (flight === undefined || flight.state === 'verifying' || flight.state === 'storing') {
      this.#state.stats.bytesWasted += length;
      return;
    }
    const [first] = flight.asked;
    if (peer.isOrigin && request && flight.isFirstTouch) this.#frontier.granted();
    this.#cancelOthers(flight, peer);
    this.flights.verify(flight);
    this.#state.emit({ type: 'verify', pieceIndex, peer: peer.id, payload });
    this.#payloads.set(pieceIndex, { payload, sender: peer });
    if (first !== undefined) this.patrol.onPiece(flight, first, peer);
  }

  #answered(peer: Peer, request: Request): void {
    const { now, limits } = this.#state;
    peer.answered(request, now);
    const isInTime = this.#usualLatency.add(now - request.sentAt);
    peer.standing.answered(now, isInTime, limits.requestsInFlightMax);
  }

  /** The hash is right: verifying → storing, and the piece goes to those who wait. Returns whether peers are among them. */
  onVerified(pieceIndex: number): boolean {
    const flight = this.flights.get(pieceIndex)!;
    const isPrefetch = !flight.isDemanded;
    const { payload, sender } = this.#payloads.get(pieceIndex)!;
    const isFromOrigin = sender.isOrigin;
    const isHeldFor = flight.holders > 0;
    this.#payloads.delete(pieceIndex);
    const length = this.#state.lengthOf(pieceIndex);
    const { stats } = this.#state;
    if (isFromOrigin) stats.bytesFromOrigin += length;
    else stats.bytesFromPeers += length;
    stats.received[sourceOf(sender, this.#neighbours.isNear(sender))][flight.pieceClass] += length;
    if (flight.pieceClass === 'fill') this.filler.got(pieceIndex);
    else this.filler.forget(pieceIndex);
    this.flights.store(flight);
    this.#state.emit({ type: 'deliver', pieceIndex, payload, isFromOrigin, isPrefetch });
    return isHeldFor;
  }

  /** The hash is wrong: verifying → waiting, and its sender is not asked for it again. Returns the sender. */
  onRefuted(pieceIndex: number): Peer {
    const { sender } = this.#payloads.get(pieceIndex)!;
    this.#payloads.delete(pieceIndex);
    this.#state.stats.bytesWasted += this.#state.lengthOf(pieceIndex);
    this.#state.stats.piecesRefuted += 1;
    const flight = this.flights.get(pieceIndex)!;
    this.flights.refute(flight, sender.id);
    this.#dropIfUnwanted(flight);
    return sender;
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

  /** From the origin: somebody was sent the piece before us. Its reject follows. */
  onRedirect(peer: Peer, pieceIndex: number, lease: Lease): void {
    const flight = this.flights.get(pieceIndex);
    if (!peer.isOrigin || flight === undefined || !flight.asked.includes(peer.id)) return;
    if (flight.isFirstTouch) this.#frontier.redirected(this.#state.now);
    flight.isFirstTouch = false;
    flight.lease = lease;
    flight.leasedAt = this.#state.now;
    flight.isRedirected = true;
  }

  onReject(peer: Peer, pieceIndex: number): void {
    if (peer.settle(pieceIndex) === undefined) return;
    if (peer.has(pieceIndex) && !peer.isOrigin) peer.rejected(this.#state.now);
    const flight = this.flights.get(pieceIndex);
    if (flight === undefined) return;
    if (peer.isOrigin && flight.isRedirected) return this.#onRedirected(flight, peer);
    flight.refusedBy.push(peer.id);
    this.flights.unask(flight, peer.id);
    this.#dropIfUnwanted(flight);
  }

  /** When the one whom the origin names is the very one that is late, the origin is told so at once. */
  #onRedirected(flight: Flight, origin: Peer): void {
    flight.isRedirected = false;
    this.flights.unask(flight, origin.id);
    const holder = this.#neighbours.peerOf(flight.lease!.node);
    if (holder !== undefined && flight.asked.includes(holder.id)) {
      this.carryOut(flight, { type: 'ask', peer: origin, originReason: 'lease-failed' });
    } else this.#dropIfUnwanted(flight);
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

  get isEndgame(): boolean {
    return this.filler.isEndgame;
  }

  hasPrefetchRoom(): boolean {
    const { prefetchAsked, storing, waiting } = this.flights;
    return prefetchAsked + storing + waiting.size < this.#prefetchMax;
  }

  askForFill({ pieceIndex, peer }: FillPick, originReason?: OriginReason): void {
    this.#ask(this.#begin(pieceIndex, 'fill'), peer, originReason);
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
    const ahead = this.#mayAskAhead(flight) ? this.#chooser.ahead(flight) : undefined;
    if (ahead) {
      this.#frontier.tried(this.#state.now);
      flight.isFirstTouch = true;
      return this.carryOut(flight, ahead);
    }
    let choice = this.#chooser.first(flight);
    if (choice.type === 'none' && this.#mayRetryRefused(flight)) {
      choice = this.#chooser.first(flight);
    }
    if (choice.type === 'none') this.#dropIfUnwanted(flight);
    return this.carryOut(flight, choice);
  }

  /** A guest of ours wants it or is about to, the first we know of, and it was not asked of the origin before. */
  #mayAskAhead(flight: Flight): boolean {
    const { tree } = this.#neighbours;
    return (
      tree?.isRoot(RelayTree.stripeOf(flight.pieceIndex)) === false &&
      (flight.isDemanded || flight.isFirstTouch) &&
      flight.lease === undefined &&
      !this.#expected.has(flight.pieceIndex) &&
      this.#frontier.mayAskFirst(this.#state.now)
    );
  }

  /** Every source has refused it: they are asked again, but not at once, lest we spin. */
  #mayRetryRefused(flight: Flight): boolean {
    if (flight.refusedBy.length === 0 || this.#state.now < flight.retryAt) return false;
    flight.refusedBy.length = 0;
    flight.retryAt = this.#state.now + this.#state.limits.retryRefusedMs;
    return true;
  }

  /** busy: its best source is asked for enough; to go past it, to the origin in the end, would cost all more than the wait. */
  carryOut(flight: Flight, choice: Choice): Choice['type'] | 'busy' {
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
    const request = { type: 'request', pieceIndex, offset: 0, length, pieceClass } as const;
    const failedLease = peer.isOrigin ? flight.lease?.number : undefined;
    this.#state.send(peer, failedLease === undefined ? request : { ...request, failedLease });
  }

  /** Takes back what was asked of all but the sender. */
  #cancelOthers(flight: Flight, sender: Peer | undefined): void {
    const { pieceIndex } = flight;
    for (const id of [...flight.asked]) {
      this.flights.unask(flight, id);
      const peer = id === sender?.id ? undefined : this.#state.peers.get(id);
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
    this.filler.forget(flight.pieceIndex);
    this.availability.list(flight.pieceIndex);
  }
}
