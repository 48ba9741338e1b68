/**
 * What one end of a stream has to send, and in which order. As with peer-wire over a socket there are two queues: ours, in which
 * a lower priority number overtakes, and the kernel's send buffer behind it, in which nothing does. Knows no window and no time.
 */
import { assert } from '@bootswarm/stdx';
import { Fifo } from './fifo.ts';
import type { Segment } from './segment.ts';

const PRIORITIES = [0, 1, 2];

/** Messages up to this size leave together: have, request and signalling, tens of bytes each, would cost an event each. */
const SMALL_BYTES = 1024;

/** A message and its way through the queues; 0 bytes mark the end of the stream. */
export interface Outgoing {
  readonly message: unknown;
  readonly bytes: number;
  next: Outgoing | undefined;
}

export class SendQueue {
  readonly #bufferBytes: number;
  /** What the send buffer has no room for, by priority; made when that first happens, which on most streams is never. */
  #queues: readonly Fifo<Outgoing>[] = [];
  #waiting = 0;
  readonly #buffer = new Fifo<Outgoing>();
  /** Left whole and not yet received. */
  readonly #underWay = new Fifo<Outgoing>();
  #bytes = 0;
  #buffered = 0;
  /** Of the first message in the buffer. */
  #firstLeft = 0;

  constructor(bufferBytes: number) {
    this.#bufferBytes = bufferBytes;
  }

  /** What the send buffer has no room for. */
  get queuedBytes(): number {
    return Math.max(0, this.#bytes - this.#bufferBytes);
  }

  /** Size of what leaves next, or of the first part of it, in one quantum; undefined when there is nothing. */
  nextBytes(quantumBytes: number): number | undefined {
    const item = this.#buffer.first ?? (this.#waiting > 0 ? this.#lowestQueue().first : undefined);
    return item && Math.min(item.bytes - this.#firstLeft, quantumBytes);
  }

  add(message: unknown, bytes: number, priority: number): void {
    if (!(bytes > 0 && Number.isInteger(bytes))) assert(false, `a message of ${bytes} bytes`);
    if (PRIORITIES[priority] === undefined) assert(false, `a message of priority ${priority}`);
    const item = { message, bytes, next: undefined };
    this.#bytes += bytes;
    if (this.#waiting === 0 && this.#buffered < this.#bufferBytes) return this.#pushToBuffer(item);
    if (this.#queues.length === 0) this.#queues = PRIORITIES.map(() => new Fifo<Outgoing>());
    this.#queues[priority].push(item);
    this.#waiting += 1;
  }

  /** Drops what is not in the send buffer; the end of the stream comes after the rest. */
  end(): void {
    this.#clearWaiting();
    this.#bytes = this.#buffered;
    this.#buffer.push({ message: undefined, bytes: 0, next: undefined });
  }

  /** Drops all that has not left; what is under way still arrives. */
  clear(): void {
    this.#clearWaiting();
    this.#buffer.clear();
    this.#bytes = 0;
    this.#buffered = 0;
    this.#firstLeft = 0;
  }

  /** Takes what leaves next, up to `bytesMax`, which is at least nextBytes(). */
  fill(segment: Segment, bytesMax: number): void {
    segment.bytes = 0;
    segment.messages = 0;
    segment.isEnd = false;
    if (this.#buffer.first === undefined) this.#moveToBuffer();
    const { bytes } = this.#buffer.first!;
    if (bytes === 0) {
      this.#buffer.shift();
      segment.isEnd = true;
    } else if (bytes > SMALL_BYTES) this.#fillWithPart(segment, bytes, bytesMax);
    else this.#fillWithRun(segment, bytesMax);
    this.#bytes -= segment.bytes;
    this.#buffered -= segment.bytes;
    this.#refillBuffer();
  }

  /** The oldest message under way. */
  takeReceived(): Outgoing | undefined {
    return this.#underWay.shift();
  }

  #fillWithPart(segment: Segment, bytes: number, bytesMax: number): void {
    segment.bytes = Math.min(bytes - this.#firstLeft, bytesMax);
    this.#firstLeft += segment.bytes;
    if (this.#firstLeft < bytes) return;
    this.#firstLeft = 0;
    segment.messages = 1;
    this.#underWay.push(this.#buffer.shift()!);
  }

  #fillWithRun(segment: Segment, bytesMax: number): void {
    for (let item = this.#buffer.first; item !== undefined; item = this.#buffer.first) {
      const { bytes } = item;
      if (bytes === 0 || bytes > SMALL_BYTES || segment.bytes + bytes > bytesMax) return;
      segment.bytes += bytes;
      segment.messages += 1;
      this.#buffer.shift();
      this.#underWay.push(item);
    }
  }

  #refillBuffer(): void {
    while (this.#waiting > 0 && this.#buffered < this.#bufferBytes) this.#moveToBuffer();
  }

  /** Something waits. */
  #moveToBuffer(): void {
    this.#waiting -= 1;
    this.#pushToBuffer(this.#lowestQueue().shift()!);
  }

  #pushToBuffer(item: Outgoing): void {
    this.#buffer.push(item);
    this.#buffered += item.bytes;
  }

  /** Of the lowest priority number that has a message; something waits. */
  #lowestQueue(): Fifo<Outgoing> {
    return this.#queues.find(({ first }) => first !== undefined)!;
  }

  #clearWaiting(): void {
    this.#queues = [];
    this.#waiting = 0;
  }
}
