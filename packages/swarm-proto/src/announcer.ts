/** Tells peers what we newly have: collected for a moment, then one message to each peer that is not a seeder itself. */
import type { SwarmState } from './swarm-state.ts';

export class Announcer<Payload> {
  readonly #state: SwarmState<Payload>;
  #pending: number[] = [];
  #flushAt = Infinity;

  constructor(state: SwarmState<Payload>) {
    this.#state = state;
  }

  /** When flush() is due. */
  get flushAt(): number {
    return this.#flushAt;
  }

  add(pieceIndex: number): void {
    const { limits, now } = this.#state;
    if (this.#pending.length === 0) this.#flushAt = now + limits.haveBatchMs;
    this.#pending.push(pieceIndex);
    if (this.#pending.length >= limits.haveBatchMax) this.flush();
  }

  flush(): void {
    this.#flushAt = Infinity;
    if (this.#pending.length === 0) return;
    const pieceIndexes = this.#pending;
    this.#pending = [];
    for (const peer of this.#state.peers.values()) {
      if (!peer.isSeeder) this.#state.send(peer, { type: 'have', pieceIndexes });
    }
  }
}
