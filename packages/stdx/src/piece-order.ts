/**
 * Distinct piece indexes in an order that grows at its end, and how well a boot follows it. Both sides of the learned boot order
 * judge boots by this: the tracker which kind a boot is of, a node which order its guest will want. Knows no messages.
 */

/** Touches looked at: enough to tell chance from likeness, few enough to notice soon that a boot goes another way. */
export const ORDER_WINDOW = 64;
/** With fewer nothing is said: what a look at the disk's partitions touches is no boot. */
export const TOUCHES_MIN = 16;
/** Of the window, in the order: two boots of one kind have 0.9 and more, of two kinds what they happen to share. */
export const FOLLOWS_MIN = 0.5;

export class PieceOrder {
  readonly #positions = new Map<number, number>();
  #pieces = new Uint32Array(64);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  at(position: number): number {
    return this.#pieces[position];
  }

  has(pieceIndex: number): boolean {
    return this.#positions.has(pieceIndex);
  }

  /** False when it is there already. */
  append(pieceIndex: number): boolean {
    if (this.#positions.has(pieceIndex)) return false;
    if (this.#length === this.#pieces.length) this.#pieces = doubled(this.#pieces);
    this.#positions.set(pieceIndex, this.#length);
    this.#pieces[this.#length] = pieceIndex;
    this.#length += 1;
    return true;
  }

  /** Keeps the first `length`. */
  cut(length: number): void {
    while (this.#length > length) {
      this.#length -= 1;
      this.#positions.delete(this.#pieces[this.#length]);
    }
  }

  /** A copy of what stands at `from` and after. */
  slice(from = 0): Uint32Array {
    return this.#pieces.slice(from, this.#length);
  }

  /**
   * The share of the last touches of a boot that stand where they should, 0 to 1; undefined while there is too little to tell.
   * Whichever of the two is ahead, they are compared as they were when it was where the other is now: of the touches up to that
   * rank, how many does the order have no later than a window after it?
   */
  followedBy(touches: PieceSequence): number | undefined {
    const rank = Math.min(this.#length, touches.length);
    if (rank < TOUCHES_MIN) return undefined;
    const first = Math.max(0, rank - ORDER_WINDOW);
    let found = 0;
    for (let each = first; each < rank; each += 1) {
      const position = this.#positions.get(touches.at(each));
      if (position !== undefined && position < rank + ORDER_WINDOW) found += 1;
    }
    return found / (rank - first);
  }
}

/** Piece indexes as they came; not checked to be distinct. */
export class PieceSequence {
  #pieces = new Uint32Array(64);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  at(rank: number): number {
    return this.#pieces[rank];
  }

  push(pieceIndex: number): void {
    if (this.#length === this.#pieces.length) this.#pieces = doubled(this.#pieces);
    this.#pieces[this.#length] = pieceIndex;
    this.#length += 1;
  }

  slice(from: number, end: number): Uint32Array {
    return this.#pieces.slice(from, Math.min(end, this.#length));
  }
}

function doubled(pieces: Uint32Array): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(pieces.length * 2);
  larger.set(pieces);
  return larger;
}
