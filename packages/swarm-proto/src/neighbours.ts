/**
 * Which nodes we keep wires to: parents in the relay tree, the origin when we are a root, and a few others spread over the
 * member order for rarest-first. Dials, waits longer after each failure, and settles on one wire when two nodes dial each other.
 */
import { MemberDirectory } from './member-directory.ts';
import type { Peer } from './peer.ts';
import { RelayTree, type StripeSources } from './relay-tree.ts';
import type { SwarmState } from './swarm-state.ts';

interface Contact {
  readonly key: string;
  /** Undefined for an origin. */
  readonly node: string | undefined;
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
  #members = MemberDirectory.EMPTY;
  /** Our zone, as the tracker has it. */
  #zone: string | undefined;
  /** Origins, and members that we want a wire to or have tried to reach: never all members. */
  readonly #contacts = new Map<string, Contact>();
  readonly #bannedUntil = new Map<string, number>();
  /** The open wire to each node of ours; origins are not nodes. */
  readonly #byNode = new Map<string, Peer>();
  #tree: RelayTree | undefined;
  readonly #origins: Peer[] = [];
  #nextDialAt = Infinity;
  readonly #suspectedAt = new Map<string, number>();

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

  /** Open wires to origins. */
  get origins(): readonly Peer[] {
    return this.#origins;
  }

  setMembers(
    members: MemberDirectory,
    origins: readonly { readonly host: string; readonly port: number }[],
  ): void {
    this.#members = members;
    this.#zone = members.find(this.#state.node)?.zone;
    this.#tree = RelayTree.of(members, this.#state.node);
    this.#retainContacts(origins);
    this.#markWanted();
    this.dialDue();
  }

  /** Nodes to ask for a piece, best first. */
  sourcesOf(pieceIndex: number): StripeSources {
    return this.#tree?.sources[RelayTree.stripeOf(pieceIndex)] ?? NO_SOURCES;
  }

  /** Whether a peer is in our zone, as the tracker has it, or else as it says. Foreign peers are elsewhere. */
  isNear(peer: Peer): boolean {
    const { node } = peer;
    if (node === undefined) return false;
    const own = this.#zone;
    return own === undefined || own === (this.#members.find(node)?.zone ?? peer.zone);
  }

  /** How far from ours a peer's place in the member order is; 0 when the tracker has not told both. */
  placesApart(peer: Peer): number {
    const own = this.#members.find(this.#state.node)?.place;
    const other = peer.node === undefined ? undefined : this.#members.find(peer.node)?.place;
    return own === undefined || other === undefined ? 0 : Math.abs(other - own);
  }

  /** Has the tracker told, now and then, that a member does not answer or holds up what it relays. */
  suspect(node: string): void {
    const { now, limits } = this.#state;
    if (this.#members.find(node) === undefined) return;
    if (now - (this.#suspectedAt.get(node) ?? Number.NEGATIVE_INFINITY) < limits.suspectMs) return;
    this.#suspectedAt.set(node, now);
    this.#state.emit({ type: 'suspect', nodes: [node] });
  }

  /** The open wire to a node, if any. */
  peerOf(node: string): Peer | undefined {
    return this.#byNode.get(node);
  }

  /** Asks for a wire to a node; true when it is worth waiting for: it is on its way, and did not fail before. */
  reach(node: string): boolean {
    const contact = this.#contactOf(node);
    return this.#dial(contact) && contact!.failures === 0;
  }

  /** Asks for a wire to any origin; false when none is to be had now. */
  reachOrigin(): boolean {
    let isComing = false;
    for (const contact of this.#contacts.values()) {
      if (contact.node === undefined && this.#dial(contact)) isComing = true;
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
    if (peer.isOrigin) this.#origins.push(peer);
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
    const origin = this.#origins.indexOf(peer);
    if (origin >= 0) this.#origins.splice(origin, 1);
    if (node !== undefined && this.#byNode.get(node) === peer) this.#byNode.delete(node);
    // It did answer, and may have closed one of two wires: the next dial shows whether it is there, before anybody suspects it.
    if (peer.dialled !== undefined) this.#pause(this.#contacts.get(peer.dialled));
  }

  onDialFailed(key: string): void {
    const contact = this.#contacts.get(key);
    if (contact?.isWanted && contact.node !== undefined) this.suspect(contact.node);
    this.#pause(contact);
  }

  /** Its wire is gone, or did not come: it is dialled again after a while. */
  #pause(contact: Contact | undefined): void {
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

  /** The wire to give up for a better one: used by nobody for longest, and not one that we keep for the trees. */
  idlest(): Peer | undefined {
    const { peers, now, limits } = this.#state;
    let idlest: Peer | undefined;
    for (const peer of peers.values()) {
      const isInUse = peer.requests.size > 0 || peer.uploads.size > 0 || peer.uploads.inHand > 0;
      const contact = peer.node === undefined ? undefined : this.#contacts.get(nodeKey(peer.node));
      if (peer.isOrigin || isInUse || contact?.isWanted === true) continue;
      if (now - peer.usedAt < limits.idleMinMs) continue;
      if (idlest === undefined || peer.usedAt < idlest.usedAt) idlest = peer;
    }
    return idlest;
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
    const bannedUntil = this.#bannedUntil.get(contact.node ?? '') ?? 0;
    if (bannedUntil > now) {
      contact.retryAt = bannedUntil;
      return false;
    }
    if (peers.size >= limits.peersMax && this.idlest() === undefined) {
      contact.retryAt = now + limits.redialMinMs;
      return false;
    }
    contact.state = 'dialling';
    this.#state.emit({ type: 'dial', key: contact.key, host: contact.host, port: contact.port });
    return true;
  }

  #isConnected(contact: Contact): boolean {
    return contact.node !== undefined && this.#byNode.has(contact.node);
  }

  #retainContacts(origins: readonly { readonly host: string; readonly port: number }[]): void {
    const originKeys = new Set<string>();
    for (const { host, port } of origins) {
      const key = `origin:${host}:${port}`;
      originKeys.add(key);
      if (!this.#contacts.has(key)) this.#contacts.set(key, newContact(key, undefined, host, port));
    }
    for (const [key, { node, host, port }] of this.#contacts) {
      const member = node === undefined ? undefined : this.#members.find(node);
      const isThere = node === undefined ? originKeys.has(key) : member !== undefined;
      const hasMoved = member !== undefined && (member.host !== host || member.port !== port);
      if (!isThere || hasMoved) this.#contacts.delete(key);
    }
    for (const node of this.#suspectedAt.keys()) {
      if (this.#members.find(node) === undefined) this.#suspectedAt.delete(node);
    }
  }

  /** Of a member other than ourselves. */
  #contactOf(node: string): Contact | undefined {
    const key = nodeKey(node);
    const known = this.#contacts.get(key);
    if (known !== undefined) return known;
    const member = node === this.#state.node ? undefined : this.#members.find(node);
    if (member === undefined) return undefined;
    const contact = newContact(key, node, member.host, member.port);
    if (this.#byNode.get(node)?.dialled === key) contact.state = 'connected';
    this.#contacts.set(key, contact);
    return contact;
  }

  #markWanted(): void {
    const tree = this.#tree;
    const isRoot = tree?.sources.some(({ inZone, elsewhere }) => !inZone[0] && !elsewhere[0]);
    for (const contact of this.#contacts.values()) {
      contact.isWanted = contact.node === undefined && isRoot !== false;
    }
    const want = (node: string | undefined): void => {
      const contact = node === undefined ? undefined : this.#contactOf(node);
      if (contact) contact.isWanted = true;
    };
    for (const { inZone, elsewhere } of tree?.sources ?? []) want(inZone[0] ?? elsewhere[0]);
    // Doubling steps back along the zone: few wires each, any two nodes are a few hops apart, and newcomers, who come last,
    // change nobody's. Around the end they would all meet at the first places, which relay most.
    const inZone = this.#members.zones[tree?.zone ?? 0] ?? [];
    const place = tree?.place ?? 0;
    let chosen = 0;
    for (let step = 1; step <= place && chosen < this.#state.limits.neighboursWanted; step *= 2) {
      want(inZone[place - step].node);
      chosen += 1;
    }
    for (const [key, contact] of this.#contacts) {
      if (!contact.isWanted && contact.node !== undefined && contact.state === 'idle') {
        // What is no longer wanted and failed lately is remembered until its pause is over.
        if (contact.retryAt <= this.#state.now) this.#contacts.delete(key);
      }
    }
  }
}

const NO_SOURCES: StripeSources = { inZone: [], elsewhere: [], understudies: [] };

function newContact(key: string, node: string | undefined, host: string, port: number): Contact {
  return { key, node, host, port, state: 'idle', retryAt: 0, failures: 0, isWanted: false };
}

function nodeKey(node: string): string {
  return `node:${node}`;
}
