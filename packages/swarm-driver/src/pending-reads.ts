/**
 * Guest reads that wait for pieces: each piece's waiters, and when a read has all its parts. Knows where bytes go, not where
 * they come from.
 */
import { copyBytes } from '@bootswarm/stdx';
import type { ReadBytes } from './read-bytes.ts';
import { WaitHistogram } from './wait-histogram.ts';

/** One read of a guest that could not be answered at once. */
export interface PendingRead {
  readonly target: Uint8Array;
  readonly done: () => void;
  /** Where its bytes are counted. */
  readonly counted: ReadBytes;
  readonly startedAt: number;
  /** Parts that are not in `target` yet. */
  partsMissing: number;
  isCancelled: boolean;
}

/** The part of a read that lies in one piece. */
export interface ReadPart {
  readonly read: PendingRead;
  readonly pieceIndex: number;
  /** Within the piece. */
  readonly offset: number;
  readonly length: number;
  readonly targetOffset: number;
}

export class PendingReads {
  readonly #waiters = new Map<number, ReadPart[]>();
  /** In order of arrival. */
  readonly #open = new Set<PendingRead>();
  #openedCount = 0;
  /** Of those that were answered. */
  readonly waits = new WaitHistogram();

  /** Reads that ever had to wait. */
  get openedCount(): number {
    return this.#openedCount;
  }

  get size(): number {
    return this.#open.size;
  }

  /** When the oldest read that still waits arrived, or undefined. */
  get oldestStartedAt(): number | undefined {
    for (const read of this.#open) return read.startedAt;
    return undefined;
  }

  open(read: PendingRead): void {
    this.#openedCount += 1;
    this.#open.add(read);
  }

  isWaitedFor(pieceIndex: number): boolean {
    return this.#waiters.has(pieceIndex);
  }

  wait(part: ReadPart): void {
    const parts = this.#waiters.get(part.pieceIndex);
    if (parts) parts.push(part);
    else this.#waiters.set(part.pieceIndex, [part]);
  }

  /** This part waits for its piece no more. Returns whether it did. */
  settle(part: ReadPart): boolean {
    const parts = this.#waiters.get(part.pieceIndex);
    const at = parts?.indexOf(part) ?? -1;
    if (parts === undefined || at === -1) return false;
    parts.splice(at, 1);
    if (parts.length === 0) this.#waiters.delete(part.pieceIndex);
    return true;
  }

  /** The piece is here: its waiters get their bytes, counted under `source`. */
  deliver(pieceIndex: number, piece: Uint8Array, source: keyof ReadBytes): void {
    const parts = this.#waiters.get(pieceIndex);
    if (parts === undefined) return;
    this.#waiters.delete(pieceIndex);
    for (const part of parts) {
      this.fill(part, piece.subarray(part.offset, part.offset + part.length), source);
    }
  }

  /** Puts one part's bytes in place; calls `done` when it was the last one missing. */
  fill(part: ReadPart, bytes: Uint8Array, source: keyof ReadBytes): void {
    const { read } = part;
    if (read.isCancelled) return;
    copyBytes(bytes, 0, bytes.length, read.target, part.targetOffset);
    read.counted[source] += part.length;
    read.partsMissing -= 1;
    if (read.partsMissing > 0) return;
    this.#open.delete(read);
    this.waits.add(performance.now() - read.startedAt);
    read.done();
  }

  /** Nobody waits for this read any more. Returns the pieces that now nobody waits for. */
  cancel(read: PendingRead): number[] {
    read.isCancelled = true;
    this.#open.delete(read);
    const over: number[] = [];
    for (const [pieceIndex, parts] of this.#waiters) {
      const kept = parts.filter((part) => part.read !== read);
      if (kept.length === parts.length) continue;
      if (kept.length > 0) this.#waiters.set(pieceIndex, kept);
      else this.#waiters.delete(pieceIndex);
      if (kept.length === 0) over.push(pieceIndex);
    }
    return over;
  }
}
