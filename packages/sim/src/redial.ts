/** How long to wait before the tracker is dialled again, as apps/agent does: doubled each time, up to half off at random. */
import type { Random } from '@bootswarm/stdx';
import type { VirtualClock } from './virtual-clock.ts';

const MIN_MS = 200;
const MAX_MS = 10_000;

export class Redial {
  readonly #clock: VirtualClock;
  readonly #random: Random;
  #failures = 0;
  #openedAt = Infinity;

  constructor(clock: VirtualClock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  /** The connection stands. */
  onOpen(): void {
    this.#openedAt = this.#clock.now;
  }

  /** After a dial that failed or a connection that ended; one that stood for long makes it begin anew. */
  nextMs(): number {
    if (this.#clock.now - this.#openedAt >= MAX_MS) this.#failures = 0;
    this.#openedAt = Infinity;
    const ceiling = Math.min(MAX_MS, MIN_MS * 2 ** this.#failures);
    this.#failures += 1;
    return ceiling * (0.5 + this.#random.float() / 2);
  }
}
