/**
 * A capacity that segments arrive at, and that their streams share in turns: a host's downlink, or what lies between two zones.
 * A segment begins to pass while its last bytes are still on their way, so an idle link that is no slower than the sender's
 * adds nothing, and one that was busy meanwhile adds that time only: a small message that came in between holds up a large one
 * by no more than itself. Decides when each has passed; where it goes then is its flow's business.
 */
import { BusyTimes } from './busy-times.ts';
import { Fifo } from './fifo.ts';
import type { BytesPerMs } from './network.ts';
import type { Segment, SegmentPool } from './segment.ts';
import { type Lane, quantumBytesAt, Turns } from './turns.ts';
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
  readonly #busy = new BusyTimes();
  #freeAt = 0;
  #pausedAt = 0;
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
      if (this.#begin(segment)) this.#onPassed(segment);
      return;
    }
    lane.segments.push(segment);
    this.#turns.join(lane, quantumBytesAt(this.rate));
  }

  /** Nothing passes until resume(); what is passing waits with the rest. */
  pause(): void {
    if (!this.#isPaused) this.#pausedAt = this.#clock.now;
    this.#isPaused = true;
  }

  resume(): void {
    const { now } = this.#clock;
    if (this.#isPaused) this.#busy.add(this.#pausedAt, now, now - this.#pausedAt);
    this.#isPaused = false;
    this.#onWake();
  }

  /** Forgets what waits. */
  clear(pool: SegmentPool): void {
    if (this.#passing !== undefined) pool.release(this.#passing);
    this.#passing = undefined;
    this.#freeAt = this.#clock.now;
    this.#busy.clear();
    for (let lane = this.#turns.first; lane !== undefined; lane = this.#turns.first) {
      pool.releaseAll(lane.segments);
      this.#turns.spend(0, false, quantumBytesAt(this.rate));
    }
  }

  /** Returns whether the segment has passed already; otherwise the link will wake when it has. */
  #begin(segment: Segment): boolean {
    const { now } = this.#clock;
    const { startedAt } = segment;
    const ownMs = segment.bytes / this.rate;
    const passedAt = startedAt + this.#busy.since(startedAt) + ownMs;
    const isPassed = passedAt <= now + ROUNDING_MS;
    this.#freeAt = isPassed ? now : passedAt;
    this.#busy.add(startedAt, this.#freeAt, ownMs);
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
      const hasMore = lane.segments.first !== undefined;
      this.#turns.spend(segment.bytes, hasMore, quantumBytesAt(this.rate));
      if (this.#begin(segment)) this.#onPassed(segment);
    }
  }
}
