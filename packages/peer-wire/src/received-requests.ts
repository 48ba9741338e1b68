/**
 * The peer's requests that we have not answered: kept from the request to the moment its answer leaves, so that each
 * gets one answer, in the class the peer gave it. Sends nothing itself.
 */
import { PIECE_CLASSES, type PieceClass } from '@bootswarm/swarm-proto';
import type { QueuedPiece } from './egress.ts';
import type { Priority } from './extension-messages.ts';

export interface ReceivedRequest {
  readonly pieceIndex: number;
  readonly offset: number;
  /** Bytes of the piece that are asked for. */
  readonly length: number;
  /** What the peer asked for: more than `length` when it wants the end of the image zero-padded. */
  readonly wireLength: number;
  pieceClass: PieceClass;
  /** To the origin: the lease whose holder has failed the peer. */
  readonly failedLease: number | undefined;
  /** The peer cancelled it; a reject or, if that crossed, a piece is still due (BEP 6, BEP 52). */
  isCancelled: boolean;
  /** The answer, once it waits in the egress. */
  piece: QueuedPiece | undefined;
}

export class ReceivedRequests {
  readonly #pieceLength: number;
  /** By offset in the image: a second request for an offset is the same request. */
  readonly #open = new Map<number, ReceivedRequest>();
  /** A bs_prio that came just before its request. */
  #announced: Priority | undefined;

  constructor(pieceLength: number) {
    this.#pieceLength = pieceLength;
  }

  get size(): number {
    return this.#open.size;
  }

  get(pieceIndex: number, offset: number): ReceivedRequest | undefined {
    return this.#open.get(pieceIndex * this.#pieceLength + offset);
  }

  add(
    asked: Pick<ReceivedRequest, 'pieceIndex' | 'offset' | 'length' | 'wireLength'>,
  ): ReceivedRequest {
    const announced = this.#takeAnnounced(asked.pieceIndex);
    const request: ReceivedRequest = {
      ...asked,
      pieceClass: announced?.pieceClass ?? LAST_CLASS,
      failedLease: announced?.failedLease,
      isCancelled: false,
      piece: undefined,
    };
    this.#open.set(asked.pieceIndex * this.#pieceLength + asked.offset, request);
    return request;
  }

  delete(request: ReceivedRequest): void {
    this.#open.delete(request.pieceIndex * this.#pieceLength + request.offset);
  }

  /** Forgets and returns all. */
  takeAll(): ReceivedRequest[] {
    const all = [...this.#open.values()];
    this.#open.clear();
    return all;
  }

  announce(priority: Priority): void {
    this.#announced = priority;
  }

  #takeAnnounced(pieceIndex: number): Priority | undefined {
    const announced = this.#announced;
    this.#announced = undefined;
    return announced?.pieceIndex === pieceIndex ? announced : undefined;
  }
}

/** What is not said to be urgent is not. */
const LAST_CLASS = PIECE_CLASSES[PIECE_CLASSES.length - 1];
