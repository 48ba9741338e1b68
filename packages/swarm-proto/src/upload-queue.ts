/**
 * Requests one peer made of us, by class: ready ones in order of arrival, and held ones that wait for us to get the piece.
 * Bounded; who serves next, and when, is the engine's business.
 */
import { PIECE_CLASSES, type PieceClass } from './peer-message.ts';

export interface UploadRequest {
  readonly pieceIndex: number;
  readonly offset: number;
  readonly length: number;
  pieceClass: PieceClass;
}

/** A moment, and how many bytes had been sent to all peers by then. */
export interface UploadMark {
  readonly at: number;
  readonly bytesSent: number;
}

interface ReadyRequest {
  readonly request: UploadRequest;
  readonly since: UploadMark;
}

export class UploadQueue {
  readonly #max: number;
  readonly #ready: Record<PieceClass, ReadyRequest[]> = { demand: [], 'boot-order': [], fill: [] };
  readonly #held = new Map<number, UploadRequest>();
  /** Handed to the driver and not yet confirmed. */
  inHand = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    let size = this.#held.size;
    for (const pieceClass of PIECE_CLASSES) size += this.#ready[pieceClass].length;
    return size;
  }

  get isFull(): boolean {
    return this.size >= this.#max;
  }

  hasReady(pieceClass: PieceClass): boolean {
    return this.#ready[pieceClass].length > 0;
  }

  get heldPieces(): IterableIterator<number> {
    return this.#held.keys();
  }

  isHolding(pieceIndex: number): boolean {
    return this.#held.has(pieceIndex);
  }

  /** Since when the request that has waited longest could have been sent. Fill waits by its nature. */
  get waitingSince(): UploadMark | undefined {
    let first: UploadMark | undefined;
    for (const pieceClass of PIECE_CLASSES) {
      if (pieceClass === 'fill') continue;
      const since = this.#ready[pieceClass][0]?.since;
      if (since !== undefined && (first === undefined || since.at < first.at)) first = since;
    }
    return first;
  }

  push(request: UploadRequest, since: UploadMark): void {
    this.#ready[request.pieceClass].push({ request, since });
  }

  hold(request: UploadRequest): void {
    this.#held.set(request.pieceIndex, request);
  }

  /** The piece has come: its held request, if any, becomes ready. */
  release(pieceIndex: number, since: UploadMark): boolean {
    const request = this.#held.get(pieceIndex);
    if (request === undefined) return false;
    this.#held.delete(pieceIndex);
    this.push(request, since);
    return true;
  }

  /** The next one of a class to serve. */
  shift(pieceClass: PieceClass): UploadRequest | undefined {
    return this.#ready[pieceClass].shift()?.request;
  }

  /** Moves a request to another class; returns whether it is held. */
  reclass(pieceIndex: number, pieceClass: PieceClass): boolean {
    const held = this.#held.get(pieceIndex);
    if (held !== undefined) {
      held.pieceClass = pieceClass;
      return true;
    }
    for (const from of PIECE_CLASSES) {
      const queue = this.#ready[from];
      const index = queue.findIndex(({ request }) => request.pieceIndex === pieceIndex);
      if (index < 0 || from === pieceClass) continue;
      const [{ request, since }] = queue.splice(index, 1);
      request.pieceClass = pieceClass;
      this.push(request, since);
      return false;
    }
    return false;
  }

  /** Forgets a request that its maker cancelled; returns it if it was still here. */
  cancel(pieceIndex: number, offset: number): UploadRequest | undefined {
    const held = this.#held.get(pieceIndex);
    if (held !== undefined && held.offset === offset) {
      this.#held.delete(pieceIndex);
      return held;
    }
    for (const pieceClass of PIECE_CLASSES) {
      const queue = this.#ready[pieceClass];
      const index = queue.findIndex(
        ({ request }) => request.pieceIndex === pieceIndex && request.offset === offset,
      );
      if (index >= 0) return queue.splice(index, 1)[0].request;
    }
    return undefined;
  }

  /** Everything that waits, to be rejected; the queue is then empty. */
  drain(): UploadRequest[] {
    const all = [...this.#held.values()];
    this.#held.clear();
    for (const pieceClass of PIECE_CLASSES) {
      for (const { request } of this.#ready[pieceClass].splice(0)) all.push(request);
    }
    return all;
  }
}
