/**
 * When a ready connection has been quiet or stuck for too long, told from counters that move when it is not. Looked at
 * on a tick, so that no byte pays for a timer. Knows no clock.
 */
import type { WireLimits } from './wire-limits.ts';

export interface WireProgress {
  readonly bytesReceived: number;
  readonly framesDone: number;
  /** Bytes held for a message that has not come whole; 0 when none has begun. */
  readonly bufferedBytes: number;
  readonly bytesWritten: number;
  /** Whether the kernel still has to take a batch. */
  readonly isWriting: boolean;
}

export type DeadlineLimits = Pick<
  WireLimits,
  'idleTimeoutMs' | 'keepAliveMs' | 'writeStallMs' | 'messageStallMs'
>;

/** A close code, or `keep-alive` when it is time to send one. */
export type DeadlineVerdict = 'idle' | 'message-stalled' | 'write-stalled' | 'keep-alive';

/** The slowest a message may come in: 16 KiB/s, so 1 s more for each block. */
const BYTES_PER_MS_MIN = 16;

export class WireDeadlines {
  readonly #limits: DeadlineLimits;
  readonly #received: Watch;
  readonly #frames: Watch;
  readonly #written: Watch;

  constructor(limits: DeadlineLimits, nowMs: number) {
    this.#limits = limits;
    this.#received = new Watch(nowMs);
    this.#frames = new Watch(nowMs);
    this.#written = new Watch(nowMs);
  }

  check(progress: WireProgress, nowMs: number): DeadlineVerdict | undefined {
    const limits = this.#limits;
    const quietMs = this.#received.unchangedMs(progress.bytesReceived, nowMs);
    // While nothing is begun there is nothing to stall: the count is as good as new.
    const frames = progress.bufferedBytes === 0 ? Number.NaN : progress.framesDone;
    const stalledMs = this.#frames.unchangedMs(frames, nowMs);
    const unwrittenMs = this.#written.unchangedMs(progress.bytesWritten, nowMs);
    if (quietMs > limits.idleTimeoutMs) return 'idle';
    if (stalledMs > limits.messageStallMs + progress.bufferedBytes / BYTES_PER_MS_MIN) {
      return 'message-stalled';
    }
    if (progress.isWriting) return unwrittenMs > limits.writeStallMs ? 'write-stalled' : undefined;
    return unwrittenMs > limits.keepAliveMs ? 'keep-alive' : undefined;
  }
}

/** Since when a number has been the same. */
class Watch {
  #value = Number.NaN;
  #sinceMs: number;

  constructor(nowMs: number) {
    this.#sinceMs = nowMs;
  }

  unchangedMs(value: number, nowMs: number): number {
    // NaN equals nothing, not even itself.
    if (value !== this.#value) {
      this.#value = value;
      this.#sinceMs = nowMs;
    }
    return nowMs - this.#sinceMs;
  }
}
