/**
 * Boot orders that the tracker told of images whose swarm this node has joined and which are not open yet: it tells each once.
 * They are heard when the image is open.
 */
import type { KindChange } from '@bootswarm/swarm-proto';

/** What the tracker tells of the boot orders of one image. */
export interface BootOrderTold {
  readonly revision: number;
  readonly isFull: boolean;
  readonly kinds: readonly KindChange[];
}

/** BootRecorder of an open image. */
interface Boots {
  applyOrder(revision: number, isFull: boolean, kinds: readonly KindChange[]): boolean;
}

/** Changes that follow on the whole order, told while the layer is fetched: some seconds of them. */
const ORDERS_MAX = 64;

export class EarlyOrders {
  readonly #orders = new Map<string, BootOrderTold[]>();

  /** What is too much is forgotten: the next change then follows on nothing, and the swarm is joined again. */
  add(imageId: string, order: BootOrderTold): void {
    const known = order.isFull ? [] : (this.#orders.get(imageId) ?? []);
    this.#orders.set(imageId, known.length < ORDERS_MAX ? [...known, order] : []);
  }

  tell(imageId: string, boots: Boots): void {
    for (const { revision, isFull, kinds } of this.#orders.get(imageId) ?? []) {
      boots.applyOrder(revision, isFull, kinds);
    }
    this.drop(imageId);
  }

  drop(imageId: string): void {
    this.#orders.delete(imageId);
  }
}
