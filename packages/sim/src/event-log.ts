/** What happened in a run, hashed: the same for the same commit, options and seed. */
import type { VirtualClock } from './virtual-clock.ts';

export class EventLog {
  readonly #clock: VirtualClock;
  /** FNV-1a over every entry, with its time. */
  #hash = 0x811c9dc5;

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  get hash(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, '0');
  }

  add(name: string, item: number, kind: number): void {
    for (let at = 0; at < name.length; at += 1) this.#mix(name.charCodeAt(at));
    this.#mix(item);
    this.#mix(kind);
    this.#mix(Math.round(this.#clock.now * 1_000));
  }

  #mix(value: number): void {
    this.#hash = Math.imul(this.#hash ^ value, 0x01000193);
  }
}
