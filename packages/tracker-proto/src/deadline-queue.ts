/** Items that all wait equally long, in the order in which they fall due. Adding, removing and looking cost O(1). */

interface Entry<T> {
  readonly item: T;
  readonly dueAt: number;
  isRemoved: boolean;
}

export class DeadlineQueue<T> {
  readonly #delayMs: number;
  readonly #entries = new Map<T, Entry<T>>();
  #fifo: Entry<T>[] = [];
  #head = 0;

  constructor(delayMs: number) {
    this.#delayMs = delayMs;
  }

  /** `now` never runs backwards. An item that already waits starts anew. */
  add(item: T, now: number): void {
    this.remove(item);
    const entry = { item, dueAt: now + this.#delayMs, isRemoved: false };
    this.#entries.set(item, entry);
    this.#fifo.push(entry);
  }

  has(item: T): boolean {
    return this.#entries.has(item);
  }

  remove(item: T): void {
    const entry = this.#entries.get(item);
    if (entry === undefined) return;
    entry.isRemoved = true;
    this.#entries.delete(item);
  }

  /** When the first item falls due. */
  nextAt(): number | undefined {
    return this.#first()?.dueAt;
  }

  /** Takes the first item out if it is due. */
  takeDue(now: number): T | undefined {
    const first = this.#first();
    if (first === undefined || first.dueAt > now) return undefined;
    this.remove(first.item);
    return first.item;
  }

  #first(): Entry<T> | undefined {
    while (this.#head < this.#fifo.length && this.#fifo[this.#head].isRemoved) this.#head += 1;
    // Removed entries are let go once they are the larger half, so each is moved at most once.
    if (this.#head > 64 && this.#head * 2 > this.#fifo.length) {
      this.#fifo = this.#fifo.slice(this.#head);
      this.#head = 0;
    }
    return this.#fifo[this.#head];
  }
}
