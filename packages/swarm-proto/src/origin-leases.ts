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

/** A node that holds leases, under a number that a later node may get when it holds none any more. */
interface Holder {
  readonly node: string;
  leases: number;
}

export class OriginLeases {
  /** Per piece: 1 + index in #holders, 0 for none. */
  readonly #holderOf: Uint32Array;
  readonly #numbers: Uint32Array;
  /** Never more than there are pieces, whoever comes and goes. */
  readonly #holders: (Holder | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #indexOfNode = new Map<string, number>();

  constructor(pieceCount: number) {
    this.#holderOf = new Uint32Array(pieceCount);
    this.#numbers = new Uint32Array(pieceCount);
  }

  /** Nodes that hold a lease. */
  get holders(): number {
    return this.#indexOfNode.size;
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
    const holderIndex = this.#holderOf[pieceIndex] - 1;
    const number = this.#numbers[pieceIndex];
    const holder = this.#holders[holderIndex];
    if (holder !== undefined) {
      const isOther = number !== failedLease && holder.node !== node;
      if (isOther && isConnected(holder.node)) return { node: holder.node, number };
      this.#release(holder, holderIndex);
    }
    this.#holderOf[pieceIndex] = this.#give(node) + 1;
    this.#numbers[pieceIndex] = number + 1;
    return undefined;
  }

  #release(holder: Holder, index: number): void {
    holder.leases -= 1;
    if (holder.leases > 0) return;
    this.#indexOfNode.delete(holder.node);
    this.#holders[index] = undefined;
    this.#free.push(index);
  }

  /** One lease more for a node; returns its index. */
  #give(node: string): number {
    const known = this.#indexOfNode.get(node);
    if (known !== undefined) {
      this.#holders[known]!.leases += 1;
      return known;
    }
    const index = this.#free.pop() ?? this.#holders.length;
    this.#holders[index] = { node, leases: 1 };
    this.#indexOfNode.set(node, index);
    return index;
  }
}
