/**
 * Who suspects whom of a swarm not to answer or to hold up what it relays, and when that is enough to demote the suspect: two
 * members within ten seconds, as one may itself be the one that is cut off; or the suspect alone, which knows its own uplink and
 * has nothing to gain. Bounded by the members, each of whom may suspect a few.
 */
import { SUSPECTS_MAX } from './message-schema.ts';

/** A node asks its parents again within seconds: two that lost the same parent notice within this of each other. */
const SUSPICION_MS = 10_000;
/** Time for the order to take effect, and for who was wrongly demoted to be heard. */
const DEMOTION_PAUSE_MS = 30_000;
/** In a swarm of fewer members there may be no second that could notice. */
const MEMBERS_FOR_TWO = 4;

export class Suspicions {
  /** Accuser → suspect → when; the oldest first. */
  readonly #byAccuser = new Map<string, Map<string, number>>();
  /** Suspect → accuser → when. */
  readonly #bySuspect = new Map<string, Map<string, number>>();
  readonly #demotedAt = new Map<string, number>();

  /** Whether the suspect is to be demoted now. Both are members, of a swarm of `memberCount`. */
  accuse(accuser: string, suspect: string, memberCount: number, now: number): boolean {
    const demotedAt = this.#demotedAt.get(suspect);
    if (demotedAt !== undefined && now - demotedAt < DEMOTION_PAUSE_MS) return false;
    this.#expire(accuser, now);
    const mine = entryOf(this.#byAccuser, accuser);
    mine.delete(suspect);
    if (mine.size >= SUSPECTS_MAX) return false;
    mine.set(suspect, now);
    const accusers = entryOf(this.#bySuspect, suspect);
    accusers.set(accuser, now);
    let count = 0;
    for (const at of accusers.values()) if (now - at <= SUSPICION_MS) count += 1;
    const isEnough = count >= 2 || accuser === suspect || memberCount < MEMBERS_FOR_TWO;
    if (!isEnough) return false;
    this.#clear(suspect);
    this.#demotedAt.set(suspect, now);
    return true;
  }

  /** It has left: what it said and what was said of it counts no more. */
  forget(node: string): void {
    this.#clear(node);
    this.#demotedAt.delete(node);
    for (const suspect of this.#byAccuser.get(node)?.keys() ?? []) this.#withdraw(node, suspect);
    this.#byAccuser.delete(node);
  }

  #expire(accuser: string, now: number): void {
    for (const [suspect, at] of this.#byAccuser.get(accuser) ?? []) {
      if (now - at <= SUSPICION_MS) return;
      this.#byAccuser.get(accuser)?.delete(suspect);
      this.#withdraw(accuser, suspect);
    }
  }

  #withdraw(accuser: string, suspect: string): void {
    const accusers = this.#bySuspect.get(suspect);
    accusers?.delete(accuser);
    if (accusers?.size === 0) this.#bySuspect.delete(suspect);
  }

  #clear(suspect: string): void {
    for (const accuser of this.#bySuspect.get(suspect)?.keys() ?? []) {
      this.#byAccuser.get(accuser)?.delete(suspect);
    }
    this.#bySuspect.delete(suspect);
  }
}

function entryOf(map: Map<string, Map<string, number>>, key: string): Map<string, number> {
  let entry = map.get(key);
  if (entry === undefined) {
    entry = new Map();
    map.set(key, entry);
  }
  return entry;
}
