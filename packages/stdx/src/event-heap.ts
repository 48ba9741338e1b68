/** Events in order of time, and of insertion where times are equal: the same insertions give the same order. */

/** Children of a place: four lie in one cache line of times, and the heap is half as deep as with two. */
const CHILDREN_BITS = 2;
const CHILDREN = 1 << CHILDREN_BITS;
const CAPACITY_MIN = 64;

export class EventHeap<T> {
  #times = new Float64Array(CAPACITY_MIN);
  #orders = new Float64Array(CAPACITY_MIN);
  readonly #events: T[] = [];
  #inserted = 0;

  get size(): number {
    return this.#events.length;
  }

  /** Time of the earliest event; Infinity when there is none. */
  get nextTime(): number {
    return this.#events.length === 0 ? Infinity : this.#times[0];
  }

  push(time: number, event: T): void {
    let at = this.#events.length;
    if (at === this.#times.length) this.#grow();
    this.#events.push(event);
    // A hole moves up to where the event belongs.
    while (at > 0) {
      const parent = (at - 1) >> CHILDREN_BITS;
      if (this.#times[parent] <= time) break;
      this.#move(parent, at);
      at = parent;
    }
    this.#set(at, time, this.#inserted, event);
    this.#inserted += 1;
  }

  /** Takes the earliest event; undefined when there is none. */
  pop(): T | undefined {
    const first = this.#events[0];
    const event = this.#events.pop();
    const last = this.#events.length;
    if (last > 0) this.#sink(this.#times[last], this.#orders[last], event!);
    return first;
  }

  /** Puts an event into the hole at the top. */
  #sink(time: number, order: number, event: T): void {
    const times = this.#times;
    const orders = this.#orders;
    const size = this.#events.length;
    let at = 0;
    for (let first = 1; first < size; first = CHILDREN * at + 1) {
      let child = first;
      const end = Math.min(first + CHILDREN, size);
      for (let each = first + 1; each < end; each += 1) {
        const difference = times[each] - times[child];
        if (difference < 0 || (difference === 0 && orders[each] < orders[child])) child = each;
      }
      if (time < times[child] || (time === times[child] && order < orders[child])) break;
      this.#move(child, at);
      at = child;
    }
    this.#set(at, time, order, event);
  }

  #move(from: number, to: number): void {
    this.#set(to, this.#times[from], this.#orders[from], this.#events[from]);
  }

  #set(at: number, time: number, order: number, event: T): void {
    this.#times[at] = time;
    this.#orders[at] = order;
    this.#events[at] = event;
  }

  #grow(): void {
    this.#times = doubled(this.#times);
    this.#orders = doubled(this.#orders);
  }
}

function doubled(numbers: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  const more = new Float64Array(2 * numbers.length);
  more.set(numbers);
  return more;
}
