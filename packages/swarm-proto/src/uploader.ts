/**
 * Serves what peers ask of us: demand before prefetch over all peers, by turns within a class, and never more at once than the
 * node's own guests can bear or, at the origin, than its store. A peer of ours may ask for what we do not have yet: the
 * request is kept open and the piece fetched for it, so that a whole tree of nodes can start at once. The origin sends a
 * piece to one node and names that node to all others (OriginLeases).
 */
import { isBottleneck } from './bottleneck.ts';
import type { SwarmInput } from './engine-io.ts';
import { OriginLeases } from './origin-leases.ts';
import type { Peer } from './peer.ts';
import { type PeerMessage, PIECE_CLASSES, type PieceClass } from './peer-message.ts';
import type { SwarmState } from './swarm-state.ts';
import type { UploadMark } from './upload-queue.ts';

type RequestMessage = Extract<PeerMessage<unknown>, { type: 'request' }>;
type CancelMessage = Extract<PeerMessage<unknown>, { type: 'cancel' }>;
type Uploaded = Extract<SwarmInput<unknown>, { type: 'uploaded' }>;

/** What the uploader needs of whoever fetches, and of whoever keeps the wires. */
export interface PieceWanter {
  /** A peer waits for this piece. */
  wantForPeer(pieceIndex: number, pieceClass: PieceClass): void;
  /** It waits no longer. */
  unwantForPeer(pieceIndex: number): void;
  /** Verified and readable although not yet recorded as had. */
  isReadable(pieceIndex: number): boolean;
  isConnected(node: string): boolean;
  /** Has the tracker told that our own uplink is too slow for a relay. */
  confess(): void;
}

export class Uploader<Payload> {
  readonly #state: SwarmState<Payload>;
  readonly #wanter: PieceWanter;
  readonly #leases: OriginLeases | undefined;
  /** Peers with requests that can be served now, by class, in the order of their turns. */
  readonly #ready: Record<PieceClass, Set<Peer>> = {
    demand: new Set(),
    'boot-order': new Set(),
    fill: new Set(),
  };
  /** Peers with requests that can be answered, and some that had such: those are taken out when they are looked at. */
  readonly #waiting = new Set<Peer>();
  #inHand = 0;
  #resumeAt = Infinity;

  constructor(state: SwarmState<Payload>, wanter: PieceWanter) {
    this.#state = state;
    this.#wanter = wanter;
    this.#leases = state.isOrigin ? new OriginLeases(state.shape.pieceCount) : undefined;
  }

  /** When pump() has something to do again: the rate limit lets the next piece through. */
  get resumeAt(): number {
    return this.#resumeAt;
  }

  onRequest(peer: Peer, message: RequestMessage): void {
    const { pieceIndex, offset, length, pieceClass } = message;
    peer.usedAt = this.#state.now;
    const isHere = this.#isHere(pieceIndex);
    const isHeld = !isHere && peer.isOurs && !this.#state.isOrigin && pieceClass !== 'fill';
    if (peer.amChoking || peer.uploads.isFull || !(isHere || isHeld)) {
      this.#reject(peer, pieceIndex, offset, length);
    } else if (isHere) {
      if (this.#isRedirected(peer, message)) return;
      if (this.#isNoRelay(peer)) return this.#reject(peer, pieceIndex, offset, length);
      peer.uploads.push({ pieceIndex, offset, length, pieceClass }, this.#mark);
      this.#waiting.add(peer);
      this.#enrol(peer);
      this.pump();
    } else if (!peer.uploads.isHolding(pieceIndex)) {
      if (this.#isNoRelay(peer)) return this.#reject(peer, pieceIndex, offset, length);
      peer.uploads.hold({ pieceIndex, offset, length, pieceClass });
      this.#wanter.wantForPeer(pieceIndex, pieceClass);
    }
  }

  onPriority(peer: Peer, pieceIndex: number, pieceClass: PieceClass): void {
    const isHeld = peer.uploads.reclass(pieceIndex, pieceClass);
    if (!isHeld) {
      this.#enrol(peer);
      return;
    }
    // Counted once more before it is counted once less: what nobody wants for a moment is taken back from its source.
    this.#wanter.wantForPeer(pieceIndex, pieceClass);
    this.#wanter.unwantForPeer(pieceIndex);
  }

  /** BEP 6: a cancelled request is still answered, here by a reject. */
  onCancel(peer: Peer, message: CancelMessage): void {
    const wasHeld = peer.uploads.isHolding(message.pieceIndex);
    const request = peer.uploads.cancel(message.pieceIndex, message.offset);
    if (request === undefined) return;
    if (wasHeld && !peer.uploads.isHolding(message.pieceIndex)) {
      this.#wanter.unwantForPeer(message.pieceIndex);
    }
    this.#reject(peer, request.pieceIndex, request.offset, request.length);
  }

  onUploaded(peer: Peer, input: Uploaded): void {
    peer.uploads.inHand -= 1;
    this.#inHand -= 1;
    if (input.isSent) {
      peer.bytesSent += input.length;
      this.#state.stats.bytesSent += input.length;
      this.#state.stats.piecesSent += 1;
    } else {
      this.#reject(peer, input.pieceIndex, input.offset, input.length);
    }
    this.#enrol(peer);
    this.pump();
  }

  onDrained(peer: Peer): void {
    this.#enrol(peer);
    this.pump();
  }

  /** The piece can be read now: requests kept open for it are served. */
  release(pieceIndex: number): void {
    const mark = this.#mark;
    for (const peer of this.#state.peers.values()) {
      if (!peer.uploads.release(pieceIndex, mark)) continue;
      this.#waiting.add(peer);
      this.#enrol(peer);
    }
    this.pump();
  }

  /** A peer is gone: what it waited for is wanted by one less, and what was in hand for it will not be heard of again. */
  onPeerGone(peer: Peer): void {
    for (const pieceIndex of [...peer.uploads.heldPieces]) this.#wanter.unwantForPeer(pieceIndex);
    peer.uploads.drain();
    this.#withdraw(peer);
    this.#waiting.delete(peer);
    this.#inHand -= peer.uploads.inHand;
    peer.uploads.inHand = 0;
    this.pump();
  }

  /** Rejects all it waits for: we choke it, or have found that we are no relay. */
  rejectAll(peer: Peer): void {
    for (const pieceIndex of [...peer.uploads.heldPieces]) this.#wanter.unwantForPeer(pieceIndex);
    for (const request of peer.uploads.drain()) {
      this.#reject(peer, request.pieceIndex, request.offset, request.length);
    }
    this.#withdraw(peer);
  }

  /** While our uplink is too slow for a relay, we take one request of ours at a time, so that those without another get on. */
  #isNoRelay(peer: Peer): boolean {
    const { busyUntil, now } = this.#state;
    if (busyUntil <= now || !peer.isOurs || !this.isServing) return false;
    this.#state.send(peer, { type: 'busy' });
    return true;
  }

  /** Whether anybody waits for us, or for what is on its way to him. */
  get isServing(): boolean {
    if (this.#inHand > 0) return true;
    for (const peer of this.#state.peers.values()) if (peer.uploads.size > 0) return true;
    return false;
  }

  /** Whether a node of ours waits for what we could send it. Asked after every input, so all peers are not looked at. */
  get isBacklogged(): boolean {
    for (const peer of this.#waiting) {
      if (isWaiting(peer)) return true;
      this.#waiting.delete(peer);
    }
    return false;
  }

  /** Sends those away who wait for more than our uplink carries. The origin has nobody to send them to. */
  patrol(): void {
    const { isOrigin, peers, now, limits } = this.#state;
    const waiting = isOrigin ? undefined : this.#longestWaiting();
    if (waiting === undefined) return;
    let bytesPerMsIn = 0;
    for (const { download } of peers.values()) {
      bytesPerMsIn = Math.max(bytesPerMsIn, download.bytesPerMs);
    }
    if (!isBottleneck(waiting, this.#mark, bytesPerMsIn)) return;
    if (this.#state.busyUntil <= now) this.#wanter.confess();
    this.#state.busyUntil = now + limits.busyMs;
    for (const peer of peers.values()) {
      if (isWaiting(peer)) this.#state.send(peer, { type: 'busy' });
    }
  }

  get #mark(): UploadMark {
    return { at: this.#state.now, bytesSent: this.#state.stats.bytesSent };
  }

  #longestWaiting(): UploadMark | undefined {
    let longest: UploadMark | undefined;
    for (const peer of this.#waiting) {
      const since = isWaiting(peer) ? peer.uploads.waitingSince : undefined;
      if (since !== undefined && (longest === undefined || since.at < longest.at)) longest = since;
    }
    return longest;
  }

  /** Our uplink was found too slow before it has held anybody up: nobody is to wait for it until then. */
  leaveRelaying(until: number): void {
    this.#state.busyUntil = Math.max(this.#state.busyUntil, until);
    // Each time: the tracker may have forgotten, or put newcomers behind us.
    this.#wanter.confess();
    for (const peer of this.#state.peers.values()) {
      this.greet(peer);
      if (peer.isOurs) this.rejectAll(peer);
    }
  }

  /** Tells a peer, before it asks for anything, that we are no relay. */
  greet(peer: Peer): void {
    if (!peer.isOurs || peer.isOrigin || this.#state.busyUntil <= this.#state.now) return;
    this.#state.send(peer, { type: 'busy' });
  }

  resumeRelaying(): void {
    this.#state.busyUntil = this.#state.now;
  }

  /** Hands uploads to the driver, most urgent class first, one for each peer by turns. */
  pump(): void {
    this.#resumeAt = Infinity;
    for (const pieceClass of PIECE_CLASSES) {
      const ready = this.#ready[pieceClass];
      // A peer served goes to the end of the set, where this same loop finds it again.
      for (const peer of ready) {
        if (this.#isAtLimit()) return;
        ready.delete(peer);
        if (!this.#isServable(peer)) continue;
        this.#serve(peer, pieceClass);
        if (peer.uploads.hasReady(pieceClass)) ready.add(peer);
      }
    }
  }

  #serve(peer: Peer, pieceClass: PieceClass): void {
    const request = peer.uploads.shift(pieceClass);
    if (request === undefined) return;
    const { pieceIndex, offset, length } = request;
    if (!this.#isHere(pieceIndex)) {
      this.#reject(peer, pieceIndex, offset, length);
      return;
    }
    this.#state.uploadBudget.take(length, this.#state.now);
    peer.uploads.inHand += 1;
    this.#inHand += 1;
    this.#state.emit({ type: 'upload', peer: peer.id, pieceIndex, offset, length, pieceClass });
  }

  #isAtLimit(): boolean {
    const { limits, now, uploadsHeldUntil, uploadBudget } = this.#state;
    if (now < uploadsHeldUntil) {
      this.#resumeAt = uploadsHeldUntil;
      return true;
    }
    if (this.#inHand >= limits.uploadsInHandTotalMax) return true;
    if (!uploadBudget.isEmpty(now)) return false;
    this.#resumeAt = uploadBudget.refilledAt(now);
    return true;
  }

  #isServable(peer: Peer): boolean {
    return !peer.isCongested && peer.uploads.inHand < this.#state.limits.uploadsInHandMax;
  }

  /** Gives a peer its turns in every class it has ready requests of. */
  #enrol(peer: Peer): void {
    if (!this.#isServable(peer) || !this.#state.peers.has(peer.id)) return;
    for (const pieceClass of PIECE_CLASSES) {
      if (peer.uploads.hasReady(pieceClass)) this.#ready[pieceClass].add(peer);
    }
  }

  #withdraw(peer: Peer): void {
    for (const pieceClass of PIECE_CLASSES) this.#ready[pieceClass].delete(peer);
  }

  #isRedirected(peer: Peer, message: RequestMessage): boolean {
    if (this.#leases === undefined || peer.node === undefined) return false;
    const { pieceIndex, offset, length, failedLease = 0 } = message;
    const isConnected = (node: string) => this.#wanter.isConnected(node);
    const lease = this.#leases.take(pieceIndex, peer.node, failedLease, isConnected);
    if (lease === undefined) return false;
    const { node, number } = lease;
    this.#state.send(peer, { type: 'redirect', pieceIndex, lease: number, node });
    this.#reject(peer, pieceIndex, offset, length);
    return true;
  }

  #isHere(pieceIndex: number): boolean {
    return this.#state.have.has(pieceIndex) || this.#wanter.isReadable(pieceIndex);
  }

  #reject(peer: Peer, pieceIndex: number, offset: number, length: number): void {
    this.#state.send(peer, { type: 'reject', pieceIndex, offset, length });
  }
}

function isWaiting(peer: Peer): boolean {
  return peer.isOurs && PIECE_CLASSES.some((pieceClass) => peer.uploads.hasReady(pieceClass));
}
