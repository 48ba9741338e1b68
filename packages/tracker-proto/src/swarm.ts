/**
 * The member order of one swarm, and what its subscribers must still be told of it. Every node computes the same relay
 * trees from the members' places, so members keep theirs as far as can be. When to tell is SwarmRegistry's decision.
 */

import type { Member, NodeIdentity, PeerAddress } from './messages.ts';
import type { Connection, MemberProgress, RegistryEffect } from './registry-io.ts';
import { Suspicions } from './suspicions.ts';
import { ZonePlaces } from './zone-places.ts';

interface Entry {
  readonly identity: NodeIdentity;
  readonly zone: string;
  readonly progress: MemberProgress;
  place: number;
  isDemoted: boolean;
  /** Whether those who know the order as of #epoch know it. */
  isTold: boolean;
}

export class Swarm {
  readonly image: string;
  #epoch = 0;
  readonly #entries = new Map<string, Entry>();
  readonly #places = new ZonePlaces<Entry>();
  readonly #suspicions = new Suspicions();
  /** Connections that know the order as of #epoch, and those that must be told it whole. */
  readonly #upToDate = new Set<Connection>();
  readonly #newcomers = new Set<Connection>();
  /** The change from #epoch to the next: who was known and left, and who is new or has another place. */
  readonly #left = new Set<string>();
  readonly #changed = new Set<Entry>();
  #haveOriginsChanged = false;

  constructor(image: string) {
    this.image = image;
  }

  get epoch(): number {
    return this.#epoch;
  }

  /** Members. */
  get size(): number {
    return this.#entries.size;
  }

  /** Names of the members. */
  get nodes(): Iterable<string> {
    return this.#entries.keys();
  }

  /** In the order in which they joined. */
  get members(): { readonly member: Member; readonly progress: MemberProgress }[] {
    return Array.from(this.#entries.values(), (entry) => ({
      member: memberOf(entry),
      progress: { ...entry.progress },
    }));
  }

  /** Whether flush() would say anything. */
  get isDirty(): boolean {
    return this.#hasChanged || this.#newcomers.size > 0;
  }

  get subscribers(): Connection[] {
    return [...this.#upToDate, ...this.#newcomers];
  }

  /** Takes a member in; one that is there keeps its place unless something about it has changed. */
  put(identity: NodeIdentity, piecesHad: number): void {
    const known = this.#entries.get(identity.node);
    if (known !== undefined && isSame(known.identity, identity)) {
      known.progress.piecesHad = piecesHad;
      return;
    }
    this.remove(identity.node);
    const progress = { piecesHad, bytesFromPeers: 0, bytesFromOrigin: 0, bytesSent: 0 };
    const { zone } = identity;
    const entry = { identity, zone, progress, place: 0, isDemoted: false, isTold: false };
    this.#entries.set(identity.node, entry);
    this.#places.add(entry);
    this.#changed.add(entry);
  }

  remove(node: string): void {
    const entry = this.#entries.get(node);
    if (entry === undefined) return;
    this.#entries.delete(node);
    this.#suspicions.forget(node);
    this.#changed.delete(entry);
    // Nobody has been told yet of a member that came and went within one epoch.
    if (entry.isTold) this.#left.add(node);
    for (const moved of this.#places.remove(entry)) this.#changed.add(moved);
  }

  /** `accuser` says that these do not answer it, or that it is no relay itself. Who is no member counts for nothing. */
  suspect(accuser: string, nodes: readonly string[], now: number): void {
    if (!this.#entries.has(accuser)) return;
    for (const node of nodes) {
      const entry = this.#entries.get(node);
      if (entry === undefined) continue;
      if (!this.#suspicions.accuse(accuser, node, this.size, now)) continue;
      for (const moved of this.#places.demote(entry)) this.#changed.add(moved);
    }
  }

  piecesHadBy(node: string): number {
    return this.#entries.get(node)?.progress.piecesHad ?? 0;
  }

  progress(node: string, progress: Readonly<MemberProgress>): void {
    const entry = this.#entries.get(node);
    if (entry !== undefined) Object.assign(entry.progress, progress);
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
      const change = { members: Array.from(this.#changed, memberOf), left: [...this.#left] };
      effects.push(...this.#send(this.#upToDate, { isFull: false, ...change, origins }));
      for (const entry of this.#changed) entry.isTold = true;
      this.#changed.clear();
      this.#left.clear();
      this.#haveOriginsChanged = false;
    }
    if (this.#newcomers.size > 0) {
      const members = Array.from(this.#entries.values(), memberOf);
      effects.push(...this.#send(this.#newcomers, { isFull: true, members, left: [], origins }));
      for (const connection of this.#newcomers) this.#upToDate.add(connection);
      this.#newcomers.clear();
    }
    return effects;
  }

  get #hasChanged(): boolean {
    return this.#changed.size > 0 || this.#left.size > 0 || this.#haveOriginsChanged;
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

function memberOf({ identity, place }: Entry): Member {
  return { ...identity, place };
}

function isSame(one: NodeIdentity, other: NodeIdentity): boolean {
  return (
    one.zone === other.zone &&
    one.rack === other.rack &&
    one.address.host === other.address.host &&
    one.address.port === other.address.port
  );
}
