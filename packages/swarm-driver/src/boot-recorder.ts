/**
 * Runs the BootWatch of one image on the real clock: guests' first touches in, messages for the tracker and prefetches for the
 * engine out. What is recorded and fetched is BootWatch's decision.
 */
import {
  type BootEffect,
  BootWatch,
  type FirstTouches,
  type KindChange,
  type TouchBudget,
} from '@bootswarm/swarm-proto';
import type { SwarmDriver } from './swarm-driver.ts';

/** What the tracker is to be told of a boot. */
export type BootTouches = Extract<BootEffect, { type: 'touched' }>;

export class BootRecorder {
  readonly #driver: SwarmDriver;
  readonly #watch: BootWatch;
  readonly #onTouched: (touches: BootTouches) => void;
  #isDraining = false;
  #isClosed = false;
  #timer: NodeJS.Timeout | undefined;
  #timerAt = Infinity;

  constructor(
    driver: SwarmDriver,
    onTouched: (touches: BootTouches) => void,
    budget?: TouchBudget,
  ) {
    this.#driver = driver;
    this.#watch = new BootWatch(driver.metainfo.pieceCount, driver.snapshot().have, budget);
    this.#onTouched = onTouched;
    driver.onStored = () => {
      if (this.#watch.stored()) this.#drainSoon();
    };
  }

  /** Guests that boot now. */
  get booting(): number {
    return this.#watch.booting;
  }

  /** As BootWatch's. */
  get revision(): number {
    return this.#watch.revision;
  }

  /** As BootWatch's. */
  orderedPieces(): number[] {
    return this.#watch.orderedPieces();
  }

  /** A guest connects. */
  open(): FirstTouches {
    return this.#watch.open();
  }

  /** On the path of every read that is new to its guest: what follows from it waits until the read is answered. */
  touch(boot: FirstTouches, pieceIndex: number): void {
    this.#watch.touch(boot, pieceIndex, performance.now());
    this.#drainSoon();
  }

  /** A guest is gone. */
  end(boot: FirstTouches): void {
    boot.end();
    this.#watch.ended();
    this.#drainSoon();
  }

  /** As the tracker told it; false when the swarm is to be joined again. */
  applyOrder(revision: number, isFull: boolean, kinds: readonly KindChange[]): boolean {
    const isApplied = this.#watch.applyOrder(revision, isFull, kinds);
    this.#drainSoon();
    return isApplied;
  }

  /** The swarm is being joined. */
  rejoin(): void {
    this.#watch.rejoin();
    this.#drainSoon();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  #drainSoon(): void {
    if (this.#isDraining) return;
    this.#isDraining = true;
    setImmediate(() => {
      this.#isDraining = false;
      this.#drain();
    });
  }

  #drain(): void {
    if (this.#isClosed) return;
    const now = performance.now();
    for (let effect = this.#watch.poll(now); effect; effect = this.#watch.poll(now)) {
      if (effect.type === 'touched') this.#onTouched(effect);
      else this.#driver.handle(effect);
    }
    const at = this.#watch.timeout();
    if (at >= this.#timerAt) return;
    clearTimeout(this.#timer);
    this.#timerAt = at;
    this.#timer = setTimeout(
      () => {
        this.#timerAt = Infinity;
        this.#drain();
      },
      Math.max(0, at - now) + 1,
    );
    this.#timer.unref();
  }
}
