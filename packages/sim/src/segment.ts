/** What leaves in one go, up to a quantum: part of a large message or a run of small ones. Reused, with its one closure. */
import type { Fifo } from './fifo.ts';
import type { Flow } from './flow.ts';

export class Segment {
  /** Set for as long as it is in use. */
  flow!: Flow;
  bytes = 0;
  /** Messages whose last byte is in it. */
  messages = 0;
  /** Nothing comes after it: the sender has closed. */
  isEnd = false;
  /** Whether what it reaches next is the capacity between two zones. */
  isBeforePipe = false;
  /** When its first byte began to pass where it is now. */
  startedAt = 0;
  /** When the sender learns that it was taken. */
  acknowledgedAt = 0;
  next: Segment | undefined = undefined;
  /** The event of its arrival. */
  readonly arrive = (): void => this.flow.onArrival(this);
}

export class SegmentPool {
  #free: Segment | undefined = undefined;

  take(flow: Flow): Segment {
    const segment = this.#free ?? new Segment();
    this.#free = segment.next;
    segment.next = undefined;
    segment.flow = flow;
    return segment;
  }

  /** `segment` is in no queue and has no event ahead of it. */
  release(segment: Segment): void {
    segment.next = this.#free;
    this.#free = segment;
  }

  releaseAll(segments: Fifo<Segment>): void {
    for (let each = segments.shift(); each !== undefined; each = segments.shift()) {
      this.release(each);
    }
  }
}
