/**
 * The boot orders of all images, and when changes of them are told: at once in a quiet swarm, together in a busy one. The
 * orders are BootOrderBook's matter, whom they are sent to SwarmRegistry's.
 */
import { BootOrderBook, type KindRecord } from './boot-order-book.ts';
import type { KindOrder } from './messages.ts';
import type { BootOrderStats } from './registry-io.ts';

/** Changes of one image that are sent to its whole swarm: a fifth of a core for the tracker. */
const MESSAGES_PER_SECOND_MAX = 20_000;
/** Guests that follow are later than the first by this much at most. */
const INTERVAL_MIN_MS = 50;

export interface OrderChange {
  readonly image: string;
  readonly revision: number;
  readonly kinds: readonly KindOrder[];
}

interface Entry {
  readonly book: BootOrderBook;
  /** Nothing more is told before this. */
  quietUntil: number;
}

export class BootOrders {
  readonly #entries = new Map<string, Entry>();
  /** Images with a change to tell. */
  readonly #dirty = new Set<string>();

  add(image: string, pieceCount: number, kinds: readonly KindRecord[]): void {
    const book = new BootOrderBook(pieceCount, kinds);
    this.#entries.set(image, { book, quietUntil: Number.NEGATIVE_INFINITY });
  }

  has(image: string): boolean {
    return this.#entries.has(image);
  }

  remove(image: string): void {
    this.#entries.delete(image);
    this.#dirty.delete(image);
  }

  /** As BootOrderBook.touched(). */
  touched(image: string, ...touches: Parameters<BootOrderBook['touched']>): boolean {
    const { book } = this.#entries.get(image)!;
    const isLearned = book.touched(...touches);
    if (book.isDirty) this.#dirty.add(image);
    return isLearned;
  }

  forget(image: string, node: string): void {
    this.#entries.get(image)?.book.forget(node);
  }

  records(image: string): readonly KindRecord[] {
    return this.#entries.get(image)?.book.records() ?? [];
  }

  stats(image: string): BootOrderStats[] {
    const records = this.#entries.get(image)?.book.records() ?? [];
    return records.map(({ bootsMerged, learnedAtMs, keptPieces }) => ({
      bootsMerged,
      learnedAtMs,
      pieceIndexes: keptPieces,
    }));
  }

  /** All that was told of an image so far; undefined when that is nothing. */
  whole(image: string): OrderChange | undefined {
    const { book } = this.#entries.get(image)!;
    return book.revision === 0
      ? undefined
      : { image, revision: book.revision, kinds: book.whole() };
  }

  /** When takeDue() has something to give. */
  nextAt(): number | undefined {
    let next: number | undefined;
    for (const image of this.#dirty) {
      const at = this.#entries.get(image)!.quietUntil;
      if (next === undefined || at < next) next = at;
    }
    return next;
  }

  /** The next change to be told now; `membersOf`: how many it will be sent to. */
  takeDue(now: number, membersOf: (image: string) => number): OrderChange | undefined {
    for (const image of this.#dirty) {
      const entry = this.#entries.get(image)!;
      if (entry.quietUntil > now) continue;
      this.#dirty.delete(image);
      const kinds = entry.book.flush();
      if (kinds === undefined) continue;
      const perSecond = MESSAGES_PER_SECOND_MAX / Math.max(1, membersOf(image));
      entry.quietUntil = now + Math.max(INTERVAL_MIN_MS, 1_000 / perSecond);
      return { image, revision: entry.book.revision, kinds };
    }
    return undefined;
  }
}
