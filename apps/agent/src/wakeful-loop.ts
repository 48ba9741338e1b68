/**
 * Keeps the event loop from going to sleep while a program reads on and on: its next request comes within microseconds of an
 * answer, and being woken for it takes longer than looking for it, in a virtual machine much longer. So the loop turns for a
 * moment after an answer, as KVM's halt_poll does, and looks for a request in each turn; what else is due is served in between.
 *
 * What it may cost is CPU: only a program whose last requests all came at once is waited for, and a moment in vain ends it.
 */

export interface WakefulLoopOptions {
  /** Serves the requests that are there or come, for a moment that nobody else notices; none: the loop itself does. */
  readonly look?: () => void;
  /** Milliseconds; default: performance.now(). */
  readonly now?: () => number;
  /** Runs it in the loop's next turn, for which the loop does not sleep; default: setImmediate. */
  readonly inNextTurn?: (turn: () => void) => void;
}

/** From an answer to the next request it is some 25 µs. */
const AWAKE_MS = 0.05;
/** So many requests in a row, each this soon after an answer although the loop had to be woken: a program reads on. */
const SOON_MS = 0.1;
const IN_A_ROW = 8;

export class WakefulLoop {
  readonly #look: () => void;
  readonly #now: () => number;
  readonly #inNextTurn: (turn: () => void) => void;
  #servedAt = Number.NEGATIVE_INFINITY;
  #inARow = 0;
  #isTurning = false;

  constructor(options: WakefulLoopOptions = {}) {
    this.#look = options.look ?? (() => {});
    this.#now = options.now ?? (() => performance.now());
    this.#inNextTurn = options.inNextTurn ?? setImmediate;
  }

  /** Whether a program reads on and on, and its next request is worth looking for. */
  isAwake(now: number): boolean {
    return this.#isTurning && now - this.#servedAt < AWAKE_MS;
  }

  /** A request has come. */
  heard(): void {
    const isSoon = this.#now() - this.#servedAt <= SOON_MS;
    this.#inARow = isSoon ? this.#inARow + 1 : 0;
  }

  /** It has been answered, or waits for its answer. */
  served(): void {
    this.#servedAt = this.#now();
    if (this.#isTurning || this.#inARow < IN_A_ROW) return;
    this.#isTurning = true;
    this.#inNextTurn(this.#turn);
  }

  readonly #turn = (): void => {
    this.#look();
    if (this.isAwake(this.#now())) {
      this.#inNextTurn(this.#turn);
      return;
    }
    this.#isTurning = false;
    this.#inARow = 0;
  };
}
