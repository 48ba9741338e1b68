/**
 * Which nodes we keep wires to: parents in the relay tree, the origin when we are a root, and a few others spread over the
 * member order for rarest-first. Dials, waits longer after each failure, and settles on one wire when two nodes dial each other.
 */
import type { SwarmMember } from './engine-io.ts';
import type { Peer } from './peer.ts';
import { RelayTree, STRIPES } from './relay-tree.ts';
import type { SwarmState } from './swarm-state.ts';

interface Contact {
  readonly key: string;
  readonly host: string;
  readonly port: number;
  state: 'idle' | 'dialling' | 'connected';
  /** Not dialled before this. */
  retryAt: number;
  failures: number;
  /** Kept connected; others are dialled on need only. */
  isWanted: boolean;
}

export class Neighbours<Payload> {
  readonly #state: SwarmState<Payload>;
  #members: readonly SwarmMember[] = [];
  readonly #contacts = new Map<string, Contact>();
  readonly #bannedUntil = new Map<string, number>();
  /** The open wire to each node of ours; origins are not nodes. */
  readonly #byNode = new Map<string, Peer>();
  #tree: RelayTree | undefined;
  #sources: readonly (readonly string[])[] = [];
  #nextDialAt = Infinity;

  constructor(state: SwarmState<Payload>) {
    this.#state = state;
  }

  /** When dialDue() has something to do. */
  get nextDialAt(): number {
    return this.#nextDialAt;
  }

  /** Undefined until the tracker has told us a member order with ourselves in it. */
  get tree(): RelayTree | undefined {
    return this.#tree;
  }

  get origins(): Peer[] {
    const origins: Peer[] = [];
    for (const peer of this.#state.peers.values()) if (peer.isOrigin) origins.push(peer);
    return origins;
  }

  setMembers(
    members: readonly SwarmMember[],
    origins: readonly { readonly host: string; readonly port: number }[],
  ): void {
    this.#members = members;
    const self = members.findIndex((member) => member.node === this.#state.node);
    this.#tree = self < 0 ? undefined : new RelayTree(members.length, self);
    this.#sources = Array.from({ length: STRIPES }, (_, stripe) =>
      (this.#tree?.sources(stripe) ?? []).map((index) => members[index].node),
    );
    this.#retainContacts(members, origins);
    this.#markWanted(self);
    this.dialDue();
  }

  /** Nodes to ask for a piece, best first; see RelayTree.sources. */
  sourcesOf(pieceIndex: number): readonly string[] {
    return this.#sources[RelayTree.stripeOf(pieceIndex)] ?? [];
  }

  /** The open wire to a node, if any. */
  peerOf(node: string): Peer | undefined {
    return this.#byNode.get(node);
  }

  /** Asks for a wire to a node; false when it is not to be had now. */
  reach(node: string): boolean {
    return this.#dial(this.#contacts.get(nodeKey(node)));
  }

  /** Asks for a wire to any origin; false when none is to be had now. */
  reachOrigin(): boolean {
    let isComing = false;
    for (const contact of this.#contacts.values()) {
      if (contact.key.startsWith('origin:') && this.#dial(contact)) isComing = true;
    }
    return isComing;
  }

  /**
   * Takes in a new wire. Answers the code with which to close it, if it is not to be kept; `other` is an older wire to the same
   * node that is to be closed instead.
   */
  admit(peer: Peer): { refuse?: string; other?: Peer } {
    const { node } = peer;
    const contact = peer.dialled === undefined ? undefined : this.#contacts.get(peer.dialled);
    if (contact) {
      contact.state = 'connected';
      contact.failures = 0;
    }
    if (node === undefined || peer.isOrigin) return {};
    if (node === this.#state.node) return { refuse: 'self-connection' };
    if ((this.#bannedUntil.get(node) ?? 0) > this.#state.now) return { refuse: 'banned' };
    const other = this.#byNode.get(node);
    if (other === undefined) {
      this.#byNode.set(node, peer);
      return {};
    }
    // Both sides keep the wire dialled by the lesser name; of two dialled by the same side, the newer.
    const keeper = this.#state.node < node ? 'dialled' : 'accepted';
    const isNewKept = (peer.dialled !== undefined) === (keeper === 'dialled');
    const isOldKept = (other.dialled !== undefined) === (keeper === 'dialled');
    if (isOldKept && !isNewKept) return { refuse: 'duplicate-wire' };
    this.#byNode.set(node, peer);
    return { other };
  }

  onGone(peer: Peer): void {
    const { node } = peer;
    if (node !== undefined && this.#byNode.get(node) === peer) this.#byNode.delete(node);
    if (peer.dialled !== undefined) this.onDialFailed(peer.dialled);
  }

  onDialFailed(key: string): void {
    const contact = this.#contacts.get(key);
    if (contact === undefined) return;
    const { limits, now, random } = this.#state;
    contact.state = 'idle';
    const pause = Math.min(limits.redialMaxMs, limits.redialMinMs * 2 ** contact.failures);
    contact.failures += 1;
    contact.retryAt = now + pause * (0.5 + random.float());
    if (contact.isWanted) this.#nextDialAt = Math.min(this.#nextDialAt, contact.retryAt);
  }

  ban(peer: Peer): void {
    if (peer.node === undefined || peer.isOrigin) return;
    this.#bannedUntil.set(peer.node, this.#state.now + this.#state.limits.banMs);
  }

  /** Dials every wanted node whose pause is over. */
  dialDue(): void {
    this.#nextDialAt = Infinity;
    for (const contact of this.#contacts.values()) {
      if (!contact.isWanted || this.#dial(contact) || contact.state !== 'idle') continue;
      this.#nextDialAt = Math.min(this.#nextDialAt, contact.retryAt);
    }
  }

  /** True when a wire is there or on its way. */
  #dial(contact: Contact | undefined): boolean {
    if (contact === undefined) return false;
    if (contact.state !== 'idle' || this.#isConnected(contact)) return true;
    const { now, peers, limits } = this.#state;
    if (contact.retryAt > now) return false;
    if ((this.#bannedUntil.get(contact.key.slice('node:'.length)) ?? 0) > now) {
      contact.retryAt = this.#bannedUntil.get(contact.key.slice('node:'.length))!;
      return false;
    }
    if (peers.size >= limits.peersMax) {
      contact.retryAt = now + limits.redialMaxMs;
      return false;
    }
    contact.state = 'dialling';
    this.#state.emit({ type: 'dial', key: contact.key, host: contact.host, port: contact.port });
    return true;
  }

  #isConnected(contact: Contact): boolean {
    return contact.key.startsWith('node:') && this.#byNode.has(contact.key.slice('node:'.length));
  }

  #retainContacts(
    members: readonly SwarmMember[],
    origins: readonly { readonly host: string; readonly port: number }[],
  ): void {
    const keys = new Set<string>();
    const retain = (key: string, host: string, port: number): void => {
      keys.add(key);
      const known = this.#contacts.get(key);
      if (known && known.host === host && known.port === port) return;
      const state = known?.state === 'connected' ? 'connected' : 'idle';
      this.#contacts.set(key, { key, host, port, state, retryAt: 0, failures: 0, isWanted: false });
    };
    for (const { node, host, port } of members) {
      if (node !== this.#state.node) retain(nodeKey(node), host, port);
    }
    for (const { host, port } of origins) retain(`origin:${host}:${port}`, host, port);
    for (const key of this.#contacts.keys()) if (!keys.has(key)) this.#contacts.delete(key);
  }

  #markWanted(self: number): void {
    for (const contact of this.#contacts.values()) contact.isWanted = false;
    const isRoot = this.#tree !== undefined && this.#sources.some((each) => each.length === 0);
    for (const contact of this.#contacts.values()) {
      if (contact.key.startsWith('origin:')) contact.isWanted = isRoot || this.#tree === undefined;
    }
    const want = (node: string): void => {
      const contact = this.#contacts.get(nodeKey(node));
      if (contact) contact.isWanted = true;
    };
    for (const [parent] of this.#sources) if (parent !== undefined) want(parent);
    // Doubling steps along the order: few wires each, and any two nodes are a few hops apart.
    const count = this.#members.length;
    let chosen = 0;
    for (let step = 1; step < count && chosen < this.#state.limits.neighboursWanted; step *= 2) {
      want(this.#members[(Math.max(self, 0) + step) % count].node);
      chosen += 1;
    }
  }
}

function nodeKey(node: string): string {
  return `node:${node}`;
}
