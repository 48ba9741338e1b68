/**
 * How many connected peers have each wanted piece, kept sorted so that the rarest are found without looking at the rest.
 * A counting sort that is never undone: pieces lie in one array ordered by count, each count's pieces side by side, and
 * a change by one swaps a piece with the edge of its bucket: O(1) per update. The rarest lie last, so that to take out a piece
 * moves as many others as peers have it: what is fetched has few holders. Only listed pieces are counted and take memory:
 * what a node holds, all-zero pieces foremost, is most of what its peers tell it of; a piece that becomes wanted is counted then.
 * Peers that have everything are not counted here, they would shift all pieces alike.
 */
import { assert, Bitfield } from '@bootswarm/stdx';

/** Positions are kept in pages, made when a piece of theirs is first listed: an image has long runs of all-zero pieces. */
const PAGE_BITS = 8;
const PAGE_PIECES = 1 << PAGE_BITS;
const ORDER_LENGTH_MIN = 64;

export class Availability {
  readonly #listed: Bitfield;
  /** What each connected peer has, as far as it told. */
  readonly #peers = new Set<Bitfield>();
  /** Piece indexes by descending count; the first `listed` entries are in use. */
  #order = new Uint32Array(0);
  /** The count of the piece at the same place in #order. */
  #counts = new Uint16Array(0);
  /** Where in #order a listed piece is. */
  readonly #positions: Uint32Array[] = [];
  /** #bucketEnd[c]: end (exclusive) of the pieces with count ≥ c; those with c lie between #bucketEnd[c + 1] and it. */
  readonly #bucketEnd: number[] = [0];

  /** All pieces start unlisted. */
  constructor(pieceCount: number) {
    this.#listed = new Bitfield(pieceCount);
  }

  /** Pieces that can be picked. */
  get listed(): number {
    return this.#bucketEnd[0];
  }

  /** The highest count of any listed piece, plus one. */
  get bucketCount(): number {
    return this.#bucketEnd.length;
  }

  /** Of a listed piece. */
  count(pieceIndex: number): number {
    return this.#counts[this.#positionOf(pieceIndex)];
  }

  isListed(pieceIndex: number): boolean {
    return this.#listed.has(pieceIndex);
  }

  /** A peer has come; from now on its `have` changes by add() and addAll() only. */
  join(have: Bitfield): void {
    this.#peers.add(have);
    this.#forListed(have, (pieceIndex) => this.#increment(pieceIndex));
  }

  /** The peer is gone. */
  leave(have: Bitfield): void {
    if (!this.#peers.delete(have)) return;
    this.#forListed(have, (pieceIndex) => this.#decrement(pieceIndex));
  }

  /** The peer has one piece more. */
  add(have: Bitfield, pieceIndex: number): void {
    if (have.set(pieceIndex) && this.#listed.has(pieceIndex)) this.#increment(pieceIndex);
  }

  /** The peer has all these. */
  addAll(have: Bitfield, more: Bitfield): void {
    this.#forListed(more, (pieceIndex) => {
      if (!have.has(pieceIndex)) this.#increment(pieceIndex);
    });
    have.addAll(more);
  }

  /** Makes a piece pickable. Costs one look per peer, and one swap per bucket below its own. */
  list(pieceIndex: number): void {
    if (!this.#listed.set(pieceIndex)) assert(false, `piece ${pieceIndex} is listed twice`);
    this.#positions[pieceIndex >>> PAGE_BITS] ??= new Uint32Array(PAGE_PIECES);
    let count = 0;
    for (const have of this.#peers) if (have.has(pieceIndex)) count += 1;
    this.#growTo(count);
    let hole = this.listed;
    if (hole === this.#order.length) this.#growOrder();
    for (let bucket = 0; bucket < count; bucket += 1) {
      const first = this.#bucketEnd[bucket + 1];
      if (first !== hole) this.#place(this.#order[first], hole, bucket);
      hole = first;
      this.#bucketEnd[bucket] += 1;
    }
    this.#bucketEnd[count] += 1;
    this.#place(pieceIndex, hole, count);
  }

  /** Takes a piece out of the picking: held, or already asked for. Costs one swap per bucket below its own. */
  unlist(pieceIndex: number): void {
    if (!this.#listed.clear(pieceIndex)) assert(false, `piece ${pieceIndex} is not listed`);
    let hole = this.#positionOf(pieceIndex);
    for (let bucket = this.#counts[hole]; bucket >= 0; bucket -= 1) {
      const last = this.#bucketEnd[bucket] - 1;
      if (last !== hole) this.#place(this.#order[last], hole, bucket);
      hole = last;
      this.#bucketEnd[bucket] = last;
    }
  }

  /** Listed pieces with exactly `count`. */
  bucketSize(count: number): number {
    return this.#end(count) - this.#end(count + 1);
  }

  /** The n-th listed piece with exactly `count`, n from 0 to bucketSize - 1; the order within a bucket is arbitrary. */
  at(count: number, n: number): number {
    return this.#order[this.#end(count + 1) + n];
  }

  #increment(pieceIndex: number): void {
    const position = this.#positionOf(pieceIndex);
    const count = this.#counts[position];
    this.#growTo(count + 1);
    const first = this.#bucketEnd[count + 1];
    this.#place(this.#order[first], position, count);
    this.#place(pieceIndex, first, count + 1);
    this.#bucketEnd[count + 1] = first + 1;
  }

  #decrement(pieceIndex: number): void {
    const position = this.#positionOf(pieceIndex);
    const count = this.#counts[position];
    assert(count > 0, 'availability of a piece below zero');
    const last = this.#bucketEnd[count] - 1;
    this.#place(this.#order[last], position, count);
    this.#place(pieceIndex, last, count - 1);
    this.#bucketEnd[count] = last;
  }

  #forListed(have: Bitfield, act: (pieceIndex: number) => void): void {
    // A peer of the origin, which keeps nothing of what its peers have.
    if (have.size !== this.#listed.size) return;
    for (let at = have.nextCommon(this.#listed, 0); at >= 0; ) {
      act(at);
      at = have.nextCommon(this.#listed, at + 1);
    }
  }

  #end(count: number): number {
    return count < this.#bucketEnd.length ? this.#bucketEnd[count] : 0;
  }

  #growTo(count: number): void {
    while (this.#bucketEnd.length <= count) this.#bucketEnd.push(0);
  }

  #growOrder(): void {
    const length = Math.max(ORDER_LENGTH_MIN, 2 * this.#order.length);
    const order = new Uint32Array(length);
    order.set(this.#order);
    this.#order = order;
    const counts = new Uint16Array(length);
    counts.set(this.#counts);
    this.#counts = counts;
  }

  #positionOf(pieceIndex: number): number {
    return this.#positions[pieceIndex >>> PAGE_BITS][pieceIndex & (PAGE_PIECES - 1)];
  }

  #place(pieceIndex: number, position: number, count: number): void {
    this.#order[position] = pieceIndex;
    this.#counts[position] = count;
    this.#positions[pieceIndex >>> PAGE_BITS][pieceIndex & (PAGE_PIECES - 1)] = position;
  }
}
