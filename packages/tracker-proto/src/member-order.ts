/**
 * An agent's copy of the member order of one swarm, kept by the tracker's `members` messages. It is the other half of
 * swarm.ts: applied in order, they give every member the place that the tracker gave it. A message missed, or places that
 * cannot be, are noticed, not guessed over.
 */
import type { Member, PeerAddress, TrackerMessage } from './messages.ts';

type MembersMessage = TrackerMessage & { type: 'members' };

/** The members of a zone by place; a hole only while a message is applied. */
interface Zone {
  readonly name: string;
  readonly places: (Member | undefined)[];
  count: number;
}

export class MemberOrder {
  readonly #members = new Map<string, Member>();
  readonly #zones = new Map<string, Zone>();
  #origins: readonly PeerAddress[] = [];
  #epoch: number | undefined;

  /** By place and, of one place, by zone, so that all nodes have one list; the node itself included. */
  get members(): Member[] {
    const zones = [...this.#zones.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    const members: Member[] = [];
    const placesMax = zones.reduce((most, { count }) => Math.max(most, count), 0);
    for (let place = 0; place < placesMax; place += 1) {
      for (const { places } of zones) {
        const member = places[place];
        if (member !== undefined) members.push(member);
      }
    }
    return members;
  }

  get origins(): readonly PeerAddress[] {
    return this.#origins;
  }

  /** Undefined until the order has been told whole. */
  get epoch(): number | undefined {
    return this.#epoch;
  }

  /**
   * Returns false when the message does not follow on what is known, and changes nothing, or when it gives two members of a
   * zone one place or leaves one empty, and forgets all: join again.
   */
  apply(message: MembersMessage): boolean {
    if (message.isFull) {
      this.#forget();
    } else if (this.#epoch === undefined || message.epoch !== this.#epoch + 1) {
      return false;
    }
    const changed = new Set<Zone>();
    for (const node of message.left) this.#remove(node, changed);
    for (const { node } of message.members) this.#remove(node, changed);
    let isValid = true;
    for (const member of message.members) isValid &&= this.#put(member, changed);
    for (const zone of changed) isValid &&= this.#close(zone);
    if (!isValid) {
      this.#forget();
      return false;
    }
    this.#origins = message.origins;
    this.#epoch = message.epoch;
    return true;
  }

  #forget(): void {
    this.#members.clear();
    this.#zones.clear();
    this.#epoch = undefined;
  }

  #remove(node: string, changed: Set<Zone>): void {
    const member = this.#members.get(node);
    if (member === undefined) return;
    this.#members.delete(node);
    const zone = this.#zones.get(member.zone)!;
    zone.places[member.place] = undefined;
    zone.count -= 1;
    changed.add(zone);
  }

  /** False when the place, or the name, is another's. */
  #put(member: Member, changed: Set<Zone>): boolean {
    let zone = this.#zones.get(member.zone);
    if (zone === undefined) {
      zone = { name: member.zone, places: [], count: 0 };
      this.#zones.set(member.zone, zone);
    }
    if (zone.places[member.place] !== undefined || this.#members.has(member.node)) return false;
    zone.places[member.place] = member;
    zone.count += 1;
    this.#members.set(member.node, member);
    changed.add(zone);
    return true;
  }

  /** Ends a change of this zone; false when it leaves a place empty. */
  #close(zone: Zone): boolean {
    if (zone.count === 0) this.#zones.delete(zone.name);
    zone.places.length = Math.max(zone.count, zone.places.findLastIndex((each) => each) + 1);
    return zone.places.length === zone.count;
  }
}
