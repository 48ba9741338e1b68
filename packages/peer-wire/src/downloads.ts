/**
 * Our requests on one wire and the peer's answers: whole pieces upward, and on the wire whole pieces towards ours,
 * blocks towards foreign peers. Each request ends in one piece or one reject, unless it is cancelled.
 */
import type { PieceClass } from '@bootswarm/swarm-proto';
import type { ChatterBudget } from './chatter-budget.ts';
import type { OurExtensions } from './extended-handshake.ts';
import { encodePriority, type Redirect } from './extension-messages.ts';
import { ForeignRequests } from './foreign-requests.ts';
import type { FramedWire } from './framed-wire.ts';
import type { WireMessage } from './peer-wire.ts';
import { SentRequests } from './sent-requests.ts';
import type { WireSwarm } from './wire-swarm.ts';

/** The class a request has that says none. */
const CLASS_UNSAID: PieceClass = 'fill';
/** What each of our requests lets the peer say besides: a redirect and a reject. */
const CHATTER_PER_REQUEST = 2;

export interface DownloadsOptions {
  readonly wire: FramedWire;
  readonly chatter: ChatterBudget;
  readonly swarm: Pick<WireSwarm, 'pieceLength' | 'pieceBuffers'>;
  /** Blocks to keep asked for, towards a foreign peer. */
  readonly foreignBlocksMax: number;
  readonly deliver: (message: WireMessage) => void;
  /** Delivers after the current turn, because a send must not call back. */
  readonly deliverLater: (message: WireMessage) => void;
}

type Peer =
  | { readonly kind: 'ours'; readonly prioId: number }
  | { readonly kind: 'foreign'; readonly pieces: ForeignRequests };

export class Downloads {
  readonly #options: DownloadsOptions;
  readonly #sent: SentRequests;
  readonly #peer: Peer;

  constructor(ours: OurExtensions | undefined, options: DownloadsOptions) {
    this.#options = options;
    this.#sent = new SentRequests(options.swarm.pieceLength);
    if (ours !== undefined) {
      this.#peer = { kind: 'ours', prioId: ours.prioId };
      return;
    }
    const pieces = new ForeignRequests(options.foreignBlocksMax, {
      ask: (...block) => this.#ask(...block),
      cancel: (...block) => this.#cancel(...block),
    });
    this.#peer = { kind: 'foreign', pieces };
  }

  /** Asks for a whole piece. What is outstanding already is not asked for again. `failedLease` is for the origin. */
  request(pieceIndex: number, length: number, pieceClass: PieceClass, failedLease?: number): void {
    const { wire, deliverLater } = this.#options;
    // A choke crossed the request: the peer would not answer, so the reject comes from here.
    const reject = () => deliverLater({ type: 'reject', pieceIndex, offset: 0, length });
    if (wire.peerChoking) {
      reject();
    } else if (this.#peer.kind === 'foreign') {
      if (!this.#peer.pieces.add(pieceIndex, length, pieceClass)) reject();
    } else if (!this.#sent.has(pieceIndex, 0)) {
      if (pieceClass !== CLASS_UNSAID || failedLease !== undefined) {
        this.#sendPriority(this.#peer.prioId, pieceIndex, pieceClass, failedLease);
      }
      this.#ask(pieceIndex, 0, length);
    }
  }

  setClass(pieceIndex: number, pieceClass: PieceClass): void {
    if (this.#peer.kind === 'foreign') this.#peer.pieces.setClass(pieceIndex, pieceClass);
    else if (this.#sent.has(pieceIndex, 0)) {
      this.#sendPriority(this.#peer.prioId, pieceIndex, pieceClass);
    }
  }

  cancel(pieceIndex: number, length: number): void {
    if (this.#peer.kind === 'foreign') this.#peer.pieces.cancel(pieceIndex);
    else this.#cancel(pieceIndex, 0, length);
  }

  /** Throws `piece-unrequested`; otherwise returns a buffer for the payload. */
  admitPiece(pieceIndex: number, offset: number, length: number): Uint8Array {
    this.#sent.admitPiece(pieceIndex, offset, length);
    const { pieceBuffers } = this.#options.swarm;
    // Never a slice of Node's shared pool: the receiver may keep a piece, and then keeps only it.
    return length === pieceBuffers.length ? pieceBuffers.take() : Buffer.allocUnsafeSlow(length);
  }

  /** Also of a piece that was cancelled when it was on its way: the bytes are here, so the owner may have them. */
  onPiece(pieceIndex: number, offset: number, block: Uint8Array): void {
    this.#sent.takePiece(pieceIndex, offset);
    const payload =
      this.#peer.kind === 'foreign' ? this.#peer.pieces.onBlock(pieceIndex, offset, block) : block;
    if (payload === undefined) return;
    this.#options.deliver({
      type: 'piece',
      pieceIndex,
      offset: 0,
      length: payload.length,
      payload,
    });
  }

  /** A reject of what we cancelled, or never asked, is nothing to the owner. */
  onReject(pieceIndex: number, offset: number, length: number): void {
    if (this.#sent.takeReject(pieceIndex, offset, length) !== 'wanted') return;
    const pieceLength =
      this.#peer.kind === 'foreign' ? this.#peer.pieces.onReject(pieceIndex, offset) : length;
    if (pieceLength === undefined) return;
    this.#options.deliver({ type: 'reject', pieceIndex, offset: 0, length: pieceLength });
  }

  /** Of what we do not wait for, because we cancelled it or have it, it is nothing to the owner. */
  onRedirect(redirect: Redirect): void {
    if (!this.#sent.has(redirect.pieceIndex, 0)) return;
    this.#options.deliver({ type: 'redirect', ...redirect });
  }

  /** Ours reject each request after a choke (BEP 6); of a foreign peer a choke alone is taken for it. */
  onChoke(): void {
    if (this.#peer.kind === 'ours') return;
    this.#sent.cancelAll();
    for (const { pieceIndex, length } of this.#peer.pieces.takeAll()) {
      this.#options.deliver({ type: 'reject', pieceIndex, offset: 0, length });
    }
  }

  #sendPriority(prioId: number, pieceIndex: number, pieceClass: PieceClass, lease?: number): void {
    this.#options.wire.extended(prioId, encodePriority(pieceIndex, pieceClass, lease));
  }

  #ask(pieceIndex: number, offset: number, length: number): boolean {
    const { wire, chatter } = this.#options;
    if (wire.peerChoking) return false;
    this.#sent.add(pieceIndex, offset, length);
    chatter.earn(CHATTER_PER_REQUEST);
    wire.request(pieceIndex, offset, length);
    return true;
  }

  #cancel(pieceIndex: number, offset: number, length: number): void {
    if (this.#sent.cancel(pieceIndex, offset)) {
      this.#options.wire.cancel(pieceIndex, offset, length);
    }
  }
}
