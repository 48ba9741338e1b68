/**
 * One direction of a stream between two hosts, and the Stream that its sending end holds: what leaves when, what is under
 * way, and how it arrives. The other direction is `reverse`, whose end is told what arrives here. Leaves turns and rates to
 * the links.
 */
import { assert } from '@bootswarm/stdx';
import { Fifo } from './fifo.ts';
import type { Host } from './host.ts';
import { LinkLane } from './link.ts';
import type { Path } from './path.ts';
import type { Segment, SegmentPool } from './segment.ts';
import { SendQueue } from './send-queue.ts';
import { SendWindow } from './send-window.ts';
import type { Stream, StreamEnd } from './stream.ts';
import type { Lane } from './turns.ts';
import type { VirtualClock } from './virtual-clock.ts';

/** Queued bytes above which a stream is congested, and below which its end may go on: as peer-wire has them. */
const QUEUED_BYTES_HIGH = 1024 * 1024;
const QUEUED_BYTES_LOW = 512 * 1024;

/** What all flows of a network have. */
export interface FlowContext {
  readonly clock: VirtualClock;
  readonly pool: SegmentPool;
  readonly windowBytes: number;
  readonly sendBufferBytes: number;
}

/** `closing`: tells its end nothing more, and sends what is in its send buffer. */
type FlowState = 'dialling' | 'open' | 'closing' | 'closed';

export class Flow implements Stream<unknown>, Lane<Flow> {
  readonly from: Host;
  readonly to: Host;
  readonly path: Path;
  readonly #returnPath: Path;
  readonly #context: FlowContext;
  readonly #queue: SendQueue;
  readonly #window: SendWindow;
  readonly #pipeLane: LinkLane | undefined;
  readonly #downlinkLane = new LinkLane();
  /** Stopped at the far end of a path on which nothing passes. */
  readonly #held = new Fifo<Segment>();
  #reverse: Flow;
  #end: StreamEnd<unknown> | undefined = undefined;
  #state: FlowState = 'dialling';
  #closeReason = '';
  #isCongested = false;
  #isStarved = false;
  #isWakeSet = false;
  credit = 0;
  isInTurns = false;
  nextLane: Flow | undefined = undefined;

  /** Makes both directions; `dialler` is given for the other one to find its reverse. */
  constructor(
    context: FlowContext,
    from: Host,
    to: Host,
    paths: readonly [Path, Path],
    dialler?: Flow,
  ) {
    this.#context = context;
    this.from = from;
    this.to = to;
    this.path = paths[0];
    this.#returnPath = paths[1];
    this.#queue = new SendQueue(context.sendBufferBytes);
    this.#window = new SendWindow(context.windowBytes, context.pool);
    this.#pipeLane = this.path.pipe && new LinkLane();
    this.#reverse = dialler ?? new Flow(context, to, from, [paths[1], paths[0]], this);
  }

  get reverse(): Flow {
    return this.#reverse;
  }

  get isClosed(): boolean {
    return this.#state === 'closed';
  }

  // --- Stream ----------------------------------------------------------------------------------------------------------

  get queuedBytes(): number {
    return this.#queue.queuedBytes;
  }

  get isCongested(): boolean {
    return this.#isCongested;
  }

  send(message: unknown, bytes: number, priority: number): void {
    // The other end may have closed a moment ago.
    if (this.#state === 'closing' || this.#state === 'closed') return;
    this.#queue.add(message, bytes, priority);
    if (this.#queue.queuedBytes > QUEUED_BYTES_HIGH) this.#isCongested = true;
    this.#offer();
  }

  close(reason: string): void {
    if (this.#state === 'dialling') {
      this.abandon();
      this.resetOtherEnd(reason);
    } else if (this.#state === 'open') {
      this.#state = 'closing';
      this.#closeReason = reason;
      this.#queue.end();
      this.#offer();
    }
  }

  // --- set-up and end --------------------------------------------------------------------------------------------------

  /** The end that dials; `from` is its host. */
  dial(end: StreamEnd<unknown>): void {
    this.#end = end;
    this.from.flows.add(this);
  }

  /** dialling → open, at the end that listens; it knows its stream before it has made its end. */
  accept(makeEnd: () => StreamEnd<unknown>): void {
    assert(this.#state === 'dialling', `accept of a stream that is ${this.#state}`);
    this.#state = 'open';
    this.from.flows.add(this);
    this.#end = makeEnd();
  }

  /** dialling → open, at the end that dialled. Data from the other end opens it too, so that a late answer changes nothing. */
  open(): void {
    if (this.#state !== 'dialling') return;
    this.#state = 'open';
    this.#end?.onOpen(this);
    this.#offer();
  }

  /** → closed: nothing more leaves, and this end is told nothing more. */
  abandon(): void {
    this.#state = 'closed';
    this.from.flows.delete(this);
    this.#queue.clear();
    this.#window.clear();
    this.#context.pool.releaseAll(this.#held);
  }

  /** The other end is gone, or not to be had. */
  fail(reason: string): void {
    const isTold = this.#state === 'open' || this.#state === 'dialling';
    if (this.#state !== 'closed') this.abandon();
    if (isTold) this.#end?.onClose(reason);
  }

  /** As TCP's RST: not behind the data, and lost where nothing passes. */
  resetOtherEnd(reason = 'reset'): void {
    const { clock } = this.#context;
    const at = this.path.arrivalOf(clock.now);
    if (at === Infinity) return;
    const other = this.#reverse;
    clock.at(at, () => other.from.whenAwake(() => other.fail(reason)));
  }

  /** This end's host is back without its streams: what the other end still has under way meets a reset. */
  resetOtherEndIfSending(): void {
    this.#reverse.#settle();
    if (this.#reverse.#window.underWay > 0) this.resetOtherEnd();
  }

  // --- leaving ---------------------------------------------------------------------------------------------------------

  /** Whether something may leave now. If only the window forbids it, the flow comes back by itself when there is room. */
  canSend(): boolean {
    if (this.#state !== 'open' && this.#state !== 'closing') return false;
    const bytes = this.#queue.nextBytes(this.from.uplink.quantumBytes);
    if (bytes === undefined) return false;
    this.#settle();
    if (bytes <= this.#window.room) return true;
    this.#isStarved = true;
    this.#awaitRoom();
    return false;
  }

  /** Takes what leaves next; undefined when nothing may. */
  nextSegment(): Segment | undefined {
    if (!this.canSend()) return undefined;
    const { clock, pool } = this.#context;
    const segment = pool.take(this);
    this.#queue.fill(segment, Math.min(this.#window.room, this.from.uplink.quantumBytes));
    this.#window.onSent(segment.bytes);
    if (this.#isCongested && this.#queue.queuedBytes < QUEUED_BYTES_LOW) {
      this.#isCongested = false;
      // An event of its own: no end is called back from within its own send().
      clock.at(clock.now, () => this.from.whenAwake(() => this.#tellDrained()));
    }
    return segment;
  }

  /** `segment` leaves the host from startedAt to leftAt. */
  launch(segment: Segment, startedAt: number, leftAt: number): void {
    const { pipe, latencyMs } = this.path;
    segment.isBeforePipe = pipe !== undefined;
    const delayMs = pipe === undefined ? latencyMs : 0;
    segment.startedAt = startedAt + delayMs;
    this.#context.clock.at(leftAt + delayMs, segment.arrive);
  }

  #offer(): void {
    if (!this.isInTurns && this.canSend()) this.from.uplink.offer(this);
  }

  #tellDrained(): void {
    if (this.#state === 'open' && !this.#isCongested) this.#end?.onDrain();
  }

  #settle(): void {
    const { now } = this.#context.clock;
    if (this.#returnPath.passableAt <= now) this.#window.settle(now);
  }

  readonly #wake = (): void => {
    this.#isWakeSet = false;
    this.#isStarved = false;
    this.#offer();
  };

  #awaitRoom(): void {
    const { clock } = this.#context;
    const acknowledgedAt = this.#window.nextAcknowledgedAt;
    if (this.#isWakeSet || acknowledgedAt === undefined || this.#returnPath.isCut) return;
    this.#isWakeSet = true;
    clock.at(Math.max(clock.now, acknowledgedAt, this.#returnPath.passableAt), this.#wake);
  }

  // --- arriving --------------------------------------------------------------------------------------------------------

  onArrival(segment: Segment): void {
    if (segment.isBeforePipe) {
      this.path.pipe!.enqueue(this.#pipeLane!, segment);
    } else if (this.#held.first !== undefined || this.path.passableAt > this.#context.clock.now) {
      this.#held.push(segment);
    } else this.#reach(segment);
  }

  onPiped(segment: Segment): void {
    const { clock } = this.#context;
    segment.isBeforePipe = false;
    segment.startedAt += this.path.latencyMs;
    clock.at(clock.now + this.path.latencyMs, segment.arrive);
  }

  /** The path, or the way back, may have become passable. */
  onPassable(): void {
    const { now } = this.#context.clock;
    while (this.#held.first !== undefined && this.path.passableAt <= now) {
      const segment = this.#held.shift()!;
      segment.startedAt = now;
      this.#reach(segment);
    }
    if (this.#isStarved) this.#awaitRoom();
  }

  /** `segment` has come through the receiver's downlink. */
  onReceived(segment: Segment): void {
    const receiver = this.#reverse;
    if (!receiver.#isReceiving) return this.#refuse(segment);
    const { messages, isEnd } = segment;
    this.#acknowledge(segment);
    receiver.open();
    for (let count = 0; count < messages && receiver.#state === 'open'; count += 1) {
      const { message, bytes } = this.#queue.takeReceived()!;
      receiver.#end?.onMessage(message, bytes);
    }
    if (!isEnd) return;
    this.abandon();
    receiver.fail(this.#closeReason);
  }

  get #isReceiving(): boolean {
    return this.#state === 'open' || this.#state === 'dialling';
  }

  #reach(segment: Segment): void {
    if (this.#reverse.#isReceiving) this.to.downlink.enqueue(this.#downlinkLane, segment);
    else this.#refuse(segment);
  }

  #refuse(segment: Segment): void {
    const isAnswered = this.#reverse.#state === 'closed' && this.to.state !== 'vanished';
    if (segment.isEnd) this.abandon();
    else if (isAnswered && this.#state !== 'closed') this.#reverse.resetOtherEnd();
    this.#context.pool.release(segment);
  }

  #acknowledge(segment: Segment): void {
    const { clock, pool } = this.#context;
    if (this.#state === 'closed') return pool.release(segment);
    this.#settle();
    this.#window.onTaken(segment, clock.now + this.#returnPath.latencyMs);
    if (this.#isStarved) this.#awaitRoom();
  }
}
