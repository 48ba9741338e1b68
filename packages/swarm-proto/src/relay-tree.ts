/**
 * Which node relays which piece to which: from one member order every node computes the same trees, so that the origin
 * sends a piece to one node only. Striped trees after SplitStream: piece p belongs to stripe p mod STRIPES; in a stripe
 * only the nodes whose index mod STRIPES is the stripe are interior, so each node relays about one copy. Decides who should
 * be asked, in what order; whether they are connected or alive is the caller's business.
 */

/**
 * Two: each more costs depth and gains nothing (simulated, 1,000 nodes, pure transfer: 1.07 / 1.09 / 1.13 × the limit for
 * 2 / 4 / 8).
 */
export const STRIPES = 2;

export class RelayTree {
  readonly #memberCount: number;
  readonly #self: number;

  /** `self` is our index in the member order. */
  constructor(memberCount: number, self: number) {
    this.#memberCount = memberCount;
    this.#self = self;
  }

  static stripeOf(pieceIndex: number): number {
    return pieceIndex % STRIPES;
  }

  /** Whether we fetch this stripe from the origin for everybody. */
  isRoot(stripe: number): boolean {
    return this.#rankOf(stripe, this.#self) === 0;
  }

  /**
   * Members to ask for a piece of this stripe, best first: the parent, its neighbours at the same depth (sideways before
   * up: an orphan must not load the root), then the ancestors. Empty for the root. At most sources + depth entries.
   */
  sources(stripe: number): number[] {
    const rank = this.#rankOf(stripe, this.#self);
    if (rank === 0) return [];
    const parent = parentRank(rank);
    const ranks = [parent];
    // The interior ranks at the parent's depth are consecutive; the two next to the parent stand in for it.
    for (const sideways of [parent - 1, parent + 1]) {
      if (
        sideways > 0 &&
        depthOf(sideways) === depthOf(parent) &&
        this.#isInterior(stripe, sideways) &&
        sideways !== rank
      ) {
        ranks.push(sideways);
      }
    }
    for (let above = parent; above > 0; ) {
      above = parentRank(above);
      ranks.push(above);
    }
    return ranks.map((each) => this.#memberAt(stripe, each));
  }

  /**
   * Fill spreads the image over all nodes: of what nobody needs yet, each takes the pieces self, self + fillStep, … from the
   * origin.
   */
  get fillStep(): number {
    return this.#memberCount;
  }

  get self(): number {
    return this.#self;
  }

  /** Position in the stripe's order: its interior nodes by index, then the others by index. */
  #rankOf(stripe: number, member: number): number {
    const interior = this.#interiorCount(stripe);
    if (interior === 0) return member;
    if (member % STRIPES === stripe) return (member - stripe) / STRIPES;
    const interiorBefore = Math.ceil(Math.max(0, member - stripe) / STRIPES);
    return interior + member - interiorBefore;
  }

  #memberAt(stripe: number, rank: number): number {
    const interior = this.#interiorCount(stripe);
    if (interior === 0) return rank;
    if (rank < interior) return stripe + rank * STRIPES;
    const among = rank - interior;
    // Each block of STRIPES indexes holds STRIPES - 1 nodes that are not interior here.
    const block = Math.floor(among / (STRIPES - 1));
    const within = among % (STRIPES - 1);
    return block * STRIPES + (within < stripe ? within : within + 1);
  }

  #interiorCount(stripe: number): number {
    return Math.max(0, Math.ceil((this.#memberCount - stripe) / STRIPES));
  }

  #isInterior(stripe: number, rank: number): boolean {
    return rank < this.#interiorCount(stripe);
  }
}

/** In an S-ary tree laid out by rank, the parent of the k-th is the floor((k - 1) / S)-th. */
function parentRank(rank: number): number {
  return Math.floor((rank - 1) / STRIPES);
}

function depthOf(rank: number): number {
  let depth = 0;
  for (let at = rank; at > 0; at = parentRank(at)) depth += 1;
  return depth;
}
