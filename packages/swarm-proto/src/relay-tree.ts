/**
 * Which node relays which piece to which: from one member order every node computes the same trees, so that the origin sends
 * a piece to one node only and each zone takes it across once. Striped trees after SplitStream: piece p belongs to stripe p
 * mod STRIPES; in a stripe half of a zone's nodes relay, so each node relays about one copy. Decides who should be asked, in
 * what order; whether they are connected or alive is the caller's business.
 */
import type { SwarmMember } from './engine-io.ts';
import type { MemberDirectory } from './member-directory.ts';
import { STRIPES, StripeSlots } from './stripe-slots.ts';

/** Stand-ins for the parent, and for each of its ancestors. */
const SIDEWAYS_OF_PARENT = 3;
const SIDEWAYS_ABOVE = 1;

/** Names of nodes to ask for the pieces of one stripe, best first. */
export interface StripeSources {
  /** In our zone: the parent, those beside it (sideways before up: orphans must not load the root), then upwards alike. */
  readonly inZone: readonly string[];
  /** For the zone's root, or when nobody in the zone answers: the root of the zone above and those below it. */
  readonly elsewhere: readonly string[];
  /** For the zone's root, when its uplink is too slow for that: those right below it. */
  readonly understudies: readonly string[];
}

export class RelayTree {
  readonly #zones: readonly (readonly SwarmMember[])[];
  readonly #zone: number;
  readonly #place: number;
  readonly sources: readonly StripeSources[];

  /** Undefined when `node` is not among the members. */
  static of(members: MemberDirectory, node: string): RelayTree | undefined {
    const standing = members.standing(node);
    return standing && new RelayTree(members.zones, standing.zone, standing.rank);
  }

  private constructor(zones: readonly (readonly SwarmMember[])[], zone: number, place: number) {
    this.#zones = zones;
    this.#zone = zone;
    this.#place = place;
    this.sources = Array.from({ length: STRIPES }, (_, stripe) => ({
      inZone: this.#inZone(stripe),
      elsewhere: this.#elsewhere(stripe),
      understudies: this.#understudies(stripe),
    }));
  }

  static stripeOf(pieceIndex: number): number {
    return pieceIndex % STRIPES;
  }

  /** Whether we fetch this stripe from the origin for everybody. */
  isRoot(stripe: number): boolean {
    return this.#zone === 0 && this.#slots(this.#zone, stripe).slotOf(this.#place) === 0;
  }

  /** Whether this piece is ours to bring into the zone when everybody fills: each piece has one such member per zone. */
  isOwnShare(pieceIndex: number): boolean {
    return pieceIndex % this.shareStep === this.#place;
  }

  /** Pieces place, place + shareStep, … are our share. */
  get shareStep(): number {
    return this.#zones[this.#zone].length;
  }

  get place(): number {
    return this.#place;
  }

  /** Index of our zone in MemberDirectory.zones. */
  get zone(): number {
    return this.#zone;
  }

  /** Whether our zone is the one that fills from the origin. */
  get isFirstZone(): boolean {
    return this.#zone === 0;
  }

  #slots(zone: number, stripe: number): StripeSlots {
    return new StripeSlots(this.#zones[zone].length, stripe);
  }

  #inZone(stripe: number): string[] {
    const slots = this.#slots(this.#zone, stripe);
    const self = slots.slotOf(this.#place);
    const chosen: number[] = [];
    let sidewaysMax = SIDEWAYS_OF_PARENT;
    for (let at = self; at > 0; at = StripeSlots.parentOf(at)) {
      const parent = StripeSlots.parentOf(at);
      chosen.push(parent, ...slots.sideways(at, parent, sidewaysMax));
      sidewaysMax = SIDEWAYS_ABOVE;
    }
    return chosen.map((slot) => this.#zones[this.#zone][slots.placeAt(slot)].node);
  }

  #understudies(stripe: number): string[] {
    const slots = this.#slots(this.#zone, stripe);
    if (slots.slotOf(this.#place) > 0) return [];
    const below = [1, 2].filter((slot) => slot < slots.interior);
    return below.map((slot) => this.#zones[this.#zone][slots.placeAt(slot)].node);
  }

  #elsewhere(stripe: number): string[] {
    if (this.#zone === 0) return [];
    const above = StripeSlots.parentOf(this.#zone);
    const slots = this.#slots(above, stripe);
    const count = Math.min(slots.size, 1 + SIDEWAYS_OF_PARENT);
    return Array.from({ length: count }, (_, slot) => this.#zones[above][slots.placeAt(slot)].node);
  }
}
