/** Events in order of time, and of insertion where times are equal: the same insertions give the same order. */

export class EventHeap<T> {
  readonly #times: number[] = [];
  readonly #orders: number[] = [];
  readonly #events: T[] = [];
  #inserted = 0;

  get size(): number {
    return this.#events.length;
  }

  /** Time of the earliest event; Infinity when there is none. */
  get nextTime(): number {
    return this.#times.length === 0 ? Infinity : this.#times[0];
  }

  push(time: number, event: T): void {
    let at = this.#events.length;
    const order = this.#inserted;
    this.#inserted += 1;
    // A hole moves up to where the event belongs.
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (this.#times[parent] <= time) break;
      this.#move(parent, at);
      at = parent;
    }
    this.#set(at, time, order, event);
  }

  /** Takes the earliest event; undefined when there is none. */
  pop(): T | undefined {
    const first = this.#events[0];
    const last = this.#events.length - 1;
    if (last < 0) return undefined;
    const time = this.#times[last];
    const order = this.#orders[last];
    const event = this.#events[last];
    this.#times.length = last;
    this.#orders.length = last;
    this.#events.length = last;
    if (last > 0) this.#sink(time, order, event);
    return first;
  }

  /** Puts an event into the hole at the top. */
  #sink(time: number, order: number, event: T): void {
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.#events.length) break;
      if (child + 1 < this.#events.length && this.#isBefore(child + 1, child)) child += 1;
      const isPlaced =
        time < this.#times[child] || (time === this.#times[child] && order < this.#orders[child]);
      if (isPlaced) break;
      this.#move(child, at);
      at = child;
    }
    this.#set(at, time, order, event);
  }

  #isBefore(a: number, b: number): boolean {
    const difference = this.#times[a] - this.#times[b];
    return difference < 0 || (difference === 0 && this.#orders[a] < this.#orders[b]);
  }

  #move(from: number, to: number): void {
    this.#set(to, this.#times[from], this.#orders[from], this.#events[from]);
  }

  #set(at: number, time: number, order: number, event: T): void {
    this.#times[at] = time;
    this.#orders[at] = order;
    this.#events[at] = event;
  }
}
