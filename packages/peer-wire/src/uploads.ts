/**
 * The peer's requests and our answers on one wire: each request gets one answer, piece or reject, whatever crosses
 * on the way. An answer waits in the egress in the class of its request, and until it leaves it can be taken back.
 */
import { pieceLengthAt } from '@bootswarm/metainfo';
import { copyBytes, ProtocolError } from '@bootswarm/stdx';
import type { ChatterBudget } from './chatter-budget.ts';
import type { Egress } from './egress.ts';
import { encodeRedirect, type Priority, type Redirect } from './extension-messages.ts';
import type { FramedWire } from './framed-wire.ts';
import { LENGTH_BYTES, MESSAGE_ID, PIECE_HEAD_BYTES, writeUint32 } from './message-ids.ts';
import type { PieceSource, WireMessage } from './peer-wire.ts';
import { type ReceivedRequest, ReceivedRequests } from './received-requests.ts';
import type { WireSwarm } from './wire-swarm.ts';

/** What a request costs, and gives back with more when its piece leaves: a bs_prio, one to raise it, a crossing cancel. */
const CHATTER_PER_REQUEST = 1;
const CHATTER_PER_PIECE = CHATTER_PER_REQUEST + 3;
/** What a redirect gives back: its request, and the bs_prio before that. */
const CHATTER_PER_REDIRECT = CHATTER_PER_REQUEST + 1;

export interface UploadsOptions {
  readonly wire: FramedWire;
  readonly egress: Egress;
  readonly chatter: ChatterBudget;
  readonly swarm: Pick<WireSwarm, 'pieceLength' | 'length' | 'frameBuffers'>;
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
    this.#received = new ReceivedRequests(options.swarm.pieceLength);
  }

  /** Throws `too-many-requests`. */
  onRequest(pieceIndex: number, offset: number, wireLength: number, nowMs: number): void {
    if (!this.#admit(pieceIndex, offset, wireLength, nowMs)) return;
    const pieceLength = pieceLengthAt(this.#options.swarm, pieceIndex);
    const length = Math.min(wireLength, pieceLength - offset);
    const request = this.#received.add({ pieceIndex, offset, length, wireLength });
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
    const request = this.#answerable(pieceIndex, offset, payload.length);
    if (request === undefined) return;
    const frame = this.#makeFrame(request);
    copyBytes(payload, 0, payload.length, frame, PIECE_HEAD_BYTES);
    this.#queue(request, frame);
  }

  /** As sendPiece(), with bytes that are read straight into the message. False when they are not at hand. */
  sendFrom(source: PieceSource, pieceIndex: number, offset: number, length: number): boolean {
    const request = this.#answerable(pieceIndex, offset, length);
    if (request === undefined) return true;
    const frame = this.#makeFrame(request);
    const target = frame.subarray(PIECE_HEAD_BYTES, PIECE_HEAD_BYTES + length);
    const isAtHand = source.readNow(pieceIndex, offset, target);
    if (isAtHand) this.#queue(request, frame);
    else this.#options.swarm.frameBuffers.give(frame);
    return isAtHand;
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
    const request = this.#answerable(pieceIndex, offset, length);
    if (request !== undefined) this.#reject(request);
  }

  /** Chokes the peer. No piece follows: all that is open is rejected, as BEP 6 has it, queued answers included. */
  choke(): void {
    const { wire, egress } = this.#options;
    wire.choke();
    for (const { piece, pieceIndex, offset, wireLength } of this.#received.takeAll()) {
      if (piece !== undefined) egress.removePiece(piece);
      if (wire.hasFast) wire.reject(pieceIndex, offset, wireLength);
    }
  }

  #admit(pieceIndex: number, offset: number, wireLength: number, nowMs: number): boolean {
    const { wire, chatter, requestsMax, isStrict } = this.#options;
    chatter.spend(CHATTER_PER_REQUEST, nowMs);
    if (this.#received.get(pieceIndex, offset) !== undefined) return false;
    if (!wire.amChoking && this.#received.size < requestsMax) return true;
    if (!wire.amChoking && (isStrict || !wire.hasFast)) {
      throw new ProtocolError('too-many-requests', { requestsMax });
    }
    if (wire.hasFast) wire.reject(pieceIndex, offset, wireLength);
    return false;
  }

  /** The open request for exactly this, which is not answered yet. */
  #answerable(pieceIndex: number, offset: number, length: number): ReceivedRequest | undefined {
    const request = this.#received.get(pieceIndex, offset);
    const isAnswerable = request?.length === length && request.piece === undefined;
    return isAnswerable ? request : undefined;
  }

  /** The message with everything but the bytes of the piece. */
  #makeFrame(request: ReceivedRequest): Uint8Array {
    const { frameBuffers } = this.#options.swarm;
    const { pieceIndex, offset, length, wireLength } = request;
    const frameLength = PIECE_HEAD_BYTES + wireLength;
    const frame =
      frameLength === frameBuffers.length ? frameBuffers.take() : Buffer.allocUnsafe(frameLength);
    writeUint32(frame, 0, frameLength - LENGTH_BYTES);
    frame[LENGTH_BYTES] = MESSAGE_ID.piece;
    writeUint32(frame, LENGTH_BYTES + 1, pieceIndex);
    writeUint32(frame, LENGTH_BYTES + 5, offset);
    if (wireLength > length) frame.fill(0, PIECE_HEAD_BYTES + length);
    return frame;
  }

  #queue(request: ReceivedRequest, frame: Uint8Array): void {
    request.piece = {
      byteLength: frame.length,
      pieceClass: request.pieceClass,
      encode: () => {
        this.#received.delete(request);
        this.#options.chatter.earn(CHATTER_PER_PIECE);
        this.#options.egress.push(frame, this.#options.swarm.frameBuffers);
      },
    };
    this.#options.egress.pushPiece(request.piece);
  }

  #reject(request: ReceivedRequest): void {
    this.#received.delete(request);
    const { pieceIndex, offset, wireLength } = request;
    if (this.#options.wire.hasFast) this.#options.wire.reject(pieceIndex, offset, wireLength);
  }
}
