/**
 * The members of a swarm as the tracker has them at one epoch, arranged as the relay tree wants them. Immutable, made once per
 * epoch, and shared by whoever works on the same epoch.
 */
import type { SwarmMember } from './engine-io.ts';

export class MemberDirectory {
  static readonly EMPTY = new MemberDirectory([]);

  /** Zones by name, so that all nodes see them in one order; in each its members by place. */
  readonly zones: readonly (readonly SwarmMember[])[];
  readonly #byNode = new Map<string, SwarmMember>();

  constructor(members: readonly SwarmMember[]) {
    const zones = new Map<string, SwarmMember[]>();
    for (const member of members) {
      this.#byNode.set(member.node, member);
      const zone = zones.get(member.zone);
      if (zone) zone.push(member);
      else zones.set(member.zone, [member]);
    }
    const names = [...zones.keys()].sort();
    this.zones = names.map((name) => zones.get(name)!.sort((a, b) => a.place - b.place));
  }

  get size(): number {
    return this.#byNode.size;
  }

  find(node: string): SwarmMember | undefined {
    return this.#byNode.get(node);
  }

  /** Where a member stands: its zone, and its rank there, which is its place unless places have holes. */
  standing(node: string): { readonly zone: number; readonly rank: number } | undefined {
    const member = this.#byNode.get(node);
    if (member === undefined) return undefined;
    const zone = this.zones.findIndex(([first]) => first.zone === member.zone);
    const inZone = this.zones[zone];
    // Places are dense but for a moment between two epochs: the member is at its place or a little before it.
    for (let rank = Math.min(member.place, inZone.length - 1); rank >= 0; rank -= 1) {
      if (inZone[rank] === member) return { zone, rank };
    }
    return { zone, rank: inZone.indexOf(member) };
  }
}
