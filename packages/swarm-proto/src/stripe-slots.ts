/**
 * Who stands where in one stripe's tree. A tree is laid out by slots: slot k hangs under slot (k - 1) / STRIPES, and only members
 * whose place mod STRIPES is the stripe stand in slots that have children. Slots are given so that a newcomer at the end
 * moves at most one other member: nodes that have not heard of it yet compute nearly the same trees.
 */

/**
 * Two: each more costs depth and gains nothing (simulated, 1,000 nodes, pure transfer: 1.07 / 1.09 / 1.13 × the limit for
 * 2 / 4 / 8). The arithmetic below is that of two.
 */
export const STRIPES = 2;

export class StripeSlots {
  /** Members in all. */
  readonly size: number;
  readonly #stripe: number;

  constructor(size: number, stripe: number) {
    this.size = size;
    this.#stripe = stripe;
  }

  /** Slots below this relay; the others only receive. */
  get interior(): number {
    return (this.size + 1 - this.#stripe) >> 1;
  }

  /**
   * Members of the other stripe stand behind the interior. When the interior grows into one's slot, it moves to the slot of
   * the newcomer's own place, which is where doubling its number leads: 2k in stripe 0, 2k + 1 in stripe 1.
   */
  slotOf(place: number): number {
    const stripe = this.#stripe;
    if (place % STRIPES === stripe) return (place - stripe) / STRIPES;
    let slot = place;
    while (slot < this.interior) slot = slot * STRIPES + stripe;
    return slot;
  }

  /** The inverse of slotOf. */
  placeAt(slot: number): number {
    const stripe = this.#stripe;
    if (slot < this.interior) return slot * STRIPES + stripe;
    // What doubling has added is taken back; the other stripe's places are odd in stripe 0, and one less than odd in 1.
    let odd = slot + stripe;
    while (odd % 2 === 0) odd /= 2;
    return odd - stripe;
  }

  static parentOf(slot: number): number {
    return Math.floor((slot - 1) / STRIPES);
  }

  /**
   * Slots to ask instead of a parent, besides itself: relaying ones at its depth (always below the asker's own slot, so that
   * no two can wait for each other), beginning at its neighbour, the children of one parent in opposite directions.
   */
  sideways(slot: number, parent: number, countMax: number): number[] {
    const first = 2 ** Math.floor(Math.log2(parent + 1)) - 1;
    const width = Math.min(this.interior, 2 * first + 1) - first;
    const step = slot % 2 === 0 ? 1 : width - 1;
    const slots: number[] = [];
    for (let n = 1; n < width && slots.length < countMax; n += 1) {
      slots.push(first + ((parent - first + n * step) % width));
    }
    return slots;
  }
}
