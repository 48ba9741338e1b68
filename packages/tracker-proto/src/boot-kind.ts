/**
 * One kind of VM that boots from an image: what many of its boots touched, merged. A piece is kept if most boots touched it,
 * at its mean rank; old boots fade, so that a kind whose boots change is learned anew.
 */
import { PieceOrder, type PieceSequence } from '@bootswarm/stdx';

/** The weight of a boot falls by this with each later one: ten boots make the most of the order. */
const FADE = 0.9;
/** And the weight of the kind by this with each boot of another: a kind that is no longer used gives way after some 100. */
const FADE_BY_OTHERS = 0.98;
const KEPT_MIN = 0.5;
/** A piece that fewer boots touch is forgotten: one touched once in seven boots. */
const REMEMBERED_MIN = 0.05;
/** Pieces of one boot, and of what is remembered of a kind: 8 GiB of pieces of 64 KiB. */
export const BOOT_PIECES_MAX = 2 ** 17;

/** Weight by which boots touched a piece, and its mean rank in them. */
export interface PieceRecord {
  weight: number;
  rank: number;
}

export class BootKind {
  readonly id: number;
  /** What nodes are told: the merged order, extended by boots that still run. */
  readonly order = new PieceOrder();
  /** Whether nodes know this kind; how many pieces they were told, and how many of these still hold. */
  isTold = false;
  toldLength = 0;
  heldLength = 0;
  /** Boots merged, those of long ago counted less; at most 10. */
  weight = 0;
  bootsMerged = 0;
  /** Wall clock of the last merge; 0 if there was none. */
  learnedAtMs = 0;
  /** Whether boots of more than one node were merged: until then it may be one agent's nonsense. */
  isShared = false;
  readonly pieces = new Map<number, PieceRecord>();
  #lastNode: string | undefined;
  #mergesUnsorted = 0;

  constructor(id: number) {
    this.id = id;
  }

  get isLearned(): boolean {
    return this.bootsMerged > 0;
  }

  merge(touches: PieceSequence, node: string, nowMs: number): void {
    this.isShared ||= this.#lastNode !== undefined && this.#lastNode !== node;
    this.#lastNode = node;
    this.weight = this.weight * FADE + 1;
    this.bootsMerged += 1;
    this.learnedAtMs = nowMs;
    this.#mergesUnsorted += 1;
    for (const record of this.pieces.values()) record.weight *= FADE;
    const seen = new Set<number>();
    for (let rank = 0; rank < touches.length; rank += 1) {
      const pieceIndex = touches.at(rank);
      if (seen.has(pieceIndex)) continue;
      seen.add(pieceIndex);
      const record = this.pieces.get(pieceIndex);
      if (record === undefined) {
        this.pieces.set(pieceIndex, { weight: 1, rank });
      } else {
        record.weight += 1;
        record.rank += (rank - record.rank) / record.weight;
      }
    }
    this.#forgetRare();
  }

  /** A boot of another kind was merged. */
  fade(): void {
    this.weight *= FADE_BY_OTHERS;
  }

  /** Puts the merged order in place of what boots that still ran made of it, once enough were merged. */
  settle(mergesMin: number): void {
    if (this.#mergesUnsorted < mergesMin) return;
    this.#mergesUnsorted = 0;
    const kept = [...this.pieces].filter(([, { weight }]) => weight >= KEPT_MIN * this.weight);
    // By rank; of equal rank by index, so that every tracker makes the same order of the same boots.
    kept.sort(([one, a], [other, b]) => a.rank - b.rank || one - other);
    let same = 0;
    while (same < this.order.length && this.order.at(same) === kept[same]?.[0]) same += 1;
    this.order.cut(same);
    this.heldLength = Math.min(this.heldLength, same);
    for (const [pieceIndex] of kept.slice(same)) this.order.append(pieceIndex);
  }

  #forgetRare(): void {
    for (const [pieceIndex, { weight }] of this.pieces) {
      if (weight < REMEMBERED_MIN * this.weight) this.pieces.delete(pieceIndex);
    }
    if (this.pieces.size <= BOOT_PIECES_MAX) return;
    const byWeight = [...this.pieces].sort(([, a], [, b]) => a.weight - b.weight);
    for (const [pieceIndex] of byWeight.slice(0, this.pieces.size - BOOT_PIECES_MAX)) {
      this.pieces.delete(pieceIndex);
    }
  }
}
