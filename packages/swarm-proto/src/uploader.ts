/**
 * Serves what peers ask of us: demand before prefetch, within what their wires take. A peer of ours may ask for what we do not
 * have yet: the request is kept open and the piece fetched for it, so that a whole tree of nodes can start at once.
 */
import type { SwarmInput } from './engine-io.ts';
import type { Peer } from './peer.ts';
import type { PeerMessage, PieceClass } from './peer-message.ts';
import type { SwarmState } from './swarm-state.ts';

type RequestMessage = Extract<PeerMessage<unknown>, { type: 'request' }>;
type CancelMessage = Extract<PeerMessage<unknown>, { type: 'cancel' }>;
type Uploaded = Extract<SwarmInput<unknown>, { type: 'uploaded' }>;

/** What the uploader needs of whoever fetches. */
export interface PieceWanter {
  /** A peer waits for this piece. */
  wantForPeer(pieceIndex: number, pieceClass: PieceClass): void;
  /** It waits no longer. */
  unwantForPeer(pieceIndex: number): void;
  /** Verified and readable although not yet recorded as had. */
  isReadable(pieceIndex: number): boolean;
}

export class Uploader<Payload> {
  readonly #state: SwarmState<Payload>;
  readonly #wanter: PieceWanter;

  constructor(state: SwarmState<Payload>, wanter: PieceWanter) {
    this.#state = state;
    this.#wanter = wanter;
  }

  onRequest(peer: Peer, message: RequestMessage): void {
    const { pieceIndex, offset, length, pieceClass } = message;
    const isHere = this.#isHere(pieceIndex);
    const isHeld = !isHere && peer.isOurs && !this.#state.isOrigin && pieceClass !== 'fill';
    if (peer.amChoking || peer.uploads.isFull || !(isHere || isHeld)) {
      this.#reject(peer, pieceIndex, offset, length);
    } else if (isHere) {
      peer.uploads.push({ pieceIndex, offset, length, pieceClass });
      this.pump(peer);
    } else if (!peer.uploads.isHolding(pieceIndex)) {
      peer.uploads.hold({ pieceIndex, offset, length, pieceClass });
      this.#wanter.wantForPeer(pieceIndex, pieceClass);
    }
  }

  onPriority(peer: Peer, pieceIndex: number, pieceClass: PieceClass): void {
    const isHeld = peer.uploads.reclass(pieceIndex, pieceClass);
    if (!isHeld) return;
    // Raising what is already counted must not count it twice.
    this.#wanter.unwantForPeer(pieceIndex);
    this.#wanter.wantForPeer(pieceIndex, pieceClass);
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
    if (input.isSent) {
      peer.bytesSent += input.length;
      this.#state.stats.bytesSent += input.length;
      this.#state.stats.piecesSent += 1;
    } else {
      this.#reject(peer, input.pieceIndex, input.offset, input.length);
    }
    this.pump(peer);
  }

  /** The piece can be read now: requests kept open for it are served. */
  release(pieceIndex: number): void {
    for (const peer of this.#state.peers.values()) {
      if (peer.uploads.release(pieceIndex)) this.pump(peer);
    }
  }

  /** The piece will not come: requests kept open for it are rejected. */
  refuse(pieceIndex: number): void {
    for (const peer of this.#state.peers.values()) {
      const request = peer.uploads.dropHeld(pieceIndex);
      if (request) this.#reject(peer, pieceIndex, request.offset, request.length);
    }
  }

  /** A peer is gone: what it waited for is wanted by one less. */
  onPeerGone(peer: Peer): void {
    for (const pieceIndex of [...peer.uploads.heldPieces]) this.#wanter.unwantForPeer(pieceIndex);
    peer.uploads.drain();
  }

  /** Rejects all it waits for: we choke it. */
  rejectAll(peer: Peer): void {
    for (const request of peer.uploads.drain()) {
      this.#reject(peer, request.pieceIndex, request.offset, request.length);
    }
  }

  pump(peer: Peer): void {
    const { limits } = this.#state;
    while (!peer.isCongested && peer.uploads.inHand < limits.uploadsInHandMax) {
      const request = peer.uploads.shift();
      if (request === undefined) return;
      const { pieceIndex, offset, length, pieceClass } = request;
      if (this.#isHere(pieceIndex)) {
        peer.uploads.inHand += 1;
        this.#state.emit({ type: 'upload', peer: peer.id, pieceIndex, offset, length, pieceClass });
      } else {
        this.#reject(peer, pieceIndex, offset, length);
      }
    }
  }

  #isHere(pieceIndex: number): boolean {
    return this.#state.have.has(pieceIndex) || this.#wanter.isReadable(pieceIndex);
  }

  #reject(peer: Peer, pieceIndex: number, offset: number, length: number): void {
    this.#state.send(peer, { type: 'reject', pieceIndex, offset, length });
  }
}
