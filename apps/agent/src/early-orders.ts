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

  /**
   * False when it is one too many, or does not follow on what is known: all is forgotten then, and the swarm is to be joined
   * again, upon which the whole order is told in one.
   */
  add(imageId: string, order: BootOrderTold): boolean {
    if (order.isFull) {
      this.#orders.set(imageId, [order]);
      return true;
    }
    const known = this.#orders.get(imageId) ?? [];
    const follows = order.revision === (known.at(-1)?.revision ?? 0) + 1;
    if (!follows || known.length >= ORDERS_MAX) {
      this.drop(imageId);
      return false;
    }
    known.push(order);
    this.#orders.set(imageId, known);
    return true;
  }

  /** False when not all of it was understood. */
  tell(imageId: string, boots: Boots): boolean {
    const orders = this.#orders.get(imageId) ?? [];
    this.drop(imageId);
    return orders.every(({ revision, isFull, kinds }) => boots.applyOrder(revision, isFull, kinds));
  }

  drop(imageId: string): void {
    this.#orders.delete(imageId);
  }
}
