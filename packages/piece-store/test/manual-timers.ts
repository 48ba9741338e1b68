/** Timers that fire when the test says so. */
import type { SetTimer } from '../src/cache-store-options.ts';

export class ManualTimers {
  readonly #pending = new Map<object, { callback: () => void; delayMs: number }>();

  readonly set: SetTimer = (callback, delayMs) => {
    const key = {};
    this.#pending.set(key, { callback, delayMs });
    return () => this.#pending.delete(key);
  };

  /** The delays of pending timers, in the order they were set. */
  get delaysMs(): number[] {
    return Array.from(this.#pending.values(), ({ delayMs }) => delayMs);
  }

  fireAll(): void {
    const due = [...this.#pending.values()];
    this.#pending.clear();
    for (const { callback } of due) callback();
  }
}
