/** How much of one direction of a stream may be under way: what has left and is not known to have been taken by the receiver. */
import { Fifo } from './fifo.ts';
import type { Segment, SegmentPool } from './segment.ts';

export class SendWindow {
  readonly #bytesMax: number;
  readonly #pool: SegmentPool;
  /** Taken by the receiver; the sender learns of each at its time. */
  readonly #taken = new Fifo<Segment>();
  #underWay = 0;

  constructor(bytesMax: number, pool: SegmentPool) {
    this.#bytesMax = bytesMax;
    this.#pool = pool;
  }

  get underWay(): number {
    return this.#underWay;
  }

  get room(): number {
    return this.#bytesMax - this.#underWay;
  }

  /** When the sender next learns that something was taken; undefined when nothing was. */
  get nextAcknowledgedAt(): number | undefined {
    return this.#taken.first?.acknowledgedAt;
  }

  onSent(bytes: number): void {
    this.#underWay += bytes;
  }

  onTaken(segment: Segment, acknowledgedAt: number): void {
    segment.acknowledgedAt = acknowledgedAt;
    this.#taken.push(segment);
  }

  /** Makes room for what the sender knows by `now` to have been taken. */
  settle(now: number): void {
    for (;;) {
      const segment = this.#taken.first;
      if (segment === undefined || segment.acknowledgedAt > now) return;
      this.#taken.shift();
      this.#underWay -= segment.bytes;
      this.#pool.release(segment);
    }
  }

  clear(): void {
    this.#pool.releaseAll(this.#taken);
  }
}
