/** Several engines in one virtual world: messages take a fixed latency, pieces a fixed time each on the sender's uplink. */
import { Bitfield, Random } from '@bootswarm/stdx';
import {
  MemberDirectory,
  type PeerMessage,
  SwarmEngine,
  type SwarmInput,
  type SwarmLimits,
  type SwarmMember,
} from '@bootswarm/swarm-proto';

const PIECE_LENGTH = 65_536;
/** Whether the payload is what the image holds; the virtual world moves verdicts instead of bytes. */
export type VirtualPayload = 'good' | 'bad';
type Input = SwarmInput<VirtualPayload>;

interface Wire {
  readonly from: VirtualNode;
  readonly to: VirtualNode;
  readonly fromPeer: number;
  readonly toPeer: number;
  isOpen: boolean;
}

export class VirtualNode {
  readonly name: string;
  readonly engine: SwarmEngine<VirtualPayload>;
  readonly wires = new Map<number, Wire>();
  /** Uplink is busy until then. */
  busyUntil = 0;
  /** Takes nothing in and lets nothing out. */
  isFrozen = false;
  /** Bytes per ms that padding takes to leave; pieces take the swarm's time. */
  uplink = Infinity;
  /** Sends wrong bytes. */
  isPoisoner = false;
  /** Pieces sent, by piece. */
  readonly sent = new Map<number, number>();
  readonly delivered = new Map<number, number>();
  /** Nodes it has told the tracker of. */
  readonly suspected: string[] = [];
  /** Messages it has sent, by type. */
  readonly said = new Map<string, number>();

  constructor(name: string, engine: SwarmEngine<VirtualPayload>) {
    this.name = name;
    this.engine = engine;
  }

  get sentCount(): number {
    let sum = 0;
    for (const count of this.sent.values()) sum += count;
    return sum;
  }
}

export class VirtualSwarm {
  readonly pieceCount: number;
  readonly origin: VirtualNode;
  readonly nodes: VirtualNode[] = [];
  now = 0;
  readonly #latencyMs: number;
  readonly #pieceMs: number;
  readonly #byAddress = new Map<string, VirtualNode>();
  readonly #queue: { at: number; order: number; run: () => void }[] = [];
  #order = 0;
  #nextPeer = 1;
  readonly #seed: number;
  readonly #limits: Partial<SwarmLimits>;

  constructor(options: {
    pieceCount: number;
    seed?: number;
    latencyMs?: number;
    pieceMs?: number;
    limits?: Partial<SwarmLimits>;
  }) {
    this.pieceCount = options.pieceCount;
    this.#seed = options.seed ?? 1;
    this.#latencyMs = options.latencyMs ?? 1;
    this.#pieceMs = options.pieceMs ?? 0.5;
    this.#limits = options.limits ?? {};
    this.origin = this.#make('origin', true, Bitfield.full(this.pieceCount));
  }

  add(name: string, have = new Bitfield(this.pieceCount)): VirtualNode {
    const node = this.#make(name, false, have);
    this.nodes.push(node);
    return node;
  }

  /** The tracker tells everybody the present member order. */
  announceMembers(): void {
    const members: SwarmMember[] = this.nodes.map(({ name }, place) => ({
      node: name,
      zone: 'z',
      rack: 'r',
      place,
      host: name,
      port: 1,
    }));
    const directory = new MemberDirectory(members);
    for (const node of this.nodes) {
      this.input(node, {
        type: 'members',
        members: directory,
        origins: [{ host: 'origin', port: 1 }],
      });
    }
  }

  input(node: VirtualNode, input: Input): void {
    node.engine.handle(input, this.now);
    this.#drain(node);
  }

  /** All wires of a node break and nobody can dial it any more. */
  crash(node: VirtualNode): void {
    node.isFrozen = true;
    this.#byAddress.delete(node.name);
    for (const wire of [...node.wires.values()]) this.#close(wire);
  }

  thaw(node: VirtualNode): void {
    node.isFrozen = false;
    this.#drain(node);
    this.#arm(node);
  }

  /** Runs until `isDone` holds or virtual time passes `until`; returns whether it held. */
  run(until: number, isDone: () => boolean = () => false): boolean {
    while (!isDone()) {
      if (this.#queue.length === 0 || this.#queue[0].at > until) return isDone();
      const next = this.#pop();
      this.now = Math.max(this.now, next.at);
      next.run();
    }
    return true;
  }

  #make(name: string, isOrigin: boolean, have: Bitfield): VirtualNode {
    const shape = {
      pieceCount: this.pieceCount,
      pieceLength: PIECE_LENGTH,
      length: this.pieceCount * PIECE_LENGTH,
    };
    const random = new Random(this.#seed * 1_000 + this.nodes.length);
    const limits = isOrigin ? { ...this.#limits, peersMax: 4_096 } : this.#limits;
    const engine = new SwarmEngine<VirtualPayload>({
      shape,
      node: name,
      isOrigin,
      have,
      random,
      limits,
    });
    const node = new VirtualNode(name, engine);
    this.#byAddress.set(name, node);
    return node;
  }

  #drain(node: VirtualNode): void {
    for (let effect = node.engine.poll(); effect !== undefined; effect = node.engine.poll()) {
      switch (effect.type) {
        case 'send':
          this.#say(node, effect.peer, effect.message);
          break;
        case 'suspect':
          node.suspected.push(...effect.nodes);
          break;
        case 'upload': {
          const payload = node.isPoisoner ? 'bad' : 'good';
          const { peer, pieceIndex, offset, length } = effect;
          node.sent.set(pieceIndex, (node.sent.get(pieceIndex) ?? 0) + 1);
          node.busyUntil = Math.max(node.busyUntil, this.now) + this.#pieceMs;
          const message = { type: 'piece', pieceIndex, offset, length, payload } as const;
          this.#transmit(node, peer, message, node.busyUntil - this.now);
          this.#at(node.busyUntil, () =>
            this.input(node, { type: 'uploaded', peer, pieceIndex, offset, length, isSent: true }),
          );
          break;
        }
        case 'verify': {
          const { pieceIndex, peer, payload } = effect;
          const isGood = payload === 'good';
          this.#at(this.now, () =>
            this.input(node, { type: 'verified', pieceIndex, peer, isGood }),
          );
          break;
        }
        case 'deliver': {
          const { pieceIndex } = effect;
          if (effect.payload !== 'good') throw new Error(`wrong bytes delivered at ${node.name}`);
          node.delivered.set(pieceIndex, (node.delivered.get(pieceIndex) ?? 0) + 1);
          this.#at(this.now, () => this.input(node, { type: 'stored', pieceIndex, isKept: true }));
          break;
        }
        case 'dial':
          this.#dial(node, effect.key, effect.host);
          break;
        case 'disconnect': {
          const wire = node.wires.get(effect.peer);
          if (wire) this.#close(wire);
          break;
        }
      }
    }
    this.#arm(node);
  }

  #say(node: VirtualNode, peer: number, message: PeerMessage<VirtualPayload>): void {
    node.said.set(message.type, (node.said.get(message.type) ?? 0) + 1);
    const padding = message.type === 'ping' ? message.padding : 0;
    this.#transmit(node, peer, message, padding / node.uplink);
  }

  #dial(from: VirtualNode, key: string, host: string): void {
    this.#at(this.now + 2 * this.#latencyMs, () => {
      const to = this.#byAddress.get(host);
      if (to === undefined || to.isFrozen) {
        this.input(from, { type: 'dial-failed', key });
        return;
      }
      const wire = {
        from,
        to,
        fromPeer: this.#nextPeer++,
        toPeer: this.#nextPeer++,
        isOpen: true,
      };
      from.wires.set(wire.fromPeer, wire);
      to.wires.set(wire.toPeer, wire);
      this.#connected(to, wire.toPeer, from, undefined);
      this.#connected(from, wire.fromPeer, to, key);
    });
  }

  #connected(node: VirtualNode, peer: number, other: VirtualNode, dialled?: string): void {
    const identity = {
      kind: 'ours',
      node: other.name,
      zone: 'z',
      rack: 'r',
      isOrigin: other === this.origin,
    } as const;
    this.input(node, { type: 'peer-connected', peer, identity, dialled });
  }

  #close(wire: Wire): void {
    if (!wire.isOpen) return;
    wire.isOpen = false;
    wire.from.wires.delete(wire.fromPeer);
    wire.to.wires.delete(wire.toPeer);
    this.#at(this.now, () => {
      this.input(wire.from, { type: 'peer-disconnected', peer: wire.fromPeer });
      this.input(wire.to, { type: 'peer-disconnected', peer: wire.toPeer });
    });
  }

  #transmit(
    node: VirtualNode,
    peer: number,
    message: PeerMessage<VirtualPayload>,
    delayMs: number,
  ): void {
    const wire = node.wires.get(peer);
    if (wire === undefined) return;
    const isForward = wire.from === node;
    const to = isForward ? wire.to : wire.from;
    const toPeer = isForward ? wire.toPeer : wire.fromPeer;
    this.#at(this.now + delayMs + this.#latencyMs, () => {
      if (wire.isOpen && !to.isFrozen && !node.isFrozen) {
        this.input(to, { type: 'message', peer: toPeer, message });
      }
    });
  }

  /** Wakes the engine when it wants to be. */
  #arm(node: VirtualNode): void {
    const at = node.engine.timeout();
    if (at === Infinity) return;
    this.#at(Math.max(at, this.now), () => {
      if (!node.isFrozen && node.engine.timeout() <= this.now) this.input(node, { type: 'wake' });
    });
  }

  #at(at: number, run: () => void): void {
    this.#queue.push({ at, order: this.#order++, run });
    this.#up(this.#queue.length - 1);
  }

  #pop(): { at: number; run: () => void } {
    const first = this.#queue[0];
    const last = this.#queue.pop();
    if (last !== undefined && this.#queue.length > 0) {
      this.#queue[0] = last;
      this.#down(0);
    }
    return first;
  }

  #isBefore(a: number, b: number): boolean {
    const x = this.#queue[a];
    const y = this.#queue[b];
    return x.at < y.at || (x.at === y.at && x.order < y.order);
  }

  #up(start: number): void {
    for (let child = start; child > 0; ) {
      const parent = (child - 1) >> 1;
      if (!this.#isBefore(child, parent)) return;
      this.#exchange(child, parent);
      child = parent;
    }
  }

  #down(start: number): void {
    for (let parent = start; ; ) {
      let least = parent;
      for (const child of [2 * parent + 1, 2 * parent + 2]) {
        if (child < this.#queue.length && this.#isBefore(child, least)) least = child;
      }
      if (least === parent) return;
      this.#exchange(parent, least);
      parent = least;
    }
  }

  #exchange(a: number, b: number): void {
    const held = this.#queue[a];
    this.#queue[a] = this.#queue[b];
    this.#queue[b] = held;
  }
}
