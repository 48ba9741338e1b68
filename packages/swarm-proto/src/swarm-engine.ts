/**
 * The engine of one node in one swarm: takes one input at a time, yields effects, names the time it wants to be woken. Joins the
 * parts (neighbours, downloader, uploader, announcer, choker, uplink probe) and keeps what concerns all of them; knows no
 * sockets, no files and no clock.
 */
import { assert, type Bitfield, type Random, unreachable } from '@bootswarm/stdx';
import { Announcer } from './announcer.ts';
import { Choker } from './choker.ts';
import { Downloader } from './downloader.ts';
import type { EngineSnapshot, SwarmEffect, SwarmInput } from './engine-io.ts';
import { DEFAULT_LIMITS, PATROL_MS, type SwarmLimits } from './limits.ts';
import { Neighbours } from './neighbours.ts';
import { Peer } from './peer.ts';
import type { PeerMessage } from './peer-message.ts';
import { type SwarmShape, SwarmState } from './swarm-state.ts';
import { TokenBucket } from './token-bucket.ts';
import { UplinkProbe } from './uplink-probe.ts';
import { Uploader } from './uploader.ts';

export interface SwarmEngineOptions {
  readonly shape: SwarmShape;
  /** Name of this node, as in the member order. */
  readonly node: string;
  /** The first seeder: has everything, fetches nothing. */
  readonly isOrigin: boolean;
  /** Pieces held at the start, all-zero pieces included: those are never asked for. The engine keeps and updates it. */
  readonly have: Bitfield;
  readonly random: Random;
  readonly limits?: Partial<SwarmLimits>;
  /** Bytes of pieces that may leave, in bytes and ms; engines of one process may share it. Default: no limit. */
  readonly uploadBudget?: TokenBucket;
}

export class SwarmEngine<Payload> {
  readonly #state: SwarmState<Payload>;
  readonly #neighbours: Neighbours<Payload>;
  readonly #downloader: Downloader<Payload>;
  readonly #uploader: Uploader<Payload>;
  readonly #announcer: Announcer<Payload>;
  readonly #choker: Choker<Peer>;
  readonly #probe: UplinkProbe<Payload>;
  #patrolAt = Infinity;
  #rechokeAt = Infinity;

  constructor(options: SwarmEngineOptions) {
    const limits = { ...DEFAULT_LIMITS, ...options.limits };
    const uploadBudget = options.uploadBudget ?? new TokenBucket(Infinity, Infinity);
    this.#state = new SwarmState({ ...options, limits, uploadBudget });
    this.#neighbours = new Neighbours(this.#state);
    this.#downloader = new Downloader(this.#state, this.#neighbours);
    this.#uploader = new Uploader(this.#state, {
      wantForPeer: (pieceIndex, pieceClass) => this.#downloader.wantForPeer(pieceIndex, pieceClass),
      unwantForPeer: (pieceIndex) => this.#downloader.unwantForPeer(pieceIndex),
      isReadable: (pieceIndex) => this.#downloader.flights.get(pieceIndex)?.state === 'storing',
      confess: () => this.#neighbours.suspect(this.#state.node),
      isConnected: (node) => this.#neighbours.peerOf(node) !== undefined,
    });
    this.#announcer = new Announcer(this.#state);
    this.#choker = new Choker(limits.uploadSlots, options.random);
    this.#probe = new UplinkProbe(this.#state, {
      isNear: (peer) => this.#neighbours.isNear(peer),
      placesApart: (peer) => this.#neighbours.placesApart(peer),
      isWorking: () => this.#downloader.flights.size > 0 || this.#uploader.isServing,
      onSlow: (until) => this.#uploader.leaveRelaying(until),
      onRecovered: () => this.#uploader.resumeRelaying(),
      onMeasured: () => this.#uploader.pump(),
    });
  }

  /** Takes one event. `now` never goes back. */
  handle(input: SwarmInput<Payload>, now: number): void {
    assert(now >= this.#state.now, 'time went back');
    this.#state.now = now;
    this.#dispatch(input);
    if (!this.#state.isOrigin) this.#downloader.schedule();
    this.#setPatrol();
  }

  /** The next effect, or undefined when all are taken. */
  poll(): SwarmEffect<Payload> | undefined {
    return this.#state.poll();
  }

  /** When to handle `wake`; Infinity when nothing is due. */
  timeout(): number {
    return Math.min(
      this.#patrolAt,
      this.#rechokeAt,
      this.#announcer.flushAt,
      this.#neighbours.nextDialAt,
      this.#uploader.resumeAt,
      this.#probe.wakeAt,
    );
  }

  snapshot(): EngineSnapshot {
    return {
      have: this.#state.have,
      stats: this.#state.stats,
      peers: this.#state.peers.size,
      demandsOpen: this.#downloader.flights.demands,
      requestsInFlight: this.#downloader.flights.askedCount,
    };
  }

  #dispatch(input: SwarmInput<Payload>): void {
    switch (input.type) {
      case 'message':
        return this.#onMessage(input.peer, input.message);
      case 'demand':
        return this.#downloader.demand(input.pieceIndex);
      case 'demand-over':
        return this.#downloader.demandOver(input.pieceIndex);
      case 'prefetch':
        return this.#downloader.prefetch(input.pieceIndexes);
      case 'read-ahead':
        return this.#downloader.readAhead(input.behind, input.pieceIndexes);
      case 'fill':
        return this.#downloader.filler.enable(input.enabled);
      case 'verified':
        return this.#onVerified(input);
      case 'stored':
        return this.#onStored(input.pieceIndex, input.isKept);
      case 'lost':
        return this.#downloader.onLost(input.pieceIndex);
      case 'uploaded':
        return this.#withPeer(input.peer, (peer) => this.#uploader.onUploaded(peer, input));
      case 'peer-congested':
        return this.#withPeer(input.peer, (peer) => {
          peer.isCongested = true;
        });
      case 'peer-drained':
        return this.#withPeer(input.peer, (peer) => {
          peer.isCongested = false;
          this.#uploader.onDrained(peer);
        });
      case 'peer-connected':
        return this.#onPeerConnected(input);
      case 'peer-disconnected':
        return this.#withPeer(input.peer, (peer) => this.#onPeerGone(peer));
      case 'dial-failed':
        return this.#neighbours.onDialFailed(input.key);
      case 'members':
        return this.#neighbours.setMembers(input.members, input.origins);
      case 'wake':
        return this.#onWake();
      default:
        return unreachable(input);
    }
  }

  /** Late inputs about a wire that is already gone are normal, and mean nothing. */
  #withPeer(id: number, act: (peer: Peer) => void): void {
    const peer = this.#state.peers.get(id);
    if (peer) act(peer);
  }

  #onPeerConnected(input: Extract<SwarmInput<Payload>, { type: 'peer-connected' }>): void {
    const { limits, shape, peers, isOrigin } = this.#state;
    // The origin asks nobody for anything: what each of its thousands of peers has is not kept.
    const pieceCount = isOrigin ? 0 : shape.pieceCount;
    const peer = new Peer(input.peer, input.identity, input.dialled, pieceCount, limits);
    const { refuse, other } = this.#neighbours.admit(peer);
    // The last places are for those we dial ourselves: a parent matters more than one more child.
    const reserved = input.dialled === undefined ? limits.peersDialledMin : 0;
    const isFull = peers.size >= limits.peersMax - reserved;
    const idlest = isFull ? this.#neighbours.idlest() : undefined;
    const code = refuse ?? (isFull && !idlest ? 'too-many-peers' : undefined);
    if (code !== undefined) {
      this.#state.emit({ type: 'disconnect', peer: peer.id, code });
      this.#neighbours.onGone(peer);
      return;
    }
    if (other) this.#drop(other, 'duplicate-wire');
    else if (idlest) this.#drop(idlest, 'making-room');
    peer.usedAt = this.#state.now;
    peers.set(peer.id, peer);
    this.#downloader.availability.join(peer.have);
    if (peer.isOrigin) peer.isSeeder = true;
    else this.#sendHave(peer);
    // Between our own agents nobody stays choked: the order of uploads is decided by class, not by barter.
    if (peer.isOurs) this.#setChoking(peer, false);
    if (isOrigin) return;
    this.#uploader.greet(peer);
    this.#probe.onConnected(peer);
    if (!peer.isOurs && this.#rechokeAt === Infinity) {
      this.#rechokeAt = this.#state.now + limits.rechokeMs;
    }
  }

  #drop(peer: Peer, code: string): void {
    this.#state.emit({ type: 'disconnect', peer: peer.id, code });
    this.#onPeerGone(peer);
  }

  /** First of all messages on a wire (BEP 3). */
  #sendHave(peer: Peer): void {
    const { have } = this.#state;
    if (have.isFull) this.#state.send(peer, { type: 'have-all' });
    else if (have.count === 0) this.#state.send(peer, { type: 'have-none' });
    else this.#state.send(peer, { type: 'bitfield', bitfield: have.clone() });
  }

  #onPeerGone(peer: Peer): void {
    const { peers } = this.#state;
    peers.delete(peer.id);
    this.#neighbours.onGone(peer);
    this.#downloader.abandon(peer, false);
    this.#uploader.onPeerGone(peer);
    this.#probe.onGone(peer);
    this.#downloader.availability.leave(peer.have);
  }

  #onMessage(id: number, message: PeerMessage<Payload>): void {
    const peer = this.#state.peers.get(id);
    if (peer === undefined) return;
    peer.heard(this.#state.now);
    switch (message.type) {
      case 'piece':
        return this.#downloader.onPiece(peer, message);
      case 'have':
        return this.#onHave(peer, message.pieceIndexes);
      case 'bitfield':
        return this.#onBitfield(peer, message.bitfield);
      case 'have-all':
        return this.#onSeeder(peer);
      case 'have-none':
        return;
      case 'request':
        return this.#uploader.onRequest(peer, message);
      case 'priority':
        return this.#uploader.onPriority(peer, message.pieceIndex, message.pieceClass);
      case 'cancel':
        return this.#uploader.onCancel(peer, message);
      case 'reject':
        return this.#downloader.onReject(peer, message.pieceIndex);
      case 'redirect': {
        const { pieceIndex, lease: number, node } = message;
        return this.#downloader.onRedirect(peer, pieceIndex, { number, node });
      }
      case 'ping':
        return this.#onPing(peer);
      case 'pong':
        return this.#onPong(peer, message.bytesPerMs);
      case 'busy':
        return this.#downloader.patrol.onBusy(peer);
      case 'choke':
        peer.peerIsChoking = true;
        return this.#downloader.abandon(peer, false);
      case 'unchoke':
        peer.peerIsChoking = false;
        return;
      case 'interested':
        return this.#onInterested(peer);
      case 'not-interested':
        peer.peerIsInterested = false;
        return;
      default:
        return unreachable(message);
    }
  }

  #onPing(peer: Peer): void {
    this.#state.send(peer, { type: 'pong', bytesPerMs: this.#probe.bytesPerMs });
  }

  /** One that answers no ping means nothing. */
  #onPong(peer: Peer, bytesPerMs: number): void {
    if (peer.pongs === peer.pings) return;
    peer.pongs += 1;
    this.#probe.onPong(peer, peer.pongs, bytesPerMs);
  }

  #onBitfield(peer: Peer, bitfield: Bitfield): void {
    if (this.#state.isOrigin) return;
    if (bitfield.isFull) return this.#onSeeder(peer);
    this.#downloader.availability.addAll(peer.have, bitfield);
    this.#updateInterest(peer);
  }

  #onSeeder(peer: Peer): void {
    peer.isSeeder = true;
    this.#updateInterest(peer);
  }

  #onHave(peer: Peer, pieceIndexes: readonly number[]): void {
    if (peer.isSeeder || this.#state.isOrigin) return;
    for (const index of pieceIndexes) this.#downloader.availability.add(peer.have, index);
    // Its pieces stay counted: counting them out again would touch every piece.
    if (peer.have.isFull) peer.isSeeder = true;
    this.#updateInterest(peer);
  }

  /** Foreign peers serve only those who say they are interested; ours do not ask. */
  #updateInterest(peer: Peer): void {
    if (peer.isOurs || peer.amInterested || this.#state.have.isFull) return;
    peer.amInterested = true;
    this.#state.send(peer, { type: 'interested' });
  }

  #onInterested(peer: Peer): void {
    peer.peerIsInterested = true;
    if (peer.isOurs || !peer.amChoking) return;
    if (this.#choker.hasFreeSlot(this.#foreignPeers())) this.#setChoking(peer, false);
  }

  #setChoking(peer: Peer, isChoking: boolean): void {
    peer.amChoking = isChoking;
    this.#state.send(peer, { type: isChoking ? 'choke' : 'unchoke' });
    if (isChoking) this.#uploader.rejectAll(peer);
  }

  #foreignPeers(): Peer[] {
    return [...this.#state.peers.values()].filter((peer) => !peer.isOurs);
  }

  #onVerified(input: Extract<SwarmInput<Payload>, { type: 'verified' }>): void {
    if (input.isGood) {
      const isHeldFor = this.#downloader.onVerified(input.pieceIndex);
      if (isHeldFor) this.#uploader.release(input.pieceIndex);
      return;
    }
    const peer = this.#downloader.onRefuted(input.pieceIndex);
    // The whole piece came from this one peer: one wrong hash is proof, even if its wire is gone by now.
    this.#neighbours.ban(peer);
    if (!this.#state.peers.has(peer.id)) return;
    this.#drop(peer, 'piece-refuted');
  }

  #onStored(pieceIndex: number, isKept: boolean): void {
    this.#downloader.onStored(pieceIndex, isKept);
    if (!isKept) return;
    this.#announcer.add(pieceIndex);
    if (!this.#state.have.isFull) return;
    for (const peer of this.#foreignPeers()) {
      if (peer.amInterested) this.#state.send(peer, { type: 'not-interested' });
      peer.amInterested = false;
    }
  }

  #onWake(): void {
    const { now, have, limits } = this.#state;
    if (now >= this.#announcer.flushAt) this.#announcer.flush();
    if (now >= this.#neighbours.nextDialAt) this.#neighbours.dialDue();
    if (now >= this.#uploader.resumeAt) this.#uploader.pump();
    this.#probe.wake();
    if (now >= this.#patrolAt) {
      const lateMs = now - this.#patrolAt;
      this.#patrolAt = Infinity;
      this.#downloader.patrol.walk(lateMs);
      this.#uploader.patrol();
    }
    if (now >= this.#rechokeAt) {
      const foreign = this.#foreignPeers();
      for (const peer of this.#choker.rechoke(foreign, have.isFull)) {
        this.#setChoking(peer, !peer.amChoking);
      }
      this.#rechokeAt = foreign.length > 0 ? now + limits.rechokeMs : Infinity;
    }
  }

  /** Lateness, our own and others', is looked for only while something is awaited. */
  #setPatrol(): void {
    const { flights, filler } = this.#downloader;
    if (this.#state.isOrigin) return;
    const isAwaiting = flights.size > 0 || filler.isEnabled || this.#uploader.isBacklogged;
    if (!isAwaiting) this.#patrolAt = Infinity;
    else if (this.#patrolAt === Infinity) this.#patrolAt = this.#state.now + PATROL_MS;
  }
}
