/**
 * A node of the simulator: the real engine with a virtual clock, network, disk and CPU around it. Does what swarm-driver does on
 * real sockets, and like it decides nothing that the engine decides.
 */
import { Bitfield, type Random } from '@bootswarm/stdx';
import {
  type PeerIdentity,
  type PeerMessage,
  SwarmEngine,
  type SwarmInput,
  type SwarmLimits,
  type SwarmMember,
  type SwarmShape,
} from '@bootswarm/swarm-proto';
import type { TraceRead } from './boot-trace.ts';
import type { Guest, GuestDisk } from './guest.ts';
import { bytesOfMessage, priorityOfMessage } from './message-size.ts';
import type { Host, Network, Stream, StreamEnd } from './network.ts';
import type { Cpu, SimCosts } from './sim-costs.ts';
import type { SimMessage, SimPayload, SimSwarm, WireMessage } from './sim-message.ts';
import type { SwarmPort } from './swarm-port.ts';
import type { VirtualClock } from './virtual-clock.ts';

type Input = SwarmInput<SimPayload>;

/** BEP 3 handshake, and the extended one with our fields. */
const HANDSHAKE_BYTES = 68 + 160;

export interface SimNodeOptions {
  readonly clock: VirtualClock;
  readonly network: Network<SimMessage>;
  readonly host: Host;
  readonly port: SwarmPort;
  /** Of the process, which may run another engine. */
  readonly cpu: Cpu;
  readonly swarm: SimSwarm;
  /** False: peers may come and say what they like, and nothing is heard before open(). */
  readonly isOpen: boolean;
  readonly name: string;
  readonly zone: string;
  readonly rack: string;
  readonly isOrigin: boolean;
  readonly shape: SwarmShape;
  readonly have: Bitfield;
  readonly random: Random;
  readonly costs: SimCosts;
  readonly limits?: Partial<SwarmLimits>;
  /** A peer that sends wrong bytes. */
  readonly isPoisoner: boolean;
  readonly checker: NodeChecker;
}

/** What the checkers are told, as it happens. */
export interface NodeChecker {
  /** A piece reaches guests and the store. */
  onDeliver(node: SimNode, pieceIndex: number, payload: SimPayload, isFromOrigin: boolean): void;
  onUpload(node: SimNode, pieceIndex: number, isHeld: boolean): void;
  onBan(node: SimNode, peerNode: string): void;
}

interface Wire {
  stream: Stream<SimMessage> | undefined;
  peerNode: string;
  isReady: boolean;
}

interface Waiter {
  missing: number;
  readonly done: () => void;
}

export class SimNode implements GuestDisk {
  readonly name: string;
  readonly host: Host;
  readonly engine: SwarmEngine<SimPayload>;
  readonly #options: SimNodeOptions;
  readonly #clock: VirtualClock;
  readonly #wires = new Map<number, Wire>();
  readonly #waiters = new Map<number, Waiter[]>();
  /** Verified and readable, not yet recorded as had. */
  readonly #storing = new Set<number>();
  readonly #shapeBytes: number;
  #nextPeer = 1;
  #armedAt = Infinity;
  /** What came before open(). */
  readonly #early: Input[] = [];
  isOpen: boolean;
  isStopped = false;
  /** Distinct pieces guests touched. */
  readonly touched: Bitfield;
  /** Reads by where the last missing piece came from. */
  readonly stalls = { peers: 0, origin: 0 };

  constructor(options: SimNodeOptions) {
    const { shape, name, isOrigin, have, random, limits } = options;
    this.#options = options;
    this.#clock = options.clock;
    this.name = name;
    this.host = options.host;
    this.engine = new SwarmEngine({ shape, node: name, isOrigin, have, random, limits });
    this.touched = new Bitfield(shape.pieceCount);
    this.#shapeBytes = Bitfield.byteLength(shape.pieceCount);
    this.isOpen = options.isOpen;
    options.port.add(options.swarm, (stream) => this.#accept(stream));
  }

  /** The piece layer is known. */
  open(): void {
    this.isOpen = true;
    for (const input of this.#early.splice(0)) this.input(input);
  }

  setMembers(
    members: readonly SwarmMember[],
    origins: readonly { readonly host: string; readonly port: number }[],
  ): void {
    this.input({ type: 'members', members, origins });
  }

  /** Nothing reaches the engine any more: the process is gone. */
  stop(): void {
    this.isStopped = true;
    this.#wires.clear();
    this.#waiters.clear();
  }

  read(_guest: Guest, pieces: readonly number[], _read: TraceRead, done: () => void): void {
    const waiter: Waiter = { missing: 0, done };
    const { have } = this.engine.snapshot();
    for (const pieceIndex of pieces) {
      this.touched.set(pieceIndex);
      if (have.has(pieceIndex) || this.#storing.has(pieceIndex)) continue;
      waiter.missing += 1;
      const others = this.#waiters.get(pieceIndex);
      if (others) others.push(waiter);
      else this.#waiters.set(pieceIndex, [waiter]);
    }
    if (waiter.missing === 0) return done();
    for (const pieceIndex of pieces) {
      if (this.#waiters.has(pieceIndex)) this.input({ type: 'demand', pieceIndex });
    }
  }

  input(input: Input): void {
    if (this.isStopped) return;
    if (!this.isOpen) {
      this.#early.push(input);
      return;
    }
    this.engine.handle(input, this.#clock.now);
    for (let effect = this.engine.poll(); effect !== undefined; effect = this.engine.poll()) {
      switch (effect.type) {
        case 'send':
          this.#send(effect.peer, effect.message, false);
          break;
        case 'upload':
          this.#upload(effect);
          break;
        case 'verify':
          this.#verify(effect.pieceIndex, effect.peer, effect.payload);
          break;
        case 'deliver':
          this.#deliver(effect.pieceIndex, effect.payload, effect.isFromOrigin);
          break;
        case 'dial':
          this.#dial(effect.key, effect.host);
          break;
        case 'disconnect':
          this.#disconnect(effect.peer, effect.code);
          break;
      }
    }
    this.#arm();
  }

  // --- wires -----------------------------------------------------------------------------------------------------------

  #accept(stream: Stream<SimMessage>): StreamEnd<SimMessage> {
    const end = this.#endFor(undefined);
    end.onOpen(stream);
    return end;
  }

  #dial(key: string, host: string): void {
    const { network } = this.#options;
    network.dial(this.host, host, this.#endFor(key));
  }

  #endFor(dialled: string | undefined): StreamEnd<SimMessage> {
    const peer = this.#nextPeer;
    this.#nextPeer += 1;
    const wire: Wire = { stream: undefined, peerNode: '', isReady: false };
    return {
      onOpen: (stream: Stream<SimMessage>): void => {
        if (this.isStopped) return stream.close('stopped');
        wire.stream = stream;
        const { swarm } = this.#options;
        stream.send({ type: 'handshake', identity: this.#identity(), swarm }, HANDSHAKE_BYTES, 0);
      },
      onMessage: (message: SimMessage): void => {
        if (this.isStopped) return;
        const mine = message as WireMessage;
        this.#afterCpu(this.#costOf(mine), () => this.#onMessage(peer, wire, dialled, mine));
      },
      onDrain: (): void => {
        if (wire.isReady) this.input({ type: 'peer-drained', peer });
      },
      onClose: (): void => {
        wire.stream = undefined;
        this.#wires.delete(peer);
        if (wire.isReady) this.input({ type: 'peer-disconnected', peer });
        else if (dialled !== undefined) this.input({ type: 'dial-failed', key: dialled });
      },
    };
  }

  #identity(): PeerIdentity {
    const { name, zone, rack, isOrigin } = this.#options;
    return { kind: 'ours', node: name, zone, rack, isOrigin };
  }

  #onMessage(peer: number, wire: Wire, dialled: string | undefined, message: WireMessage): void {
    if (wire.stream === undefined) return;
    if (message.type !== 'handshake') {
      this.input({ type: 'message', peer, message });
      return;
    }
    wire.isReady = true;
    this.#wires.set(peer, wire);
    if (message.identity.kind === 'ours') wire.peerNode = message.identity.node;
    this.input({ type: 'peer-connected', peer, identity: message.identity, dialled });
  }

  #send(peer: number, message: PeerMessage<SimPayload>, isDemandPiece: boolean): void {
    const stream = this.#wires.get(peer)?.stream;
    if (stream === undefined) return;
    const bytes = bytesOfMessage(message, this.#shapeBytes);
    stream.send(message, bytes, priorityOfMessage(message, isDemandPiece));
    if (stream.isCongested && message.type === 'piece') {
      this.#clock.after(0, () => this.input({ type: 'peer-congested', peer }));
    }
  }

  #disconnect(peer: number, code: string): void {
    const wire = this.#wires.get(peer);
    if (wire === undefined) return;
    if (code === 'piece-refuted') this.#options.checker.onBan(this, wire.peerNode);
    this.#wires.delete(peer);
    wire.stream?.close(code);
    wire.stream = undefined;
    this.#clock.after(0, () => this.input({ type: 'peer-disconnected', peer }));
  }

  // --- pieces ----------------------------------------------------------------------------------------------------------

  #upload(effect: Extract<ReturnType<SwarmEngine<SimPayload>['poll']>, { type: 'upload' }>): void {
    const { costs, checker, isPoisoner } = this.#options;
    const { peer, pieceIndex, offset, length, pieceClass } = effect;
    const isHeld = this.engine.snapshot().have.has(pieceIndex) || this.#storing.has(pieceIndex);
    checker.onUpload(this, pieceIndex, isHeld);
    this.#afterCpu(costs.messageMs + length * costs.sendMsPerByte, () => {
      const payload: SimPayload = isPoisoner ? 'bad' : 'good';
      const message = { type: 'piece', pieceIndex, offset, length, payload } as const;
      this.#send(peer, message, pieceClass === 'demand');
      this.input({ type: 'uploaded', peer, pieceIndex, offset, length, isSent: true });
    });
  }

  #verify(pieceIndex: number, peer: number, payload: SimPayload): void {
    // Its cost was counted with the message.
    this.#clock.after(0, () =>
      this.input({ type: 'verified', pieceIndex, peer, isGood: payload === 'good' }),
    );
  }

  #deliver(pieceIndex: number, payload: SimPayload, isFromOrigin: boolean): void {
    const { checker, costs } = this.#options;
    checker.onDeliver(this, pieceIndex, payload, isFromOrigin);
    this.#storing.add(pieceIndex);
    this.#clock.after(costs.storeMs, () => {
      this.#storing.delete(pieceIndex);
      this.input({ type: 'stored', pieceIndex, isKept: true });
    });
    const waiters = this.#waiters.get(pieceIndex);
    if (waiters === undefined) return;
    this.#waiters.delete(pieceIndex);
    for (const waiter of waiters) {
      waiter.missing -= 1;
      if (waiter.missing > 0) continue;
      this.stalls[isFromOrigin ? 'origin' : 'peers'] += 1;
      this.#clock.after(0, waiter.done);
    }
  }

  // --- time ------------------------------------------------------------------------------------------------------------

  #costOf(message: WireMessage): number {
    const { costs } = this.#options;
    const bytes = message.type === 'piece' ? message.length : 0;
    return costs.messageMs + bytes * costs.receiveMsPerByte;
  }

  #afterCpu(costMs: number, act: () => void): void {
    const doneAt = this.#options.cpu.spend(this.#clock.now, costMs);
    this.#clock.at(doneAt, () => {
      if (!this.isStopped) act();
    });
  }

  #arm(): void {
    const at = this.engine.timeout();
    if (at >= this.#armedAt) return;
    this.#armedAt = at;
    this.#clock.at(Math.max(at, this.#clock.now), () => {
      if (this.#armedAt !== at) return;
      this.#armedAt = Infinity;
      if (this.engine.timeout() <= this.#clock.now) this.input({ type: 'wake' });
      else this.#arm();
    });
  }
}
