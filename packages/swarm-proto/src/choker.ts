/**
 * Decides which foreign peers may download from us: those that give us most (or, once we have everything, take most), and one by
 * turns, so that newcomers get a chance. Our own agents are never choked; see uploader.ts.
 */
import type { Random } from '@bootswarm/stdx';

/** What the choker must know of a foreign peer. */
export interface ChokablePeer {
  readonly peerIsInterested: boolean;
  amChoking: boolean;
  readonly bytesReceived: number;
  readonly bytesSent: number;
}

/** The optimistic slot moves on every third round, as clients have done since BEP 3. */
const OPTIMISTIC_ROUNDS = 3;

export class Choker<P extends ChokablePeer> {
  readonly #slots: number;
  readonly #random: Random;
  readonly #lastBytes = new WeakMap<P, number>();
  #optimistic: P | undefined;
  #round = 0;

  constructor(slots: number, random: Random) {
    this.#slots = slots;
    this.#random = random;
  }

  /** Every rechokeMs. Returns the peers whose amChoking is to change. */
  rechoke(peers: readonly P[], isSeeding: boolean): P[] {
    const interested = peers.filter((peer) => peer.peerIsInterested);
    const gain = new Map<P, number>();
    for (const peer of peers) {
      const bytes = isSeeding ? peer.bytesSent : peer.bytesReceived;
      gain.set(peer, bytes - (this.#lastBytes.get(peer) ?? 0));
      this.#lastBytes.set(peer, bytes);
    }
    const ranked = interested.sort((a, b) => gain.get(b)! - gain.get(a)!);
    const chosen = new Set(ranked.slice(0, this.#slots - 1));
    if (this.#round % OPTIMISTIC_ROUNDS === 0 || !interested.includes(this.#optimistic!)) {
      const others = ranked.filter((peer) => !chosen.has(peer));
      this.#optimistic = others.length > 0 ? others[this.#random.below(others.length)] : undefined;
    }
    this.#round += 1;
    if (this.#optimistic !== undefined) chosen.add(this.#optimistic);
    return peers.filter((peer) => peer.amChoking === chosen.has(peer));
  }

  /** Between rounds: whether a peer that has just become interested finds a free slot. */
  hasFreeSlot(peers: readonly P[]): boolean {
    const taken = peers.filter((peer) => !peer.amChoking && peer.peerIsInterested).length;
    return taken < this.#slots;
  }
}
