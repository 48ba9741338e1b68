/**
 * What a node prefetches while VMs boot on it: knows the boot orders of the kinds of VM there are, watches what each VM touches,
 * and follows the orders that it follows, a little ahead of it. Fetching is the engine's matter.
 */
import { type Bitfield, FOLLOWS_MIN, ORDER_WINDOW, PieceOrder } from '@bootswarm/stdx';
import type { FirstTouches } from './first-touches.ts';

/**
 * So many pieces of an order are fetched ahead of a VM that has touched none, and twice its touches more later on: a VM that
 * turns out to be of an unknown kind has then cost little.
 */
const LEAD_MIN = 128;
/** While it may be of several kinds, of what they do not share. */
const UNSURE_LEAD = ORDER_WINDOW / 2;
/** Pieces handed out and not had yet; what was handed out cannot be called back. 16 MiB, 134 ms at 1 Gbit/s. */
const OUTSTANDING_MAX = 256;
/** Kinds kept: the tracker tells of 4. */
const KINDS_MAX = 16;
const ORDER_LENGTH_MAX = 2 ** 17;

/** As the tracker sends it: keep the first `from` pieces of the order, then come these. If that leaves none, the kind is gone. */
export interface KindChange {
  readonly kind: number;
  readonly from: number;
  readonly pieceIndexes: Uint32Array;
}

/** A VM that boots on this node. */
interface Follower {
  /** By kind: the rank up to which it was handed out. */
  readonly cursors: Map<number, number>;
}

export class BootOrderFollower {
  readonly #have: Bitfield;
  readonly #orders = new Map<number, PieceOrder>();
  readonly #boots = new Map<FirstTouches, Follower>();
  readonly #outstanding = new Set<number>();
  #revision = 0;
  #isHeldBack = false;

  /** `have`: the pieces that this node has, kept up to date by its owner. */
  constructor(have: Bitfield) {
    this.#have = have;
  }

  get revision(): number {
    return this.#revision;
  }

  /** Whether next() would have given more if more of what it gave were had. */
  get isHeldBack(): boolean {
    return this.#isHeldBack;
  }

  /** All that any order has, each piece once. */
  pieces(): number[] {
    const pieces = new Set<number>();
    for (const order of this.#orders.values()) {
      for (let rank = 0; rank < order.length; rank += 1) pieces.add(order.at(rank));
    }
    return [...pieces];
  }

  /** Whether any order has this piece. */
  isKnown(pieceIndex: number): boolean {
    for (const order of this.#orders.values()) if (order.has(pieceIndex)) return true;
    return false;
  }

  /** Pieces of the order of a kind, for people to look at. */
  get kinds(): { readonly kind: number; readonly pieces: number }[] {
    return Array.from(this.#orders, ([kind, { length }]) => ({ kind, pieces: length }));
  }

  /** False, with nothing changed, when it does not follow on what is known: ask for the whole. */
  apply(revision: number, isFull: boolean, kinds: readonly KindChange[]): boolean {
    if (!isFull && revision !== this.#revision + 1) return false;
    const isFit = ({ kind, from }: KindChange): boolean =>
      from === 0 || (!isFull && from <= (this.#orders.get(kind)?.length ?? 0));
    if (!kinds.every(isFit)) return false;
    if (isFull) this.forget();
    for (const change of kinds) this.#change(change);
    this.#revision = revision;
    return true;
  }

  /** As it was at first, but for the VMs. */
  forget(): void {
    this.#orders.clear();
    for (const { cursors } of this.#boots.values()) cursors.clear();
    this.#revision = 0;
  }

  /** A VM may begin to boot. */
  add(boot: FirstTouches): void {
    this.#boots.set(boot, { cursors: new Map() });
  }

  /** What to fetch next, in order; nothing while no VM boots, or enough is on its way. */
  next(): number[] {
    const wanted: number[] = [];
    // The common case of a node that is done: a guest's first touches cost nothing there.
    if (this.#have.isFull) return wanted;
    for (const pieceIndex of this.#outstanding) {
      if (this.#have.has(pieceIndex)) this.#outstanding.delete(pieceIndex);
    }
    for (const [boot, follower] of [...this.#boots]) {
      if (!boot.isOver && boot.sequence.length === 0) continue;
      this.#boots.delete(boot);
      if (boot.isOver) continue;
      // To the end, so that each VM is the first in its turn.
      this.#boots.set(boot, follower);
      this.#follow(boot, follower, wanted);
    }
    if (this.#boots.size === 0) this.#outstanding.clear();
    this.#isHeldBack = this.#outstanding.size >= OUTSTANDING_MAX;
    return wanted;
  }

  #change({ kind, from, pieceIndexes }: KindChange): void {
    let order = this.#orders.get(kind);
    if (order === undefined) {
      if (this.#orders.size >= KINDS_MAX) return;
      order = new PieceOrder();
      this.#orders.set(kind, order);
    }
    for (const { cursors } of this.#boots.values()) {
      cursors.set(kind, Math.min(cursors.get(kind) ?? 0, from));
    }
    order.cut(from);
    for (const pieceIndex of pieceIndexes) {
      if (order.length >= ORDER_LENGTH_MAX) break;
      if (pieceIndex < this.#have.size) order.append(pieceIndex);
    }
    if (order.length === 0) this.#orders.delete(kind);
  }

  /** By rank, of every kind that the VM may be of. */
  #follow(boot: FirstTouches, { cursors }: Follower, wanted: number[]): void {
    if (this.#outstanding.size >= OUTSTANDING_MAX) return;
    const touches = boot.sequence.length;
    const end = 2 * touches + LEAD_MIN;
    // Which orders it follows is not asked before one of them has more for it.
    if (!this.#hasMore(cursors, end)) return;
    const plausible = [...this.#orders].filter(
      ([, order]) => (order.followedBy(boot.sequence) ?? 1) >= FOLLOWS_MIN,
    );
    const unsureEnd = plausible.length > 1 ? touches + UNSURE_LEAD : end;
    let rank = Math.min(...plausible.map(([kind]) => cursors.get(kind) ?? 0));
    for (; rank < end && this.#outstanding.size < OUTSTANDING_MAX; rank += 1) {
      let isMore = false;
      for (const [kind, order] of plausible) {
        if (rank >= order.length) continue;
        isMore = true;
        const cursor = cursors.get(kind) ?? 0;
        if (rank < cursor) continue;
        const pieceIndex = order.at(rank);
        const isShared = plausible.every(([, each]) => each.has(pieceIndex));
        if (!isShared && rank >= unsureEnd) continue;
        // Stays before what was passed over, to come back for it.
        if (cursor === rank) cursors.set(kind, rank + 1);
        if (this.#have.has(pieceIndex) || this.#outstanding.has(pieceIndex)) continue;
        this.#outstanding.add(pieceIndex);
        wanted.push(pieceIndex);
      }
      if (!isMore) break;
    }
  }

  #hasMore(cursors: ReadonlyMap<number, number>, end: number): boolean {
    for (const [kind, { length }] of this.#orders) {
      if ((cursors.get(kind) ?? 0) < Math.min(end, length)) return true;
    }
    return false;
  }
}
