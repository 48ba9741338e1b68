/**
 * What one node was seen to do, kept beside its engine and judged as it happens: it delivers and serves only what was verified,
 * asks, serves and holds no more than its limits allow, and leaves who sent it a wrong piece. Knows only what crosses the
 * engine's border, so it shares no mistake with it.
 */
import type { Bitfield } from '@bootswarm/stdx';
import type { PeerMessage, SwarmLimits } from '@bootswarm/swarm-proto';
import type { RunChecker } from './run-checker.ts';
import type { SimPayload } from './sim-message.ts';

/** Unanswered requests of one peer at which peer-wire closes (receivedRequestsMax of its wire-limits.ts). */
const RECEIVED_REQUESTS_MAX = 256;

interface WireRecord {
  readonly node: string;
  /** Pieces asked of it and neither answered nor cancelled; true: ahead of any guest. */
  readonly asked: Map<number, boolean>;
  /** Its requests that have no answer yet. */
  owed: number;
  uploadsInHand: number;
}

export interface NodeLedgerOptions {
  readonly name: string;
  readonly run: RunChecker;
  /** Pieces the node has from the start. */
  readonly have: Bitfield;
  readonly pieceLength: number;
  readonly limits: SwarmLimits;
  /** It has verified every piece of the image. */
  readonly onFull?: () => void;
}

export class NodeLedger {
  readonly name: string;
  /** Verified and readable. */
  readonly held: Bitfield;
  /** Pieces brought here since the start. */
  delivered = 0;
  readonly #run: RunChecker;
  readonly #limits: SwarmLimits;
  readonly #prefetchMax: number;
  readonly #onFull: (() => void) | undefined;
  readonly #wires = new Map<number, WireRecord>();
  /** Pieces asked for ahead of any guest, by the number of requests open for each. */
  readonly #ahead = new Map<number, number>();
  readonly #left = new Set<string>();
  #owed = 0;
  #owedPeak = 0;
  #mustLeave = '';

  constructor({ name, run, have, pieceLength, limits, onFull }: NodeLedgerOptions) {
    this.name = name;
    this.#run = run;
    this.held = have.clone();
    this.#limits = limits;
    this.#onFull = onFull;
    const byBytes = Math.max(4, Math.floor(limits.prefetchBytesMax / pieceLength));
    this.#prefetchMax = Math.min(limits.prefetchInFlightMax, byBytes);
  }

  // --- wires -----------------------------------------------------------------------------------------------------------

  onConnected(peer: number, node: string): void {
    this.#wires.set(peer, { node, asked: new Map(), owed: 0, uploadsInHand: 0 });
  }

  onDisconnected(peer: number): void {
    const wire = this.#wires.get(peer);
    if (wire === undefined) return;
    this.#wires.delete(peer);
    this.#owed -= wire.owed;
    for (const [pieceIndex, isAhead] of wire.asked) if (isAhead) this.#endAhead(pieceIndex);
  }

  /** `count`: wires that the engine keeps. */
  onPeers(count: number): void {
    const { peersMax } = this.#limits;
    this.#run.check(count <= peersMax, this, `keeps ${count} wires, ${peersMax} at most`);
  }

  onSent(peer: number, message: PeerMessage<SimPayload>): void {
    const wire = this.#wires.get(peer);
    if (wire === undefined) return;
    switch (message.type) {
      case 'request':
        return this.#onAsk(wire, message.pieceIndex, message.pieceClass !== 'demand');
      case 'priority':
        if (message.pieceClass === 'demand') this.#raise(wire, message.pieceIndex);
        return;
      case 'cancel':
        return this.#settle(wire, message.pieceIndex);
      case 'piece':
      case 'reject':
        wire.owed -= 1;
        this.#owed -= 1;
        return;
    }
  }

  onReceived(peer: number, message: PeerMessage<SimPayload>): void {
    const wire = this.#wires.get(peer);
    if (wire === undefined) return;
    if (message.type === 'piece' || message.type === 'reject') {
      this.#settle(wire, message.pieceIndex);
    } else if (message.type === 'request') {
      wire.owed += 1;
      this.#owed += 1;
      this.#owedPeak = Math.max(this.#owedPeak, this.#owed);
      const isBounded = wire.owed <= RECEIVED_REQUESTS_MAX;
      this.#run.check(isBounded, this, `owes ${wire.node} ${wire.owed} answers`);
    }
  }

  #onAsk(wire: WireRecord, pieceIndex: number, isAhead: boolean): void {
    const { demandInFlightMax } = this.#limits;
    this.#run.check(!this.#left.has(wire.node), this, `asks ${wire.node}, which it has left`);
    if (wire.asked.get(pieceIndex) !== undefined) this.#settle(wire, pieceIndex);
    wire.asked.set(pieceIndex, isAhead);
    const { size } = wire.asked;
    this.#run.check(size <= demandInFlightMax, this, `asks ${wire.node} for ${size} pieces`);
    if (!isAhead) return;
    this.#ahead.set(pieceIndex, (this.#ahead.get(pieceIndex) ?? 0) + 1);
    // What its children wait for it fetches whatever it has in flight of its own.
    const max = this.#prefetchMax + this.#owedPeak;
    this.#run.check(this.#ahead.size <= max, this, `asks ahead for ${this.#ahead.size} pieces`);
  }

  #raise(wire: WireRecord, pieceIndex: number): void {
    if (!wire.asked.get(pieceIndex)) return;
    wire.asked.set(pieceIndex, false);
    this.#endAhead(pieceIndex);
  }

  #settle(wire: WireRecord, pieceIndex: number): void {
    if (wire.asked.get(pieceIndex)) this.#endAhead(pieceIndex);
    wire.asked.delete(pieceIndex);
  }

  #endAhead(pieceIndex: number): void {
    const count = this.#ahead.get(pieceIndex)!;
    if (count > 1) this.#ahead.set(pieceIndex, count - 1);
    else this.#ahead.delete(pieceIndex);
  }

  // --- pieces ----------------------------------------------------------------------------------------------------------

  onDeliver(pieceIndex: number, payload: SimPayload, isFromOrigin: boolean): void {
    this.#run.check(payload === 'good', this, `delivers wrong piece ${pieceIndex}`);
    this.#run.onDeliver(this, pieceIndex, isFromOrigin);
    if (!this.held.set(pieceIndex)) return;
    this.delivered += 1;
    if (this.held.isFull) this.#onFull?.();
  }

  /** A guest's read of these pieces is answered. */
  onAnswered(pieces: readonly number[]): void {
    for (const each of pieces) {
      this.#run.check(this.held.has(each), this, `answers a read of piece ${each} without it`);
    }
  }

  onUpload(peer: number, pieceIndex: number): void {
    const isHeld = this.held.has(pieceIndex);
    this.#run.check(isHeld, this, `sends piece ${pieceIndex}, which it has not verified`);
    this.#run.onUpload(this, pieceIndex);
    const wire = this.#wires.get(peer);
    if (wire === undefined) return;
    wire.uploadsInHand += 1;
    const { uploadsInHandMax } = this.#limits;
    const isBounded = wire.uploadsInHand <= uploadsInHandMax;
    this.#run.check(isBounded, this, `has ${wire.uploadsInHand} uploads in hand`);
  }

  onUploaded(peer: number): void {
    const wire = this.#wires.get(peer);
    if (wire !== undefined) wire.uploadsInHand -= 1;
  }

  // --- wrong pieces ----------------------------------------------------------------------------------------------------

  /** A piece of this peer was hashed and is wrong: the engine is told next. */
  onRefuted(peer: number): void {
    this.#mustLeave = this.#wires.get(peer)?.node ?? '';
  }

  onBan(peerNode: string): void {
    this.#mustLeave = '';
    this.#left.add(peerNode);
    this.#run.onBan(this, peerNode);
  }

  /** The engine has dealt with the wrong piece. */
  onRefutedHandled(): void {
    const node = this.#mustLeave;
    this.#run.check(node === '', this, `stays with ${node}, which sent a wrong piece`);
  }
}
