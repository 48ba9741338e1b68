/**
 * One kind of VM that boots from an image: what many of its boots touched, merged. A piece is kept if most boots touched it,
 * at its mean rank; old boots fade, so that a kind whose boots change is learned anew. A boot that was cut short says nothing of
 * what comes after it.
 */
import { PieceOrder, type PieceSequence } from '@bootswarm/stdx';

/** The weight of a boot falls by this with each later one: ten boots make the most of the order. */
const FADE = 0.9;
/** And the weight of the kind by this with each boot of another: a kind that is no longer used gives way after some 100. */
const FADE_BY_OTHERS = 0.98;
const KEPT_MIN = 0.5;
/** A boot of less than half the usual length was cut short, and had not come to what is usually touched near its end. */
const WHOLE_MIN = 0.5;
const RANK_SLACK = 16;
/** Older ones weigh less than a hundredth. */
const LENGTHS_MAX = 44;
/** A piece that fewer boots touch is forgotten: one touched once in seven boots. */
const REMEMBERED_MIN = 0.05;
/** Pieces of one boot, and of what is remembered of a kind: 8 GiB of pieces of 64 KiB. */
export const BOOT_PIECES_MAX = 2 ** 17;

/** Weight of the boots that touched a piece and of those that came so far, and its mean rank in the former. */
export interface PieceRecord {
  weight: number;
  chances: number;
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
  /** Touches of each of the last boots; the newest last. */
  lengths: number[] = [];
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
    this.lengths = [...this.lengths, touches.length].slice(-LENGTHS_MAX);
    const reaches = this.#reaches();
    const reach = reaches[reaches.length - 1];
    for (const record of this.pieces.values()) {
      if (record.rank > reach) continue;
      record.weight *= FADE;
      record.chances = record.chances * FADE + 1;
    }
    const seen = new Set<number>();
    for (let rank = 0; rank < touches.length; rank += 1) {
      const pieceIndex = touches.at(rank);
      if (seen.has(pieceIndex)) continue;
      seen.add(pieceIndex);
      const record = this.pieces.get(pieceIndex);
      if (record === undefined) {
        const chances = Math.max(1, weightReaching(reaches, rank));
        this.pieces.set(pieceIndex, { weight: 1, chances, rank });
      } else {
        if (record.rank > reach) record.chances += 1;
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
    const kept = [...this.pieces].filter(([, { weight, chances }]) => weight >= KEPT_MIN * chances);
    // By rank; of equal rank by index, so that every tracker makes the same order of the same boots.
    kept.sort(([one, a], [other, b]) => a.rank - b.rank || one - other);
    let same = 0;
    while (same < this.order.length && this.order.at(same) === kept[same]?.[0]) same += 1;
    this.order.cut(same);
    this.heldLength = Math.min(this.heldLength, same);
    for (const [pieceIndex] of kept.slice(same)) this.order.append(pieceIndex);
  }

  /** Of each of the last boots, the rank up to which it had a chance to touch what others touched. */
  #reaches(): number[] {
    const usual = this.lengths.toSorted((a, b) => a - b)[this.lengths.length >> 1];
    return this.lengths.map((length) =>
      length >= WHOLE_MIN * usual ? Infinity : length - RANK_SLACK,
    );
  }

  #forgetRare(): void {
    for (const [pieceIndex, { weight, chances }] of this.pieces) {
      if (weight < REMEMBERED_MIN * chances) this.pieces.delete(pieceIndex);
    }
    if (this.pieces.size <= BOOT_PIECES_MAX) return;
    const byWeight = [...this.pieces].sort(([, a], [, b]) => a.weight - b.weight);
    for (const [pieceIndex] of byWeight.slice(0, this.pieces.size - BOOT_PIECES_MAX)) {
      this.pieces.delete(pieceIndex);
    }
  }
}

/** Weight of the boots that came as far as this rank. */
function weightReaching(reaches: readonly number[], rank: number): number {
  return reaches.reduce((sum, reach) => sum * FADE + (rank <= reach ? 1 : 0), 0);
}
