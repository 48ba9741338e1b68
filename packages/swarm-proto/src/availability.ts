/**
 * How many connected peers have each wanted piece, kept sorted so that the rarest are found without looking at the rest.
 * A counting sort that is never undone: pieces lie in one array ordered by count, each count's pieces side by side, and
 * a change by one swaps a piece with the edge of its bucket: O(1) per update. Peers that have everything are not counted
 * here, they would shift all pieces alike.
 */
import { assert } from '@bootswarm/stdx';

const UNLISTED = 0xffffffff;

export class Availability {
  readonly #counts: Uint16Array;
  /** Piece indexes by ascending count; the first #listed entries are in use. */
  readonly #order: Uint32Array;
  readonly #position: Uint32Array;
  /** #bucketEnd[c]: end (exclusive) of the pieces with count ≤ c. */
  readonly #bucketEnd: number[] = [0];

  /** All pieces start unlisted, with count 0. */
  constructor(pieceCount: number) {
    this.#counts = new Uint16Array(pieceCount);
    this.#order = new Uint32Array(pieceCount);
    this.#position = new Uint32Array(pieceCount).fill(UNLISTED);
  }

  /** Pieces that can be picked. */
  get listed(): number {
    return this.#bucketEnd[this.#bucketEnd.length - 1];
  }

  /** The highest count of any listed piece, plus one. */
  get bucketCount(): number {
    return this.#bucketEnd.length;
  }

  count(pieceIndex: number): number {
    return this.#counts[pieceIndex];
  }

  isListed(pieceIndex: number): boolean {
    return this.#position[pieceIndex] !== UNLISTED;
  }

  /** Makes a piece pickable. Costs one swap per bucket above its own. */
  list(pieceIndex: number): void {
    assert(!this.isListed(pieceIndex), `piece ${pieceIndex} is listed twice`);
    const count = this.#counts[pieceIndex];
    this.#growTo(count);
    let hole = this.listed;
    for (let bucket = this.#bucketEnd.length - 1; bucket > count; bucket -= 1) {
      const first = this.#bucketEnd[bucket - 1];
      if (first !== hole) this.#place(this.#order[first], hole);
      hole = first;
      this.#bucketEnd[bucket] += 1;
    }
    this.#bucketEnd[count] += 1;
    this.#place(pieceIndex, hole);
  }

  /** Takes a piece out of the picking: held, or already asked for. */
  unlist(pieceIndex: number): void {
    assert(this.isListed(pieceIndex), `piece ${pieceIndex} is not listed`);
    let hole = this.#position[pieceIndex];
    for (let bucket = this.#counts[pieceIndex]; bucket < this.#bucketEnd.length; bucket += 1) {
      const last = this.#bucketEnd[bucket] - 1;
      if (last !== hole) this.#place(this.#order[last], hole);
      hole = last;
      this.#bucketEnd[bucket] = last;
    }
    this.#position[pieceIndex] = UNLISTED;
  }

  increment(pieceIndex: number): void {
    const count = this.#counts[pieceIndex];
    this.#counts[pieceIndex] = count + 1;
    if (!this.isListed(pieceIndex)) return;
    this.#growTo(count + 1);
    const last = this.#bucketEnd[count] - 1;
    this.#swap(this.#position[pieceIndex], last);
    this.#bucketEnd[count] = last;
  }

  decrement(pieceIndex: number): void {
    const count = this.#counts[pieceIndex];
    assert(count > 0, `availability of piece ${pieceIndex} below zero`);
    this.#counts[pieceIndex] = count - 1;
    if (!this.isListed(pieceIndex)) return;
    const first = this.#bucketEnd[count - 1];
    this.#swap(this.#position[pieceIndex], first);
    this.#bucketEnd[count - 1] = first + 1;
  }

  /** Listed pieces with exactly `count`. */
  bucketSize(count: number): number {
    return this.#end(count) - this.#end(count - 1);
  }

  /** The n-th listed piece with exactly `count`, n from 0 to bucketSize - 1; the order within a bucket is arbitrary. */
  at(count: number, n: number): number {
    return this.#order[this.#end(count - 1) + n];
  }

  #end(count: number): number {
    if (count < 0) return 0;
    return this.#bucketEnd[Math.min(count, this.#bucketEnd.length - 1)];
  }

  #growTo(count: number): void {
    while (this.#bucketEnd.length <= count) this.#bucketEnd.push(this.listed);
  }

  #place(pieceIndex: number, position: number): void {
    this.#order[position] = pieceIndex;
    this.#position[pieceIndex] = position;
  }

  #swap(from: number, to: number): void {
    const one = this.#order[from];
    this.#place(this.#order[to], from);
    this.#place(one, to);
  }
}
