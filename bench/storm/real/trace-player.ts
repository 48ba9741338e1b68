/**
 * A guest that boots: issues the reads of a trace on a real export, each after the one before was answered and its think time has
 * passed, compares every byte with the image, and notes how long reads stalled. Like packages/sim's Guest, in real time.
 */
import { readSync } from 'node:fs';
import type { TraceRead } from '@bootswarm/sim';
import type { Bitfield } from '@bootswarm/stdx';
import type { NbdReader } from '../../nbd-reader.ts';

export interface TracePlayerOptions {
  readonly reads: readonly TraceRead[];
  /** Per read: the pieces it needs that are not zero. */
  readonly piecesPerRead: readonly (readonly number[])[];
  readonly thinkScale: number;
  /** The image that the export must equal. */
  readonly image: number;
  /** Pieces that the node has answered a guest from; shared by the guests of one node. */
  readonly answered: Bitfield;
}

export interface PlayedBoot {
  /** performance.now() of the last answer. */
  readonly readyAt: number;
  /** One entry per read that was not at hand, in order. */
  readonly stallsMs: readonly number[];
}

/** A read of a piece that the node has not answered from before was at hand if it took no longer than this. */
const AT_HAND_MS = 1;
/** Timers have this resolution. Shorter thinking is saved up, so that the sum of a boot is right. */
const TIMER_MS = 1;

export class TracePlayer {
  readonly #options: TracePlayerOptions;
  readonly #reader: NbdReader;
  readonly #expected: Buffer;
  readonly #stallsMs: number[] = [];
  readonly #boot = Promise.withResolvers<PlayedBoot>();
  #next = 0;
  #askedAt = 0;
  /** Thinking that is still to be done; negative when a timer was late. */
  #owedMs = 0;

  constructor(reader: NbdReader, options: TracePlayerOptions) {
    this.#reader = reader;
    this.#options = options;
    this.#expected = Buffer.alloc(lengthMax(options.reads));
  }

  /** Resolves when everything was read; rejects on a wrong byte. */
  play(): Promise<PlayedBoot> {
    this.#think();
    return this.#boot.promise;
  }

  #think(): void {
    const { reads, thinkScale } = this.#options;
    this.#owedMs += reads[this.#next].thinkMs * thinkScale;
    if (this.#owedMs < TIMER_MS) return this.#ask();
    const thinksFrom = performance.now();
    setTimeout(() => {
      this.#owedMs -= performance.now() - thinksFrom;
      this.#ask();
    }, this.#owedMs);
  }

  #ask(): void {
    const { offset, length } = this.#options.reads[this.#next];
    this.#askedAt = performance.now();
    this.#reader.read(offset, length, this.#onBytes);
  }

  readonly #onBytes = (bytes: Buffer): void => {
    const now = performance.now();
    const { reads } = this.#options;
    const index = this.#next;
    this.#note(index, now - this.#askedAt);
    this.#next += 1;
    const isLast = this.#next === reads.length;
    // The guest goes on first: comparing is no part of its boot.
    if (!isLast) this.#think();
    if (!this.#isRight(reads[index], bytes)) {
      const { offset, length } = reads[index];
      this.#boot.reject(new Error(`wrong bytes in the ${length} read at ${offset}`));
    } else if (isLast) this.#boot.resolve({ readyAt: now, stallsMs: this.#stallsMs });
  };

  #note(index: number, tookMs: number): void {
    const { piecesPerRead, answered } = this.#options;
    let isFirst = false;
    for (const pieceIndex of piecesPerRead[index]) isFirst = answered.set(pieceIndex) || isFirst;
    if (isFirst && tookMs > AT_HAND_MS) this.#stallsMs.push(tookMs);
  }

  #isRight({ offset, length }: TraceRead, bytes: Buffer): boolean {
    readSync(this.#options.image, this.#expected, 0, length, offset);
    return this.#expected.compare(bytes, 0, length, 0, length) === 0;
  }
}

/** Bytes of the longest read. */
export function lengthMax(reads: readonly TraceRead[]): number {
  return reads.reduce((max, { length }) => Math.max(max, length), 0);
}
