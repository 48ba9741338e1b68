/** One engine without a world: what it is told, and what it says to whom. Time goes on by its own timeouts. */
import { Bitfield, Random } from '@bootswarm/stdx';
import {
  type PeerIdentity,
  type PeerMessage,
  SwarmEngine,
  type SwarmInput,
} from '@bootswarm/swarm-proto';

export const PIECE_LENGTH = 65_536;

export class LoneEngine {
  readonly engine: SwarmEngine<string>;
  /** Sent since the last call of take(), in order. */
  #said: { readonly peer: number; readonly message: PeerMessage<string> }[] = [];
  /** Pieces handed out to be sent, by peer. */
  readonly uploads: { readonly peer: number; readonly pieceIndex: number }[] = [];
  now = 1;

  constructor(pieceCount: number, node = 'self', have = new Bitfield(pieceCount)) {
    this.engine = new SwarmEngine<string>({
      shape: { pieceCount, pieceLength: PIECE_LENGTH, length: pieceCount * PIECE_LENGTH },
      node,
      isOrigin: false,
      have,
      random: new Random(1),
    });
  }

  /** Every piece it verifies is right, and kept. */
  handle(input: SwarmInput<string>): void {
    this.engine.handle(input, this.now);
    const outcomes: SwarmInput<string>[] = [];
    for (let effect = this.engine.poll(); effect; effect = this.engine.poll()) {
      if (effect.type === 'send') this.#said.push(effect);
      if (effect.type === 'upload') this.uploads.push(effect);
      if (effect.type === 'verify') {
        const { pieceIndex, peer } = effect;
        outcomes.push({ type: 'verified', pieceIndex, peer, isGood: true });
      } else if (effect.type === 'deliver') {
        outcomes.push({ type: 'stored', pieceIndex: effect.pieceIndex, isKept: true });
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

  connectNode(peer: number, node: string, isOrigin = false): void {
    this.connect(peer, { kind: 'ours', node, zone: '', rack: '', isOrigin });
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
