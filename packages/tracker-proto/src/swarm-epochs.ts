/**
 * The swarms that somebody is in, and when each ends an epoch: at once in a quiet swarm, at the end of the interval in a busy
 * one. Who is in them is SwarmRegistry's decision, what an epoch says Swarm's.
 */
import { DeadlineQueue } from './deadline-queue.ts';
import type { PeerAddress } from './messages.ts';
import type { RegistryEffect } from './registry-io.ts';
import { Swarm } from './swarm.ts';

export class SwarmEpochs {
  readonly #emit: (effect: RegistryEffect) => void;
  readonly #swarms = new Map<string, Swarm>();
  #origins: readonly PeerAddress[] = [];
  /** Swarms that ended an epoch less than an interval ago and must not end another yet. */
  readonly #justFlushed: DeadlineQueue<Swarm>;
  readonly #waitingToFlush = new Set<Swarm>();

  constructor(intervalMs: number, emit: (effect: RegistryEffect) => void) {
    this.#justFlushed = new DeadlineQueue(intervalMs);
    this.#emit = emit;
  }

  get all(): IterableIterator<Swarm> {
    return this.#swarms.values();
  }

  get(image: string): Swarm | undefined {
    return this.#swarms.get(image);
  }

  /** The swarm of an image, begun if there is none. */
  of(image: string): Swarm {
    let swarm = this.#swarms.get(image);
    if (swarm === undefined) {
      swarm = new Swarm(image);
      this.#swarms.set(image, swarm);
    }
    return swarm;
  }

  drop(swarm: Swarm): void {
    this.#swarms.delete(swarm.image);
    this.#justFlushed.remove(swarm);
    this.#waitingToFlush.delete(swarm);
  }

  setOrigins(origins: readonly PeerAddress[], now: number): void {
    this.#origins = origins;
    for (const swarm of this.#swarms.values()) {
      swarm.originsChanged();
      this.touch(swarm, now);
    }
  }

  /** Says what changed, now or when the interval is over. */
  touch(swarm: Swarm, now: number): void {
    if (this.#justFlushed.has(swarm)) {
      this.#waitingToFlush.add(swarm);
    } else {
      this.#flush(swarm, now);
    }
  }

  nextAt(): number | undefined {
    return this.#justFlushed.nextAt();
  }

  wake(now: number): void {
    for (
      let swarm = this.#justFlushed.takeDue(now);
      swarm;
      swarm = this.#justFlushed.takeDue(now)
    ) {
      if (this.#waitingToFlush.delete(swarm)) this.#flush(swarm, now);
    }
  }

  #flush(swarm: Swarm, now: number): void {
    if (!swarm.isDirty) return;
    for (const effect of swarm.flush(this.#origins)) this.#emit(effect);
    this.#justFlushed.add(swarm, now);
  }
}
