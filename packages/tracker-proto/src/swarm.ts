/**
 * The member order of one swarm, and what its subscribers must still be told of it. Every node computes the same relay
 * trees from the order, so members keep their place for as long as they stay and new ones go to the end. When to tell is
 * SwarmRegistry's decision.
 */

import type { Member, PeerAddress } from './messages.ts';
import type { Connection, RegistryEffect } from './registry-io.ts';

export interface MemberProgress {
  piecesHad: number;
  bytesFromPeers: number;
  bytesFromOrigin: number;
  bytesSent: number;
}

interface Place {
  readonly member: Member;
  readonly progress: MemberProgress;
}

export class Swarm {
  readonly image: string;
  #epoch = 0;
  /** In order. */
  readonly #places = new Map<string, Place>();
  /** Connections that know the order as of #epoch, and those that must be told it whole. */
  readonly #upToDate = new Set<Connection>();
  readonly #newcomers = new Set<Connection>();
  /** The change from #epoch to the next. */
  readonly #left = new Set<string>();
  readonly #appended = new Map<string, Member>();
  #haveOriginsChanged = false;

  constructor(image: string) {
    this.image = image;
  }

  get epoch(): number {
    return this.#epoch;
  }

  /** Members. */
  get size(): number {
    return this.#places.size;
  }

  get places(): Iterable<Place> {
    return this.#places.values();
  }

  /** Whether flush() would say anything. */
  get isDirty(): boolean {
    return this.#hasChanged || this.#newcomers.size > 0;
  }

  get subscribers(): Connection[] {
    return [...this.#upToDate, ...this.#newcomers];
  }

  /** Appends a member; one that is there keeps its place unless something about it has changed. */
  put(member: Member, piecesHad: number): void {
    const place = this.#places.get(member.node);
    if (place !== undefined && isSame(place.member, member)) {
      place.progress.piecesHad = piecesHad;
      return;
    }
    this.remove(member.node);
    const progress = { piecesHad, bytesFromPeers: 0, bytesFromOrigin: 0, bytesSent: 0 };
    this.#places.set(member.node, { member, progress });
    this.#appended.set(member.node, member);
  }

  remove(node: string): void {
    if (!this.#places.delete(node)) return;
    // Nobody has been told yet of a member that came and went within one epoch.
    if (!this.#appended.delete(node)) this.#left.add(node);
  }

  progress(node: string, progress: Readonly<MemberProgress>): void {
    const place = this.#places.get(node);
    if (place !== undefined) Object.assign(place.progress, progress);
  }

  /** The connection will be told the whole order, also if it was told before. */
  subscribe(connection: Connection): void {
    this.#upToDate.delete(connection);
    this.#newcomers.add(connection);
  }

  unsubscribe(connection: Connection): void {
    this.#upToDate.delete(connection);
    this.#newcomers.delete(connection);
  }

  originsChanged(): void {
    this.#haveOriginsChanged = true;
  }

  /** Ends the epoch if anything changed: the change for those who know the order, the whole for those who do not. */
  flush(origins: readonly PeerAddress[]): RegistryEffect[] {
    const effects: RegistryEffect[] = [];
    if (this.#hasChanged) {
      this.#epoch += 1;
      const change = { members: [...this.#appended.values()], left: [...this.#left] };
      effects.push(...this.#send(this.#upToDate, { isFull: false, ...change, origins }));
      this.#appended.clear();
      this.#left.clear();
      this.#haveOriginsChanged = false;
    }
    if (this.#newcomers.size > 0) {
      const members = Array.from(this.#places.values(), (place) => place.member);
      effects.push(...this.#send(this.#newcomers, { isFull: true, members, left: [], origins }));
      for (const connection of this.#newcomers) this.#upToDate.add(connection);
      this.#newcomers.clear();
    }
    return effects;
  }

  get #hasChanged(): boolean {
    return this.#appended.size > 0 || this.#left.size > 0 || this.#haveOriginsChanged;
  }

  #send(
    connections: ReadonlySet<Connection>,
    order: {
      readonly isFull: boolean;
      readonly members: readonly Member[];
      readonly left: readonly string[];
      readonly origins: readonly PeerAddress[];
    },
  ): RegistryEffect[] {
    if (connections.size === 0) return [];
    const message = { type: 'members', image: this.image, epoch: this.#epoch, ...order } as const;
    return [{ type: 'send', connections: [...connections], message }];
  }
}

function isSame(one: Member, other: Member): boolean {
  return (
    one.zone === other.zone &&
    one.rack === other.rack &&
    one.address.host === other.address.host &&
    one.address.port === other.address.port
  );
}
