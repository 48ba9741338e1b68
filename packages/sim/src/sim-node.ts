/**
 * A node of the simulator: the real engine with a virtual clock, network, disk and CPU around it. Does what swarm-driver does on
 * real sockets, and like it decides nothing that the engine decides.
 */
import { Bitfield, type Random } from '@bootswarm/stdx';
import {
  type MemberDirectory,
  type PeerIdentity,
  type PeerMessage,
  SwarmEngine,
  type SwarmInput,
  type SwarmLimits,
  type SwarmShape,
} from '@bootswarm/swarm-proto';
import { boast } from './boast.ts';
import { Fifo } from './fifo.ts';
import { bytesOfHandshake, bytesOfMessage, priorityOfMessage } from './message-size.ts';
import type { Host, Network, Stream, StreamEnd } from './network.ts';
import type { NodeLedger } from './node-ledger.ts';
import type { SimCosts } from './sim-costs.ts';
import type { SimMessage, SimPayload, SimSwarm, WireMessage } from './sim-message.ts';
import type { SimProcess } from './sim-process.ts';
import type { VirtualClock } from './virtual-clock.ts';

type Input = SwarmInput<SimPayload>;
type OursIdentity = Extract<PeerIdentity, { kind: 'ours' }>;

export interface SimNodeOptions {
  readonly clock: VirtualClock;
  readonly network: Network<SimMessage>;
  readonly host: Host;
  /** Which may run another engine. */
  readonly process: SimProcess;
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
  /** A poisoner sends wrong bytes; a liar says it has everything and answers nothing. */
  readonly character: 'honest' | 'poisoner' | 'liar';
  readonly ledger: NodeLedger;
}

type Upload = Extract<ReturnType<SwarmEngine<SimPayload>['poll']>, { type: 'upload' }>;

/** Learns from what happens on the node. */
export interface NodeWatcher {
  onRead(guest: object, pieces: readonly number[]): void;
  onStored(): void;
}

interface Wire {
  readonly peer: number;
  /** The key of our dial, if we dialled. */
  readonly dialled: string | undefined;
  stream: Stream<SimMessage> | undefined;
  peerNode: string;
  isReady: boolean;
}

/** What the CPU is to do: take in a message, or send a piece. */
type Task =
  | { readonly wire: Wire; readonly message: WireMessage; next: Task | undefined }
  | { readonly wire: undefined; readonly upload: Upload; next: Task | undefined };

interface Waiter {
  missing: number;
  readonly done: () => void;
}

export class SimNode {
  readonly name: string;
  readonly host: Host;
  readonly ledger: NodeLedger;
  readonly engine: SwarmEngine<SimPayload>;
  readonly options: SimNodeOptions;
  readonly #clock: VirtualClock;
  /** In the order in which the CPU will have done them, one event for each. */
  readonly #tasks = new Fifo<Task>();
  /** By peer, numbered from 1 on; undefined before its handshake and after its end. */
  readonly #wires: (Wire | undefined)[] = [undefined];
  readonly #waiters = new Map<number, Waiter[]>();
  /** Of an origin: pieces it has read and verified before. */
  readonly #read: Bitfield;
  /** Verified and readable, not yet recorded as had. */
  readonly #storing = new Set<number>();
  readonly #verified: Extract<Input, { type: 'verified' }>[] = [];
  readonly #shapeBytes: number;
  #armedAt = Infinity;
  /** What came, and what guests asked, before open(). */
  #early: (() => void)[] = [];
  isOpen: boolean;
  isStopped = false;
  /** For whoever speaks to the tracker. */
  onSuspect: (nodes: readonly string[]) => void = () => {};
  /** Told of guests' reads, and of pieces that are now had. */
  watcher: NodeWatcher | undefined;
  /** Reads by where the last missing piece came from. */
  readonly stalls = { peers: 0, origin: 0 };

  constructor(options: SimNodeOptions) {
    const { shape, name, isOrigin, have, random, limits } = options;
    this.options = options;
    this.#clock = options.clock;
    this.name = name;
    this.host = options.host;
    this.ledger = options.ledger;
    this.engine = new SwarmEngine({ shape, node: name, isOrigin, have, random, limits });
    this.#read = new Bitfield(isOrigin ? shape.pieceCount : 0);
    this.#shapeBytes = Bitfield.byteLength(shape.pieceCount);
    this.isOpen = options.isOpen;
    options.process.accept(options.swarm, () => this.#endFor(undefined));
  }

  /** The piece layer is known. */
  open(): void {
    this.isOpen = true;
    const early = this.#early;
    this.#early = [];
    for (const act of early) act();
  }

  setMembers(
    members: MemberDirectory,
    origins: readonly { readonly host: string; readonly port: number }[],
  ): void {
    this.input({ type: 'members', members, origins });
  }

  /** Nothing reaches the engine any more: the process is gone. */
  stop(): void {
    this.isStopped = true;
    this.#wires.fill(undefined);
    this.#waiters.clear();
  }

  /** As stop(), of a process that goes on. */
  shut(): void {
    for (const wire of this.#wires) wire?.stream?.close('swarm-closed');
    this.stop();
  }

  /** Closes the wires that it dialled: it has everything and only serves, and who needs it dials it. */
  hangUp(): void {
    for (const wire of this.#wires) {
      if (wire?.dialled !== undefined) this.#disconnect(wire.peer, 'everything-had');
    }
  }

  /** Calls `done` when every piece of the list is here; at once, within the call, when all are. */
  read(pieces: readonly number[], guest: object, done: () => void): void {
    // Of what has no piece layer yet, not even the zeros are known.
    if (!this.isOpen) {
      this.#early.push(() => this.read(pieces, guest, done));
      return;
    }
    this.watcher?.onRead(guest, pieces);
    const waiter: Waiter = { missing: 0, done };
    const { have } = this.engine.snapshot();
    for (const pieceIndex of pieces) {
      if (have.has(pieceIndex) || this.#storing.has(pieceIndex)) continue;
      waiter.missing += 1;
      const others = this.#waiters.get(pieceIndex);
      if (others) others.push(waiter);
      else this.#waiters.set(pieceIndex, [waiter]);
    }
    for (const pieceIndex of pieces) {
      if (this.#waiters.has(pieceIndex)) this.input({ type: 'demand', pieceIndex });
    }
    this.watcher?.onRead(guest, pieces);
    if (waiter.missing === 0) done();
  }

  input(input: Input): void {
    if (this.isStopped) return;
    if (!this.isOpen) {
      this.#early.push(() => this.input(input));
      return;
    }
    // The process stands still with its host: what its timers and CPU led to, it does when it thaws.
    if (this.host.isFrozen) return this.host.whenAwake(() => this.input(input));
    this.#handle(input);
    // Hashing costs no time of its own here: its outcome is the next input, and no event.
    for (let next = this.#verified.shift(); next !== undefined; next = this.#verified.shift()) {
      const { isGood, peer } = next;
      if (!isGood) this.ledger.onRefuted(peer);
      this.#handle(next);
      if (!isGood) this.ledger.onRefutedHandled();
    }
    this.#arm();
  }

  #handle(input: Input): void {
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
        case 'suspect':
          this.onSuspect(effect.nodes);
          break;
      }
    }
  }

  // --- wires -----------------------------------------------------------------------------------------------------------

  #dial(key: string, host: string): void {
    const { network } = this.options;
    network.dial(this.host, host, this.#endFor(key));
  }

  #endFor(dialled: string | undefined): StreamEnd<SimMessage> {
    const peer = this.#wires.push(undefined) - 1;
    const wire: Wire = { peer, dialled, stream: undefined, peerNode: '', isReady: false };
    return {
      onOpen: (stream: Stream<SimMessage>): void => {
        if (this.isStopped) return stream.close('stopped');
        wire.stream = stream;
        const identity = this.#identity();
        const { swarm } = this.options;
        stream.send({ type: 'handshake', identity, swarm }, bytesOfHandshake(identity), 0);
      },
      onMessage: (message: SimMessage): void => {
        if (this.isStopped) return;
        const mine = message as WireMessage;
        this.#afterCpu(this.#costOf(mine), { wire, message: mine, next: undefined });
      },
      onDrain: (): void => {
        if (wire.isReady) this.input({ type: 'peer-drained', peer });
      },
      onClose: (): void => {
        wire.stream = undefined;
        this.#wires[peer] = undefined;
        this.ledger.onDisconnected(peer);
        if (wire.isReady) this.input({ type: 'peer-disconnected', peer });
        else if (dialled !== undefined) this.input({ type: 'dial-failed', key: dialled });
      },
    };
  }

  #identity(): OursIdentity {
    const { name, zone, rack, isOrigin } = this.options;
    return { kind: 'ours', node: name, zone, rack, isOrigin };
  }

  #onMessage(wire: Wire, message: WireMessage): void {
    const { peer, dialled, stream } = wire;
    if (stream === undefined) return;
    const { ledger } = this;
    const { character } = this.options;
    if (message.type !== 'handshake') {
      if (character === 'liar' && message.type === 'request') return;
      ledger.onReceived(peer, message);
      this.input({ type: 'message', peer, message });
      return;
    }
    wire.isReady = true;
    this.#wires[peer] = wire;
    if (message.identity.kind === 'ours') wire.peerNode = message.identity.node;
    ledger.onConnected(peer, wire.peerNode);
    this.input({ type: 'peer-connected', peer, identity: message.identity, dialled });
    ledger.onPeers(this.engine.snapshot().peers);
  }

  #send(peer: number, message: PeerMessage<SimPayload>, isDemandPiece: boolean): void {
    const stream = this.#wires[peer]?.stream;
    if (stream === undefined) return;
    const said = this.options.character === 'liar' ? boast(message) : message;
    this.ledger.onSent(peer, said);
    const bytes = bytesOfMessage(said, this.#shapeBytes);
    stream.send(said, bytes, priorityOfMessage(said, isDemandPiece));
    if (stream.isCongested && message.type === 'piece') {
      this.#clock.after(0, () => this.input({ type: 'peer-congested', peer }));
    }
  }

  #disconnect(peer: number, code: string): void {
    const wire = this.#wires[peer];
    if (wire === undefined) return;
    const { ledger } = this;
    if (code === 'piece-refuted') ledger.onBan(wire.peerNode);
    ledger.onDisconnected(peer);
    this.#wires[peer] = undefined;
    wire.stream?.close(code);
    wire.stream = undefined;
    this.#clock.after(0, () => this.input({ type: 'peer-disconnected', peer }));
  }

  // --- pieces ----------------------------------------------------------------------------------------------------------

  #upload(upload: Upload): void {
    const { costs, isOrigin } = this.options;
    const { peer, pieceIndex, length } = upload;
    this.ledger.onUpload(peer, pieceIndex);
    let costMs = costs.messageMs + length * costs.sendMsPerByte;
    if (isOrigin && this.#read.set(pieceIndex)) {
      costMs += costs.firstReadPieceMs + length * costs.firstReadMsPerByte;
    }
    this.#afterCpu(costMs, { wire: undefined, upload, next: undefined });
  }

  #sendPiece({ peer, pieceIndex, offset, length, pieceClass }: Upload): void {
    const payload: SimPayload = this.options.character === 'poisoner' ? 'bad' : 'good';
    const message = { type: 'piece', pieceIndex, offset, length, payload } as const;
    this.ledger.onUploaded(peer);
    this.#send(peer, message, pieceClass === 'demand');
    this.input({ type: 'uploaded', peer, pieceIndex, offset, length, isSent: true });
  }

  #verify(pieceIndex: number, peer: number, payload: SimPayload): void {
    const isGood = payload === 'good';
    // Its cost was counted with the message.
    this.#verified.push({ type: 'verified', pieceIndex, peer, isGood });
  }

  #deliver(pieceIndex: number, payload: SimPayload, isFromOrigin: boolean): void {
    const { costs } = this.options;
    this.ledger.onDeliver(pieceIndex, payload, isFromOrigin);
    this.#storing.add(pieceIndex);
    this.#clock.after(costs.storeMs, this.#onStored);
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

  /** The first in is the first to be stored: all take the same time. */
  readonly #onStored = (): void => {
    for (const pieceIndex of this.#storing) {
      this.#storing.delete(pieceIndex);
      this.input({ type: 'stored', pieceIndex, isKept: true });
      this.watcher?.onStored();
      return;
    }
  };

  // --- time ------------------------------------------------------------------------------------------------------------

  #costOf(message: WireMessage): number {
    const { costs } = this.options;
    if (message.type !== 'piece') return costs.messageMs;
    return costs.messageMs + costs.receivePieceMs + message.length * costs.receiveMsPerByte;
  }

  #afterCpu(costMs: number, task: Task): void {
    this.#tasks.push(task);
    const { cpu } = this.options.process;
    this.#clock.at(cpu.spend(this.#clock.now, costMs), this.#onCpuDone);
  }

  readonly #onCpuDone = (): void => {
    const task = this.#tasks.shift()!;
    if (this.isStopped) return;
    if (task.wire === undefined) this.#sendPiece(task.upload);
    else this.#onMessage(task.wire, task.message);
  };

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
