/**
 * What an agent does about boot orders, in virtual time: the real BootWatch of a node, told of its guests' reads, with its
 * messages on the simulated signalling.
 */
import { BootWatch, type FirstTouches } from '@bootswarm/swarm-proto';
import {
  type AgentMessage,
  BootOrderBook,
  type KindRecord,
  type TrackerMessage,
} from '@bootswarm/tracker-proto';
import type { NodeWatcher, SimNode } from './sim-node.ts';
import type { VirtualClock } from './virtual-clock.ts';

export class SimBoots implements NodeWatcher {
  readonly #clock: VirtualClock;
  readonly #node: SimNode;
  readonly #image: string;
  readonly #send: (message: AgentMessage) => void;
  readonly #watch: BootWatch;
  readonly #boots = new Map<object, FirstTouches>();
  #armedAt = Infinity;

  constructor(
    clock: VirtualClock,
    node: SimNode,
    image: string,
    send: (message: AgentMessage) => void,
  ) {
    this.#clock = clock;
    this.#node = node;
    this.#image = image;
    this.#send = send;
    const { have } = node.engine.snapshot();
    this.#watch = new BootWatch(have.size, have);
    node.watcher = this;
  }

  onRead(guest: object, pieces: readonly number[]): void {
    let boot = this.#boots.get(guest);
    if (boot === undefined) {
      boot = this.#watch.open();
      this.#boots.set(guest, boot);
    }
    let isNew = false;
    for (const pieceIndex of pieces) {
      if (!boot.isNew(pieceIndex)) continue;
      this.#watch.touch(boot, pieceIndex, this.#clock.now);
      isNew = true;
    }
    if (isNew) this.#drain();
  }

  onStored(): void {
    if (this.#watch.stored()) this.#drain();
  }

  /** A join is being sent. */
  rejoin(): void {
    this.#watch.rejoin();
  }

  /** False when the swarm is to be joined again. */
  apply(message: TrackerMessage & { type: 'boot-order' }): boolean {
    const isApplied = this.#watch.applyOrder(message.revision, message.isFull, message.kinds);
    this.#drain();
    return isApplied;
  }

  #drain(): void {
    if (this.#node.isStopped) return;
    const { now } = this.#clock;
    for (let effect = this.#watch.poll(now); effect; effect = this.#watch.poll(now)) {
      if (effect.type === 'touched') this.#send({ image: this.#image, ...effect });
      else this.#node.input(effect);
    }
    const at = this.#watch.timeout();
    if (at >= this.#armedAt) return;
    this.#armedAt = at;
    this.#clock.at(Math.max(at, now), () => {
      if (this.#armedAt !== at) return;
      this.#armedAt = Infinity;
      this.#drain();
    });
  }
}

/** What a tracker knows that saw each of these boots once before, each of a kind of its own. */
export function kindsLearned(
  pieceCount: number,
  boots: readonly (readonly number[])[],
): KindRecord[] {
  const book = new BootOrderBook(pieceCount);
  for (const [index, pieceIndexes] of boots.entries()) {
    book.touched(`node${index}`, 1, pieceIndexes, true, 0, 0);
  }
  return book.records();
}
