/** Time that passes only when something happens: runs events in order, each at its time, on one thread. */
import { assert, EventHeap } from '@bootswarm/stdx';

export class VirtualClock {
  readonly #events = new EventHeap<() => void>();
  #now = 0;
  #handled = 0;

  /** Milliseconds since the start. */
  get now(): number {
    return this.#now;
  }

  /** Events run so far. */
  get handled(): number {
    return this.#handled;
  }

  /** Runs `event` at `time`, after all events already set for that time. */
  at(time: number, event: () => void): void {
    // Checked first: to format two times for each event costs more than the heap.
    if (!(time >= this.#now)) assert(false, `event at ${time}, now is ${this.#now}`);
    this.#events.push(time, event);
  }

  after(delayMs: number, event: () => void): void {
    this.at(this.#now + delayMs, event);
  }

  /** Runs events until `isDone` holds, asked after each, or the next one is later than `until`. Returns whether it held. */
  run(until: number, isDone: () => boolean): boolean {
    while (!isDone()) {
      if (this.#events.nextTime > until) {
        this.#now = Math.max(this.#now, Math.min(until, this.#events.nextTime));
        return isDone();
      }
      this.#now = this.#events.nextTime;
      this.#handled += 1;
      this.#events.pop()!();
    }
    return true;
  }
}
