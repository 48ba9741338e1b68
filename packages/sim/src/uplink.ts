/**
 * A host's sending side: flows that have something to send take turns, a quantum each. An arrival is known as soon as a segment
 * begins to leave, so an idle uplink costs no event of its own.
 */
import type { Flow } from './flow.ts';
import type { BytesPerMs } from './network.ts';
import { quantumBytesAt, Turns } from './turns.ts';
import type { VirtualClock } from './virtual-clock.ts';

export class Uplink {
  readonly #clock: VirtualClock;
  readonly #turns = new Turns<Flow>();
  readonly #wake = (): void => this.#onWake();
  #freeAt = 0;
  #isWakeSet = false;
  #isPaused = false;
  rate: BytesPerMs;
  bytesSent = 0;

  constructor(clock: VirtualClock, rate: BytesPerMs) {
    this.#clock = clock;
    this.rate = rate;
  }

  /** The most that leaves in one go. */
  get quantumBytes(): number {
    return quantumBytesAt(this.rate);
  }

  /** `flow` may have something that can leave. */
  offer(flow: Flow): void {
    this.#turns.join(flow, this.quantumBytes);
    this.#proceed();
  }

  /** Nothing more begins to leave until resume(). */
  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#proceed();
  }

  #onWake(): void {
    this.#isWakeSet = false;
    this.#proceed();
  }

  #proceed(): void {
    if (this.#isPaused || this.#isWakeSet) return;
    const { now } = this.#clock;
    for (let flow = this.#turns.first; flow !== undefined; flow = this.#turns.first) {
      if (this.#freeAt > now) {
        this.#isWakeSet = true;
        this.#clock.at(this.#freeAt, this.#wake);
        return;
      }
      const segment = flow.nextSegment();
      if (segment === undefined) {
        this.#turns.spend(0, false, this.quantumBytes);
        continue;
      }
      this.#freeAt = now + segment.bytes / this.rate;
      this.bytesSent += segment.bytes;
      this.#turns.spend(segment.bytes, flow.canSend(), this.quantumBytes);
      flow.launch(segment, now, this.#freeAt);
    }
  }
}
