/**
 * Gives the members of a swarm their places: in each zone 0 to n - 1, moved as rarely as can be, since every move changes the
 * relay trees of all nodes. Who has been demoted, because others suspect it, stays behind those who have not.
 */

export interface Placed {
  readonly zone: string;
  place: number;
  /** Suspected by others; it is not moved up again. */
  isDemoted: boolean;
}

export class ZonePlaces<T extends Placed> {
  /** By place. */
  readonly #zones = new Map<string, T[]>();

  /** Gives it the lowest free place of its zone. */
  add(member: T): void {
    let zone = this.#zones.get(member.zone);
    if (zone === undefined) {
      zone = [];
      this.#zones.set(member.zone, zone);
    }
    member.place = zone.length;
    zone.push(member);
  }

  /**
   * The last of the zone takes its place; if that one is demoted, the last that is not does, and the demoted one follows it.
   * Returns who moved.
   */
  remove(member: T): T[] {
    const zone = this.#zones.get(member.zone)!;
    const moved: T[] = [];
    let hole = member.place;
    const successor = lastTrusted(zone, hole);
    for (const next of [successor, zone.at(-1)]) {
      if (next === undefined || next.place <= hole) continue;
      const { place } = next;
      put(zone, next, hole);
      hole = place;
      moved.push(next);
    }
    zone.pop();
    if (zone.length === 0) this.#zones.delete(member.zone);
    return moved;
  }

  /** Exchanges its place with that of the last of its zone that is not demoted. Returns who moved. */
  demote(member: T): T[] {
    member.isDemoted = true;
    const zone = this.#zones.get(member.zone)!;
    const { place } = member;
    const other = lastTrusted(zone, place);
    if (other === undefined) return [];
    put(zone, member, other.place);
    put(zone, other, place);
    return [member, other];
  }
}

/** The last of the zone behind `place` that is not demoted. */
function lastTrusted<T extends Placed>(zone: readonly T[], place: number): T | undefined {
  const last = zone.findLastIndex(({ isDemoted }) => !isDemoted);
  return last > place ? zone[last] : undefined;
}

function put<T extends Placed>(zone: T[], member: T, place: number): void {
  zone[place] = member;
  member.place = place;
}
