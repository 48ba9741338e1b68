/**
 * The origin's side of its own protection: remembers which node was sent each piece, and has everybody who asks after that sent
 * to this node, until it is gone or has failed the asker. However confused the members are, the origin sends a piece again
 * only when its holder has not passed it on.
 */

export interface Lease {
  readonly node: string;
  /** Counts the holders of this piece from 1. */
  readonly number: number;
}

export class OriginLeases {
  /** Per piece: 1 + index in #nodes, 0 for none. */
  readonly #holders: Uint32Array;
  readonly #numbers: Uint32Array;
  readonly #nodes: string[] = [];
  readonly #indexOfNode = new Map<string, number>();

  constructor(pieceCount: number) {
    this.#holders = new Uint32Array(pieceCount);
    this.#numbers = new Uint32Array(pieceCount);
  }

  /**
   * `node` asks for a piece; `failedLease` is the number of the lease whose holder it could not get it from, or 0. Returns the
   * lease it is to be redirected to, or undefined when it is now the holder and is to be sent the piece.
   */
  take(
    pieceIndex: number,
    node: string,
    failedLease: number,
    isConnected: (node: string) => boolean,
  ): Lease | undefined {
    const holder = this.#holders[pieceIndex];
    const number = this.#numbers[pieceIndex];
    if (holder > 0 && number !== failedLease) {
      const held = this.#nodes[holder - 1];
      if (held !== node && isConnected(held)) return { node: held, number };
    }
    this.#holders[pieceIndex] = this.#indexOf(node) + 1;
    this.#numbers[pieceIndex] = number + 1;
    return undefined;
  }

  #indexOf(node: string): number {
    let index = this.#indexOfNode.get(node);
    if (index === undefined) {
      index = this.#nodes.length;
      this.#nodes.push(node);
      this.#indexOfNode.set(node, index);
    }
    return index;
  }
}
