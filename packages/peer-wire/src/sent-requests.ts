/**
 * What we asked of the peer and what it still owes: a piece message counts only if it answers one of these. A
 * request is answered once, by piece or reject, also after a cancel, because the cancel may cross the answer.
 */
import { ProtocolError } from '@bootswarm/stdx';

/** Cancelled requests remembered. Beyond, the oldest is forgotten, and its late answer closes the connection. */
const LATE_MAX = 1_024;

interface LateAnswers {
  readonly length: number;
  /** Answers owed for this offset: it may have been asked for and cancelled again and again. */
  count: number;
}

/** `late`: it answers a request that we cancelled. */
export type AnswerStanding = 'wanted' | 'late' | 'unrequested';

export class SentRequests {
  readonly #pieceLength: number;
  /** By offset in the image; the offset decides the length. */
  readonly #wanted = new Map<number, number>();
  readonly #late = new Map<number, LateAnswers>();

  constructor(pieceLength: number) {
    this.#pieceLength = pieceLength;
  }

  has(pieceIndex: number, offset: number): boolean {
    return this.#wanted.has(this.#key(pieceIndex, offset));
  }

  add(pieceIndex: number, offset: number, length: number): void {
    this.#wanted.set(this.#key(pieceIndex, offset), length);
  }

  /** False when it is not outstanding: answered in the meantime. */
  cancel(pieceIndex: number, offset: number): boolean {
    const key = this.#key(pieceIndex, offset);
    const length = this.#wanted.get(key);
    if (length === undefined) return false;
    this.#wanted.delete(key);
    this.#expectLate(key, length);
    return true;
  }

  /** The peer choked us: what it sends of these is late. */
  cancelAll(): void {
    for (const [key, length] of this.#wanted) this.#expectLate(key, length);
    this.#wanted.clear();
  }

  /** Throws `piece-unrequested` for a piece message that answers nothing. */
  admitPiece(pieceIndex: number, offset: number, length: number): void {
    const key = this.#key(pieceIndex, offset);
    if (this.#wanted.get(key) === length || this.#late.get(key)?.length === length) return;
    throw new ProtocolError('piece-unrequested', { pieceIndex, offset, length });
  }

  /** Any piece message fulfils a wanted request: the bytes are the same whichever request they answer. */
  takePiece(pieceIndex: number, offset: number): void {
    const key = this.#key(pieceIndex, offset);
    if (!this.#wanted.delete(key)) this.#takeLate(key);
  }

  /** Answers come in the order of the requests, so a reject is first of all that of the request we cancelled. */
  takeReject(pieceIndex: number, offset: number, length: number): AnswerStanding {
    const key = this.#key(pieceIndex, offset);
    if (this.#late.get(key)?.length === length && this.#takeLate(key)) return 'late';
    if (this.#wanted.get(key) !== length) return 'unrequested';
    this.#wanted.delete(key);
    return 'wanted';
  }

  #expectLate(key: number, length: number): void {
    const count = (this.#late.get(key)?.count ?? 0) + 1;
    // Deleted first, so that the map's order is that of the last cancel.
    this.#late.delete(key);
    this.#late.set(key, { length, count });
    if (this.#late.size > LATE_MAX) this.#late.delete(this.#late.keys().next().value as number);
  }

  #takeLate(key: number): boolean {
    const late = this.#late.get(key);
    if (late === undefined) return false;
    late.count -= 1;
    if (late.count === 0) this.#late.delete(key);
    return true;
  }

  /** Unequal for unequal ranges the peer may name: an offset is checked against 2^32 only, an index likewise. */
  #key(pieceIndex: number, offset: number): number {
    return offset < this.#pieceLength ? pieceIndex * this.#pieceLength + offset : -1;
  }
}
