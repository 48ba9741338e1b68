/**
 * Which pieces are held and how far each is to be trusted: pure, so that the commit protocol can be tested by itself. A held
 * piece is zero (never stored), durable (in the newest slot), dirty (written and logged by this process), or replayed
 * (claimed by the log of a process that was killed). Knows no files; cache-store.ts does the reading and writing.
 */
import type { PieceLayer } from '@bootswarm/metainfo';
import { assert, Bitfield } from '@bootswarm/stdx';
import type { PieceShape } from './piece-shape.ts';

/** One commit under way. */
export interface CommitTicket {
  readonly generation: number;
  /** The dirty pieces it will make durable. */
  readonly pieceIndexes: readonly number[];
  /** How many durable pieces had been dropped when its bits were made. */
  dropsSeen: number;
}

export class PieceLedger {
  /** Pieces held, of all four kinds. */
  readonly have: Bitfield;
  readonly #zero: Bitfield;
  readonly #durable: Bitfield;
  /** Durable pieces whose bytes this process has written or hashed: the file may be read without a check. */
  #trusted: Bitfield;
  /** Piece → the generation that will make it durable. */
  readonly #dirty = new Map<number, number>();
  readonly #replayed = new Set<number>();
  /** Dirty pieces that somebody else may have written over: being made durable does not make them trusted. */
  readonly #doubted = new Set<number>();
  /** Dropped since their bytes were wrong, and not written again yet. */
  readonly #damaged = new Set<number>();
  #nextGeneration = 1;
  #drops = 0;
  #dropsCommitted = 0;

  static of(layer: PieceLayer): PieceLedger {
    const zero = new Bitfield(layer.pieceCount);
    for (let index = 0; zero.count < layer.zeroCount; index += 1) {
      if (layer.isZero(index)) zero.set(index);
    }
    return new PieceLedger(zero);
  }

  constructor(zero: Bitfield) {
    this.#zero = zero;
    this.have = zero.clone();
    this.#durable = new Bitfield(zero.size);
    this.#trusted = new Bitfield(zero.size);
  }

  /** What was found on disk. `generationMax` is the highest generation in any slot or log entry. */
  restore(durable: Bitfield, replayed: readonly number[], generationMax: number): void {
    for (let index = durable.nextSet(0); index !== -1; index = durable.nextSet(index + 1)) {
      if (this.have.set(index)) this.#durable.set(index);
    }
    for (const index of replayed) {
      if (this.have.set(index)) this.#replayed.add(index);
    }
    this.#nextGeneration = generationMax + 1;
  }

  isZero(pieceIndex: number): boolean {
    return this.#zero.has(pieceIndex);
  }

  /**
   * Whether the file may be read without a check. Never while a piece is dirty: when the kernel fails to write a page back,
   * it may drop it, and a read before our next flush then finds what the disk had before.
   */
  isTrusted(pieceIndex: number): boolean {
    return this.#trusted.has(pieceIndex);
  }

  /** Held, but every read has to check the hash. */
  isClaimed(pieceIndex: number): boolean {
    const isStored = this.have.has(pieceIndex) && !this.isZero(pieceIndex);
    return isStored && !this.isTrusted(pieceIndex);
  }

  isReplayed(pieceIndex: number): boolean {
    return this.#replayed.has(pieceIndex);
  }

  get replayed(): readonly number[] {
    return [...this.#replayed];
  }

  get dirtyCount(): number {
    return this.#dirty.size;
  }

  /** Pieces whose bytes are in the cache file. */
  get storedCount(): number {
    return this.have.count - this.#zero.count;
  }

  /** Bytes of those pieces. */
  storedBytes(shape: PieceShape): number {
    const last = this.have.size - 1;
    const isLastStored = this.have.has(last) && !this.isZero(last);
    const missing = isLastStored ? shape.pieceLength - shape.bytesOf(last) : 0;
    return this.storedCount * shape.pieceLength - missing;
  }

  /** Whether a commit would change what the newest slot says. */
  get needsCommit(): boolean {
    return this.#dirty.size > 0 || this.#replayed.size > 0 || this.#drops > this.#dropsCommitted;
  }

  /** The generation in which pieces written now will be committed. */
  get nextGeneration(): number {
    return this.#nextGeneration;
  }

  /** absent | claimed → dirty: the data is written and the log says so. */
  recordWritten(pieceIndex: number): void {
    assert(!this.isZero(pieceIndex), `zero piece ${pieceIndex} written`);
    this.#replayed.delete(pieceIndex);
    this.have.set(pieceIndex);
    this.#doubted.delete(pieceIndex);
    this.#damaged.delete(pieceIndex);
    this.#dirty.set(pieceIndex, this.#nextGeneration);
  }

  /**
   * Its bytes were read and have the right hash: a durable piece is trusted from now on. A dirty one will be once it is
   * durable, a replayed one once it is written again (the kernel may hold it in memory and have failed to write it).
   */
  confirm(pieceIndex: number): void {
    if (this.#durable.has(pieceIndex)) this.#trusted.set(pieceIndex);
  }

  /** A trusted piece could not be read just now: it must be verified again. */
  doubt(pieceIndex: number): void {
    this.#trusted.clear(pieceIndex);
  }

  /** The file was changed behind our back: every piece must be verified again. */
  doubtAll(): void {
    this.#trusted = new Bitfield(this.have.size);
    for (const index of this.#dirty.keys()) this.#doubted.add(index);
  }

  isDurable(pieceIndex: number): boolean {
    return this.#durable.has(pieceIndex);
  }

  get durableCount(): number {
    return this.#durable.count;
  }

  /** The first durable piece from this index on, or -1. */
  nextDurable(from: number): number {
    return this.#durable.nextSet(from);
  }

  /** held → absent. */
  drop(pieceIndex: number): void {
    assert(this.have.has(pieceIndex) && !this.isZero(pieceIndex), `piece ${pieceIndex} dropped`);
    this.have.clear(pieceIndex);
    this.#trusted.clear(pieceIndex);
    this.#dirty.delete(pieceIndex);
    this.#replayed.delete(pieceIndex);
    this.#doubted.delete(pieceIndex);
    if (this.#durable.clear(pieceIndex)) this.#drops += 1;
  }

  /** held → absent: the file has its place, and not its bytes. */
  dropDamaged(pieceIndex: number): void {
    this.drop(pieceIndex);
    this.#damaged.add(pieceIndex);
  }

  isDamaged(pieceIndex: number): boolean {
    return this.#damaged.has(pieceIndex);
  }

  /** All held → absent, but zero pieces. Returns those pieces. */
  dropStored(): readonly number[] {
    const dropped: number[] = [];
    this.#damaged.clear();
    for (let index = this.have.nextSet(0); index !== -1; index = this.have.nextSet(index + 1)) {
      if (this.isZero(index)) continue;
      this.drop(index);
      dropped.push(index);
    }
    return dropped;
  }

  /** Takes a snapshot of what is dirty. From here on, pieces written belong to the next generation. */
  beginCommit(): CommitTicket {
    const generation = this.#nextGeneration;
    this.#nextGeneration += 1;
    return { generation, pieceIndexes: [...this.#dirty.keys()], dropsSeen: this.#drops };
  }

  /** The bits of the new slot; to be called once the data of the ticket's pieces is flushed. */
  bitsOf(ticket: CommitTicket): Bitfield {
    const bits = this.#durable.clone();
    for (const index of ticket.pieceIndexes) {
      // A piece dropped and written again during the flush has the next generation: its data was not flushed.
      if (this.#dirty.get(index) === ticket.generation) bits.set(index);
    }
    ticket.dropsSeen = this.#drops;
    return bits;
  }

  /** The slot with bitsOf(ticket) is durable. */
  endCommit(ticket: CommitTicket, bits: Bitfield): void {
    this.#dropsCommitted = ticket.dropsSeen;
    for (const index of ticket.pieceIndexes) {
      if (!bits.has(index)) continue;
      if (this.#dirty.get(index) === ticket.generation) {
        this.#dirty.delete(index);
        this.#durable.set(index);
        if (!this.#doubted.delete(index)) this.#trusted.set(index);
      } else {
        // Dropped while the slot was being written, which vouches for it: the next slot must not.
        this.#drops += 1;
      }
    }
  }

  /** The flush failed: all that is not durable is absent again. Returns those pieces. */
  failCommit(): readonly number[] {
    const lost = [...this.#dirty.keys(), ...this.#replayed];
    for (const index of lost) this.drop(index);
    return lost;
  }
}
