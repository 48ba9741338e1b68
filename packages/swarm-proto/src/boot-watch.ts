/**
 * Joins what a node does about boot orders for one image: records the first touches of each VM, yields what the tracker is to be
 * told of them and what the engine is to prefetch, and names the time it wants to be asked again. Knows no clock.
 */
import type { Bitfield } from '@bootswarm/stdx';
import { BootOrderFollower, type KindChange } from './boot-order-follower.ts';
import { FirstTouches } from './first-touches.ts';
import { ReadAhead } from './read-ahead.ts';
import { TouchBudget } from './touch-budget.ts';

export type BootEffect =
  | {
      readonly type: 'touched';
      readonly boot: number;
      readonly pieceIndexes: Uint32Array;
      readonly isOver: boolean;
    }
  | { readonly type: 'prefetch'; readonly pieceIndexes: readonly number[] }
  | {
      readonly type: 'read-ahead';
      readonly behind: number;
      readonly pieceIndexes: readonly number[];
    };

export class BootWatch {
  readonly #pieceCount: number;
  readonly #follower: BootOrderFollower;
  readonly #boots = new Map<number, FirstTouches>();
  readonly #readAheads = new WeakMap<FirstTouches, ReadAhead>();
  /** Yielded by the next poll(). */
  readonly #ahead: Extract<BootEffect, { type: 'read-ahead' }>[] = [];
  #nextBoot = 1;
  #mayFetch = false;
  readonly #budget: TouchBudget;

  /** `have`: the pieces that this node has, kept up to date by its owner. `budget`: of all images of the node. */
  constructor(pieceCount: number, have: Bitfield, budget = new TouchBudget()) {
    this.#pieceCount = pieceCount;
    this.#budget = budget;
    this.#follower = new BootOrderFollower(have);
  }

  /** Kinds of VM whose boot order is known, and its length in pieces. */
  get kinds(): { readonly kind: number; readonly pieces: number }[] {
    return this.#follower.kinds;
  }

  /** Guests that have begun to boot and not calmed down. */
  get booting(): number {
    let count = 0;
    for (const { sequence, isOver } of this.#boots.values()) {
      if (sequence.length > 0 && !isOver) count += 1;
    }
    return count;
  }

  /** Changes with the orders; 0 while there are none. */
  get revision(): number {
    return this.#follower.revision;
  }

  /** All pieces that the boot orders name, each once. */
  orderedPieces(): number[] {
    return this.#follower.pieces();
  }

  /** A guest connects: what it touches first is its boot. Call poll() after touch(), and ended() and poll() after its end(). */
  open(): FirstTouches {
    const touches = new FirstTouches(this.#pieceCount, (index) => this.#follower.isKnown(index));
    this.#boots.set(this.#nextBoot, touches);
    this.#nextBoot += 1;
    this.#follower.add(touches);
    this.#readAheads.set(touches, new ReadAhead(this.#pieceCount));
    return touches;
  }

  /** A guest touches a piece for the first time. Where no order knows the piece, it is read ahead of. */
  touch(boot: FirstTouches, pieceIndex: number, now: number): void {
    boot.touch(pieceIndex, now);
    this.#mayFetch = true;
    if (this.#follower.isKnown(pieceIndex)) return;
    const pieceIndexes = this.#readAheads.get(boot)?.touch(pieceIndex) ?? [];
    if (pieceIndexes.length > 0) {
      this.#ahead.push({ type: 'read-ahead', behind: pieceIndex, pieceIndexes });
    }
  }

  /** A guest is gone. */
  ended(): void {
    this.#mayFetch = true;
  }

  /** The node has one more piece; whether poll() may now have something. */
  stored(): boolean {
    this.#mayFetch ||= this.#follower.isHeldBack;
    return this.#mayFetch;
  }

  /** A message of the tracker; false when it does not follow on what is known, and the swarm is to be joined again. */
  applyOrder(revision: number, isFull: boolean, kinds: readonly KindChange[]): boolean {
    this.#mayFetch = true;
    return this.#follower.apply(revision, isFull, kinds);
  }

  /** The swarm is being joined: the tracker knows nothing of our boots, and will tell the orders anew. */
  rejoin(): void {
    this.#follower.forget();
    for (const touches of this.#boots.values()) touches.rewind();
  }

  poll(now: number): BootEffect | undefined {
    const ahead = this.#ahead.shift();
    if (ahead !== undefined) return ahead;
    if (this.#mayFetch) {
      this.#mayFetch = false;
      const pieceIndexes = this.#follower.next();
      if (pieceIndexes.length > 0) return { type: 'prefetch', pieceIndexes };
    }
    if (!this.#budget.isOpen(now)) return undefined;
    for (const [boot, touches] of this.#boots) {
      const batch = touches.batch(now);
      if (touches.isOver && touches.timeout() === Infinity) this.#boots.delete(boot);
      if (batch === undefined) continue;
      this.#budget.take();
      return { type: 'touched', boot, ...batch };
    }
    return undefined;
  }

  /** When poll() may have something; Infinity when nothing is due. */
  timeout(): number {
    let at = Infinity;
    for (const touches of this.#boots.values()) at = Math.min(at, touches.timeout());
    return Math.max(at, this.#budget.openAt);
  }
}
