/**
 * Sets up one stream: a round trip, repeated as Linux repeats a SYN while nothing answers. Decides between open, refused and
 * unreachable; the stream itself is the flow's.
 */
import type { Flow } from './flow.ts';
import type { VirtualClock } from './virtual-clock.ts';

/** When a SYN is sent, from the dial on: Linux waits 1 s for the first answer and twice as long for each that follows. */
const ATTEMPTS_AT_MS = [0, 1_000, 3_000];

/** As peer-wire waits for a handshake. */
const DIAL_TIMEOUT_MS = 5_000;

export class Dial {
  readonly #clock: VirtualClock;
  readonly #flow: Flow;
  readonly #startedAt: number;
  #attempts = 0;

  /** `flow` is the dialling end's. */
  constructor(clock: VirtualClock, flow: Flow) {
    this.#clock = clock;
    this.#flow = flow;
    this.#startedAt = clock.now;
    this.#attempt();
  }

  #attempt(): void {
    if (this.#flow.isClosed) return;
    this.#attempts += 1;
    const at = this.#flow.path.arrivalOf(this.#clock.now);
    if (this.#isInTime(at)) this.#clock.at(at, () => this.#onSyn());
    else this.#retry();
  }

  #retry(): void {
    const isLast = this.#attempts === ATTEMPTS_AT_MS.length;
    const delayMs = isLast ? DIAL_TIMEOUT_MS : ATTEMPTS_AT_MS[this.#attempts];
    // A SYN that a clog held up may come to nothing only after the next was due.
    const at = Math.max(this.#clock.now, this.#startedAt + delayMs);
    this.#clock.at(at, () =>
      isLast ? this.#finish(() => this.#flow.fail('unreachable')) : this.#attempt(),
    );
  }

  #isInTime(at: number): boolean {
    return at < this.#startedAt + DIAL_TIMEOUT_MS;
  }

  #onSyn(): void {
    const { from, to, reverse, isClosed } = this.#flow;
    if (isClosed) return;
    const answerAt = reverse.path.arrivalOf(this.#clock.now);
    if (to.state === 'vanished' || to.isFrozen || !this.#isInTime(answerAt)) return this.#retry();
    const { listener } = to;
    // The answer is on its way before the listener's end sends anything.
    this.#clock.at(answerAt, () =>
      this.#finish(() => (listener ? this.#flow.open() : this.#flow.fail('refused'))),
    );
    if (listener) reverse.accept(() => listener(reverse, from));
  }

  #finish(task: () => void): void {
    this.#flow.from.whenAwake(task);
  }
}
