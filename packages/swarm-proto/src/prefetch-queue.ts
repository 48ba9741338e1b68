/** The boot order that is still to be fetched, in order; a cursor instead of shift(), since it can be long. */
export class PrefetchQueue {
  #pieceIndexes: number[] = [];
  #next = 0;

  /** The next piece; undefined when there is none. */
  get first(): number | undefined {
    return this.#pieceIndexes[this.#next];
  }

  append(pieceIndexes: readonly number[]): void {
    this.#pieceIndexes = this.#pieceIndexes.slice(this.#next).concat(pieceIndexes);
    this.#next = 0;
  }

  /** Past the first. */
  advance(): void {
    this.#next += 1;
  }
}
