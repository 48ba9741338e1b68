/**
 * A capacity that segments arrive at, and that their streams share in turns: a host's downlink, or what lies between two zones.
 * A segment begins to pass while its last bytes are still on their way, so an idle link that is no slower than the sender's
 * adds nothing. Decides when each has passed; where it goes then is its flow's business.
 */
import { Fifo } from './fifo.ts';
import type { BytesPerMs } from './network.ts';
import type { Segment, SegmentPool } from './segment.ts';
import { type Lane, Turns } from './turns.ts';
import type { VirtualClock } from './virtual-clock.ts';

/** Uplink and downlink add up the same times in another order; the last bits are not worth an event. */
const ROUNDING_MS = 1e-6;

/** The segments of one flow that wait at one link. */
export class LinkLane implements Lane<LinkLane> {
  readonly segments = new Fifo<Segment>();
  credit = 0;
  isInTurns = false;
  nextLane: LinkLane | undefined = undefined;
}

export class Link {
  readonly #clock: VirtualClock;
  readonly #onPassed: (segment: Segment) => void;
  readonly #turns = new Turns<LinkLane>();
  readonly #wake = (): void => this.#onWake();
  #passing: Segment | undefined = undefined;
  #freeAt = 0;
  #isPaused = false;
  rate: BytesPerMs;

  constructor(clock: VirtualClock, rate: BytesPerMs, onPassed: (segment: Segment) => void) {
    this.#clock = clock;
    this.rate = rate;
    this.#onPassed = onPassed;
  }

  /** `segment` has arrived whole, its first byte at startedAt. */
  enqueue(lane: LinkLane, segment: Segment): void {
    if (this.#passing === undefined && this.#turns.first === undefined && !this.#isPaused) {
      if (this.#begin(segment, Math.max(segment.startedAt, this.#freeAt))) this.#onPassed(segment);
      return;
    }
    lane.segments.push(segment);
    this.#turns.join(lane);
  }

  /** Nothing passes until resume(); what is passing waits with the rest. */
  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#onWake();
  }

  /** Forgets what waits. */
  clear(pool: SegmentPool): void {
    if (this.#passing !== undefined) pool.release(this.#passing);
    this.#passing = undefined;
    this.#freeAt = this.#clock.now;
    for (let lane = this.#turns.first; lane !== undefined; lane = this.#turns.first) {
      pool.releaseAll(lane.segments);
      this.#turns.spend(0, false);
    }
  }

  /** Returns whether the segment has passed already; otherwise the link will wake when it has. */
  #begin(segment: Segment, startedAt: number): boolean {
    segment.startedAt = startedAt;
    const passedAt = startedAt + segment.bytes / this.rate;
    const isPassed = passedAt <= this.#clock.now + ROUNDING_MS;
    this.#freeAt = isPassed ? Math.min(passedAt, this.#clock.now) : passedAt;
    if (isPassed) return true;
    this.#passing = segment;
    this.#clock.at(this.#freeAt, this.#wake);
    return false;
  }

  #onWake(): void {
    // A wake-up may outlive what it was for: clear() cannot take it back.
    if (this.#isPaused || this.#clock.now < this.#freeAt) return;
    const passed = this.#passing;
    this.#passing = undefined;
    if (passed !== undefined) this.#onPassed(passed);
    // What passed may have led to a pause.
    while (this.#passing === undefined && !this.#isPaused) {
      const lane = this.#turns.first;
      if (lane === undefined) return;
      const segment = lane.segments.shift()!;
      this.#turns.spend(segment.bytes, lane.segments.first !== undefined);
      if (this.#begin(segment, this.#clock.now)) this.#onPassed(segment);
    }
  }
}
