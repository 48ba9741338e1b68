/** One engine without a world: what it is told, and what it says to whom. Time goes on by its own timeouts. */
import { Bitfield, Random } from '@bootswarm/stdx';
import {
  MemberDirectory,
  type PeerIdentity,
  type PeerMessage,
  SwarmEngine,
  type SwarmInput,
  type SwarmLimits,
} from '@bootswarm/swarm-proto';

export const PIECE_LENGTH = 65_536;
const HEARD_EVERY_MS = 50;

export class LoneEngine {
  readonly engine: SwarmEngine<string>;
  /** Sent since the last call of take(), in order. */
  #said: { readonly peer: number; readonly message: PeerMessage<string> }[] = [];
  /** Pieces handed out to be sent, by peer. */
  readonly uploads: { readonly peer: number; readonly pieceIndex: number }[] = [];
  /** Nodes the tracker was told of. */
  readonly suspected: string[] = [];
  /** Keys of whom it has dialled, in order. */
  readonly dialled: string[] = [];
  /** Wires it has closed. */
  readonly closed: { readonly peer: number; readonly code: string }[] = [];
  now = 1;

  constructor(
    pieceCount: number,
    node = 'self',
    have = new Bitfield(pieceCount),
    limits: Partial<SwarmLimits> = {},
  ) {
    this.engine = new SwarmEngine<string>({
      shape: { pieceCount, pieceLength: PIECE_LENGTH, length: pieceCount * PIECE_LENGTH },
      node,
      isOrigin: false,
      have,
      random: new Random(1),
      limits,
    });
  }

  /** Every piece it verifies is right, and kept; every wire it closes is gone at once. */
  handle(input: SwarmInput<string>): void {
    this.engine.handle(input, this.now);
    const outcomes: SwarmInput<string>[] = [];
    for (let effect = this.engine.poll(); effect; effect = this.engine.poll()) {
      if (effect.type === 'send') this.#said.push(effect);
      if (effect.type === 'upload') this.uploads.push(effect);
      if (effect.type === 'dial') this.dialled.push(effect.key);
      if (effect.type === 'suspect') this.suspected.push(...effect.nodes);
      if (effect.type === 'verify') {
        const { pieceIndex, peer } = effect;
        outcomes.push({ type: 'verified', pieceIndex, peer, isGood: true });
      } else if (effect.type === 'deliver') {
        outcomes.push({ type: 'stored', pieceIndex: effect.pieceIndex, isKept: true });
      } else if (effect.type === 'disconnect') {
        this.closed.push({ peer: effect.peer, code: effect.code });
        outcomes.push({ type: 'peer-disconnected', peer: effect.peer });
      }
    }
    for (const outcome of outcomes) this.handle(outcome);
  }

  hear(peer: number, message: PeerMessage<string>): void {
    this.handle({ type: 'message', peer, message });
  }

  /** A wire to a peer that serves us. */
  connect(peer: number, identity: PeerIdentity): void {
    this.handle({ type: 'peer-connected', peer, identity, dialled: undefined });
    this.hear(peer, { type: 'unchoke' });
  }

  connectNode(peer: number, node: string, isOrigin = false, zone = ''): void {
    this.connect(peer, { kind: 'ours', node, zone, rack: '', isOrigin });
  }

  /** The tracker's member order: nodes of each zone by place. */
  tellMembers(zones: Readonly<Record<string, readonly string[]>>): void {
    const members = Object.entries(zones).flatMap(([zone, nodes]) =>
      nodes.map((node, place) => ({ node, zone, rack: '', place, host: '127.0.0.1', port: 1 })),
    );
    this.handle({ type: 'members', members: new MemberDirectory(members), origins: [] });
  }

  demand(pieceIndex: number): void {
    this.handle({ type: 'demand', pieceIndex });
  }

  /** `peer` sends a whole piece. */
  give(peer: number, pieceIndex: number): void {
    const payload = `piece ${pieceIndex}`;
    this.hear(peer, { type: 'piece', pieceIndex, offset: 0, length: PIECE_LENGTH, payload });
  }

  /** Lets time pass, waking the engine when it asks for it. */
  pass(ms: number): void {
    const end = this.now + ms;
    for (let at = this.engine.timeout(); at <= end; at = this.engine.timeout()) {
      this.now = Math.max(this.now, at);
      this.handle({ type: 'wake' });
    }
    this.now = end;
  }

  /** The same, while these peers say something now and then that is no piece. */
  passHearing(ms: number, peers: readonly number[]): void {
    for (const end = this.now + ms; this.now < end; ) {
      this.pass(Math.min(HEARD_EVERY_MS, end - this.now));
      for (const peer of peers) this.hear(peer, { type: 'interested' });
    }
  }

  /** What it has said to a peer since this was last asked. */
  take(peer: number): PeerMessage<string>[] {
    const taken = this.#said.filter((each) => each.peer === peer);
    this.#said = this.#said.filter((each) => each.peer !== peer);
    return taken.map(({ message }) => message);
  }

  /** Pieces asked of a peer since anything was last taken from what was said to it. */
  asked(peer: number): number[] {
    return this.take(peer).flatMap((said) => (said.type === 'request' ? [said.pieceIndex] : []));
  }
}
