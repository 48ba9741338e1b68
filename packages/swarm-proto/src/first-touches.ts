/**
 * Records one boot: which pieces a guest touches, in order of first touch, until it calms down; and says which of them the
 * tracker is to be told when. What it does not know yet is told at once, the rest is not worth a message of its own.
 */
import { Bitfield, PieceSequence } from '@bootswarm/stdx';

/** In one batch, as many as signalling takes. */
const BATCH_MAX = 1_024;
/** What is new to everybody: 20 messages a second while one VM leads, that the others may follow. */
const NEWS_DELAY_MS = 50;
/** What others have told already: it counts when the boot is merged. */
const BATCH_DELAY_MS = 5_000;
/** Without a first touch the guest runs. */
const CALM_MS = 5_000;
const BOOT_MS_MAX = 120_000;
/** 8 GiB of pieces of 64 KiB: no boot. */
const TOUCHES_MAX = 2 ** 17;

export interface TouchBatch {
  readonly pieceIndexes: Uint32Array;
  readonly isOver: boolean;
}

export class FirstTouches {
  readonly sequence = new PieceSequence();
  readonly #isKnown: (pieceIndex: number) => boolean;
  #touched: Bitfield | undefined;
  #startedAt = 0;
  #lastAt = 0;
  #sent = 0;
  /** When the oldest piece that was not sent was touched, and the oldest of those that nobody knows. */
  #unsentSince = Infinity;
  #newsSince = Infinity;
  #isOver = false;
  #isOverSent = false;

  /** `isKnown`: whether the tracker told of this piece in any boot order. */
  constructor(pieceCount: number, isKnown: (pieceIndex: number) => boolean) {
    this.#touched = new Bitfield(pieceCount);
    this.#isKnown = isKnown;
  }

  /** Nothing more is recorded. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Whether touch() has anything to do: one test of one bit, for the path of every read. */
  isNew(pieceIndex: number): boolean {
    return this.#touched !== undefined && !this.#touched.has(pieceIndex);
  }

  touch(pieceIndex: number, now: number): void {
    this.advance(now);
    if (this.#touched === undefined || !this.#touched.set(pieceIndex)) return;
    if (this.sequence.length === 0) this.#startedAt = now;
    this.#lastAt = now;
    this.sequence.push(pieceIndex);
    this.#unsentSince = Math.min(this.#unsentSince, now);
    if (!this.#isKnown(pieceIndex)) this.#newsSince = Math.min(this.#newsSince, now);
    if (this.sequence.length === TOUCHES_MAX) this.end();
  }

  /** The guest has gone. */
  end(): void {
    this.#isOver = true;
    this.#touched = undefined;
  }

  /** Notices that the guest has calmed down. */
  advance(now: number): void {
    if (this.sequence.length === 0 || this.#isOver) return;
    if (now - this.#lastAt >= CALM_MS || now - this.#startedAt >= BOOT_MS_MAX) this.end();
  }

  /** When advance() or batch() has something to do; Infinity when never. */
  timeout(): number {
    if (this.sequence.length === 0) return Infinity;
    if (this.#isOver) return this.#isOverSent ? Infinity : this.#lastAt;
    const calmAt = Math.min(this.#lastAt + CALM_MS, this.#startedAt + BOOT_MS_MAX);
    if (this.sequence.length - this.#sent >= BATCH_MAX) return this.#lastAt;
    return Math.min(calmAt, this.#newsSince + NEWS_DELAY_MS, this.#unsentSince + BATCH_DELAY_MS);
  }

  /** What the tracker is to be told now, if anything; call again until there is nothing. */
  batch(now: number): TouchBatch | undefined {
    this.advance(now);
    if (this.timeout() > now) return undefined;
    const pieceIndexes = this.sequence.slice(this.#sent, this.#sent + BATCH_MAX);
    this.#sent += pieceIndexes.length;
    if (this.#sent === this.sequence.length) this.#unsentSince = this.#newsSince = Infinity;
    this.#isOverSent = this.#isOver && this.#sent === this.sequence.length;
    return { pieceIndexes, isOver: this.#isOverSent };
  }

  /** The tracker forgot it: a boot that still runs is told again from its beginning. */
  rewind(): void {
    if (this.#isOverSent || this.#sent === 0) return;
    this.#sent = 0;
    this.#unsentSince = this.#newsSince = this.#lastAt;
  }
}
