/**
 * The peer's requests and our answers on one wire: each request gets one answer, piece or reject, whatever crosses
 * on the way. An answer waits in the egress in the class of its request, and until it leaves it can be taken back.
 */
import { pieceLengthAt } from '@bootswarm/metainfo';
import { ProtocolError } from '@bootswarm/stdx';
import type { ChatterBudget } from './chatter-budget.ts';
import type { Egress } from './egress.ts';
import { encodeRedirect, type Priority, type Redirect } from './extension-messages.ts';
import type { FramedWire } from './framed-wire.ts';
import type { WireMessage } from './peer-wire.ts';
import { type ReceivedRequest, ReceivedRequests } from './received-requests.ts';

/** Length, id, index and offset before the payload of a piece message. */
const PIECE_HEAD_BYTES = 13;
/** What a request costs, and gives back with more when its piece leaves: a bs_prio, one to raise it, a crossing cancel. */
const CHATTER_PER_REQUEST = 1;
const CHATTER_PER_PIECE = CHATTER_PER_REQUEST + 3;
/** What a redirect gives back: its request, and the bs_prio before that. */
const CHATTER_PER_REDIRECT = CHATTER_PER_REQUEST + 1;

export interface UploadsOptions {
  readonly wire: FramedWire;
  readonly egress: Egress;
  readonly chatter: ChatterBudget;
  readonly image: { readonly pieceLength: number; readonly length: number };
  readonly requestsMax: number;
  /** Redirects that give back what their requests cost. Beyond, a peer asks in vain at its own expense. */
  readonly redirectsMax: number;
  /** Whether a request beyond requestsMax closes the connection rather than being rejected. */
  readonly isStrict: boolean;
  readonly deliver: (message: WireMessage) => void;
}

export class Uploads {
  readonly #options: UploadsOptions;
  readonly #received: ReceivedRequests;
  #redirectsLeft: number;

  constructor(options: UploadsOptions) {
    this.#options = options;
    this.#redirectsLeft = options.redirectsMax;
    this.#received = new ReceivedRequests(options.image.pieceLength);
  }

  /** Whether the wire may have this request. While we choke, the wire rejects it. */
  admit(pieceIndex: number, offset: number, length: number, nowMs: number): boolean {
    const { wire, chatter, requestsMax, isStrict } = this.#options;
    chatter.spend(CHATTER_PER_REQUEST, nowMs);
    if (this.#received.get(pieceIndex, offset) !== undefined) return false;
    if (wire.amChoking || this.#received.size < requestsMax) return true;
    if (isStrict || !wire.hasFast) throw new ProtocolError('too-many-requests', { requestsMax });
    wire.reject(pieceIndex, offset, length);
    return false;
  }

  onRequest(
    pieceIndex: number,
    offset: number,
    wireLength: number,
    respond: (payload: Uint8Array) => void,
  ): void {
    const pieceLength = pieceLengthAt(this.#options.image, pieceIndex);
    const length = Math.min(wireLength, pieceLength - offset);
    const request = this.#received.add({ pieceIndex, offset, length, wireLength, respond });
    const { pieceClass, failedLease } = request;
    this.#options.deliver({ type: 'request', pieceIndex, offset, length, pieceClass, failedLease });
  }

  /** A bs_prio: for a request that is open, which has said its failed lease if any, or for the one that comes next. */
  onPriority(priority: Priority): void {
    const { pieceIndex, pieceClass } = priority;
    const request = this.#received.get(pieceIndex, 0);
    if (request === undefined) {
      this.#received.announce(priority);
      return;
    }
    request.pieceClass = pieceClass;
    if (request.piece === undefined) {
      this.#options.deliver({ type: 'priority', pieceIndex, pieceClass });
      return;
    }
    this.#options.egress.removePiece(request.piece);
    request.piece = { ...request.piece, pieceClass };
    this.#options.egress.pushPiece(request.piece);
  }

  /** The owner hears of it, and answers it, only if it has not answered yet. */
  onCancel(pieceIndex: number, offset: number, wireLength: number): void {
    const request = this.#received.get(pieceIndex, offset);
    if (request === undefined || request.wireLength !== wireLength || request.isCancelled) return;
    request.isCancelled = true;
    if (request.piece === undefined) {
      const { length } = request;
      this.#options.deliver({ type: 'cancel', pieceIndex, offset, length });
      return;
    }
    this.#options.egress.removePiece(request.piece);
    this.#reject(request);
  }

  /** An answer to nothing that is open is dropped: the request was answered by a choke or a cancel. */
  sendPiece(pieceIndex: number, offset: number, payload: Uint8Array): void {
    const request = this.#received.get(pieceIndex, offset);
    if (request === undefined || request.length !== payload.length) return;
    if (request.piece !== undefined) return;
    request.piece = {
      byteLength: PIECE_HEAD_BYTES + request.wireLength,
      pieceClass: request.pieceClass,
      encode: () => this.#encodePiece(request, payload),
    };
    this.#options.egress.pushPiece(request.piece);
  }

  /** Tells one of ours whom to ask instead; the reject follows. Dropped, as an answer is, when the request is not open. */
  sendRedirect(redirId: number, redirect: Redirect): void {
    if (this.#received.get(redirect.pieceIndex, 0) === undefined) return;
    this.#options.wire.extended(redirId, encodeRedirect(redirect));
    if (this.#redirectsLeft === 0) return;
    this.#redirectsLeft -= 1;
    this.#options.chatter.earn(CHATTER_PER_REDIRECT);
  }

  /** As sendPiece(). A peer without BEP 6 has no reject, and is told nothing. */
  sendReject(pieceIndex: number, offset: number, length: number): void {
    const request = this.#received.get(pieceIndex, offset);
    if (request === undefined || request.length !== length) return;
    if (request.piece !== undefined) return;
    this.#reject(request);
  }

  /** Chokes the peer. No piece follows: all that is open is rejected, as BEP 6 has it, queued answers included. */
  choke(): void {
    const { wire, egress } = this.#options;
    const requests = this.#received.takeAll();
    for (const { piece } of requests) if (piece !== undefined) egress.removePiece(piece);
    // Rejects what is in its list, from which a cancel removes.
    wire.choke();
    if (!wire.hasFast) return;
    for (const { isCancelled, pieceIndex, offset, wireLength } of requests) {
      if (isCancelled) wire.reject(pieceIndex, offset, wireLength);
    }
  }

  #encodePiece(request: ReceivedRequest, payload: Uint8Array): void {
    this.#received.delete(request);
    this.#options.chatter.earn(CHATTER_PER_PIECE);
    const { pieceIndex, offset, wireLength } = request;
    const padded = payload.length === wireLength ? payload : Buffer.concat([payload], wireLength);
    // The wire forgets a cancelled request, and would drop a response to it.
    if (request.isCancelled) this.#options.wire.piece(pieceIndex, offset, padded);
    else request.respond(padded);
  }

  #reject(request: ReceivedRequest): void {
    this.#received.delete(request);
    const { pieceIndex, offset, wireLength } = request;
    if (this.#options.wire.hasFast) this.#options.wire.reject(pieceIndex, offset, wireLength);
  }
}
