/**
 * Runs one engine on real wires, a real store and the real clock. Carries effects out and brings their outcomes back; decides
 * nothing that the engine could decide.
 */
import type { Metainfo, PieceLayer } from '@bootswarm/metainfo';
import {
  dialPeer,
  type PeerWire,
  type PeerWireHandlers,
  type WireSwarm,
} from '@bootswarm/peer-wire';
import { PieceChecks, type PieceStore } from '@bootswarm/piece-store';
import { Bitfield, Random } from '@bootswarm/stdx';
import {
  type EngineSnapshot,
  MemberDirectory,
  type PeerIdentity,
  SwarmEngine,
  type SwarmInput,
  type SwarmLimits,
  type SwarmMember,
  type TokenBucket,
} from '@bootswarm/swarm-proto';
import { ByteRate } from './byte-rate.ts';
import { PendingReads } from './pending-reads.ts';
import { type Upload, WireUploads } from './wire-uploads.ts';

type Input = SwarmInput<Uint8Array>;

export interface SwarmDriverOptions {
  readonly metainfo: Metainfo;
  readonly layer: PieceLayer;
  readonly store: PieceStore;
  readonly wireSwarm: WireSwarm;
  /** Name of this node. */
  readonly node: string;
  readonly isOrigin: boolean;
  readonly limits?: Partial<SwarmLimits>;
  /** Bytes of pieces that may leave, shared by the swarms of a process. */
  readonly uploadBudget?: TokenBucket;
  readonly randomSeed: number;
  /** Anything worth a log line: wires that came and went, pieces refuted, members suspected. */
  readonly onEvent: (event: SwarmEvent) => void;
  /** A mistake of ours has cost the wire to this address, and no other: to be logged. */
  readonly onMistake: (error: unknown, address: string) => void;
}

interface ReadyWire {
  readonly wire: PeerWire;
  readonly uploads: WireUploads;
}

export type SwarmEvent =
  | { readonly type: 'peer-connected'; readonly address: string; readonly identity: PeerIdentity }
  | { readonly type: 'peer-closed'; readonly address: string; readonly code: string }
  | { readonly type: 'dial-failed'; readonly key: string; readonly code: string }
  | { readonly type: 'piece-refuted'; readonly pieceIndex: number; readonly address: string }
  /** For the tracker to hear: these members do not answer, or hold up what they relay. */
  | { readonly type: 'members-suspected'; readonly nodes: readonly string[] };

const CONNECT_TIMEOUT_MS = 5_000;

export class SwarmDriver {
  readonly metainfo: Metainfo;
  readonly layer: PieceLayer;
  readonly store: PieceStore;
  readonly pending = new PendingReads();
  /** Called when a piece has become had. */
  onStored: () => void = () => {};
  readonly #engine: SwarmEngine<Uint8Array>;
  readonly #options: SwarmDriverOptions;
  readonly #checks: PieceChecks;
  readonly #wires = new Map<number, ReadyWire>();
  /** Of those, the ones that we dialled. */
  readonly #dialled = new Set<PeerWire>();
  /** Wires whose handshakes are not done. */
  readonly #unready = new Set<PeerWire>();
  readonly #inputs: Input[] = [];
  readonly #rateIn = new ByteRate();
  readonly #rateOut = new ByteRate();
  #isHandling = false;
  #isClosed = false;
  #nextPeer = 1;
  #timer: NodeJS.Timeout | undefined;
  #timerAt = Infinity;

  constructor(options: SwarmDriverOptions) {
    this.#options = options;
    this.metainfo = options.metainfo;
    this.layer = options.layer;
    this.store = options.store;
    this.#checks = new PieceChecks(options.layer, options.metainfo.pieceLength);
    this.#engine = new SwarmEngine({
      shape: {
        pieceCount: options.metainfo.pieceCount,
        pieceLength: options.metainfo.pieceLength,
        length: options.metainfo.length,
      },
      node: options.node,
      isOrigin: options.isOrigin,
      have: options.isOrigin
        ? Bitfield.full(options.metainfo.pieceCount)
        : options.store.have.clone(),
      random: new Random(options.randomSeed),
      limits: options.limits,
      uploadBudget: options.uploadBudget,
    });
  }

  get wireSwarm(): WireSwarm {
    return this.#options.wireSwarm;
  }

  snapshot(): EngineSnapshot & { bytesPerSecondIn: number; bytesPerSecondOut: number } {
    const now = performance.now();
    return {
      ...this.#engine.snapshot(),
      bytesPerSecondIn: this.#rateIn.bytesPerSecond(now),
      bytesPerSecondOut: this.#rateOut.bytesPerSecond(now),
    };
  }

  /** Takes one input; returns when all its effects are carried out or under way. */
  handle(input: Input): void {
    if (this.#isClosed) return;
    this.#inputs.push(input);
    if (this.#isHandling) return;
    this.#isHandling = true;
    try {
      for (let next = this.#inputs.shift(); next !== undefined; next = this.#inputs.shift()) {
        this.#engine.handle(next, performance.now());
        this.#drain();
      }
    } finally {
      this.#isHandling = false;
    }
    this.#arm();
  }

  setMembers(
    members: readonly SwarmMember[],
    origins: readonly { readonly host: string; readonly port: number }[],
  ): void {
    this.handle({ type: 'members', members: new MemberDirectory(members), origins });
  }

  /** Closes the wires that we dialled: for a node that has everything and only serves. Those who need us dial us. */
  hangUp(): void {
    for (const wire of this.#dialled) wire.close('everything-had');
  }

  /** The store dropped a piece it had vouched for. */
  pieceLost(pieceIndex: number): void {
    this.handle({ type: 'lost', pieceIndex });
  }

  /** Handlers for a wire of this swarm; `dialled` is the key of the engine's dial, undefined when they dialled us. */
  handlersFor(dialled: string | undefined, wireOf: () => PeerWire): PeerWireHandlers {
    let peer: number | undefined;
    return {
      onReady: (identity) => {
        const wire = wireOf();
        this.#unready.delete(wire);
        if (this.#isClosed) return wire.close('swarm-closed');
        peer = this.#nextPeer;
        this.#nextPeer += 1;
        this.#wires.set(peer, { wire, uploads: this.#uploadsOf(peer, wire) });
        if (dialled !== undefined) this.#dialled.add(wire);
        this.#options.onEvent({ type: 'peer-connected', address: wire.address, identity });
        this.handle({ type: 'peer-connected', peer, identity, dialled });
      },
      onMessage: (message) => {
        if (peer === undefined) return;
        if (message.type === 'piece') this.#rateIn.add(message.length, performance.now());
        this.handle({ type: 'message', peer, message });
      },
      onDrain: () => {
        if (peer === undefined) return;
        this.#wires.get(peer)?.uploads.onDrain();
        this.handle({ type: 'peer-drained', peer });
      },
      onClose: (code) => {
        const wire = wireOf();
        this.#unready.delete(wire);
        if (peer === undefined) {
          this.#options.onEvent({ type: 'dial-failed', key: dialled ?? wire.address, code });
          if (dialled !== undefined) this.handle({ type: 'dial-failed', key: dialled });
          return;
        }
        this.#wires.delete(peer);
        this.#dialled.delete(wire);
        this.#options.onEvent({ type: 'peer-closed', address: wire.address, code });
        this.handle({ type: 'peer-disconnected', peer });
      },
    };
  }

  /** Closes all wires; the store stays its owner's to close. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    for (const { wire } of this.#wires.values()) wire.close('swarm-closed');
    for (const wire of this.#unready) wire.close('swarm-closed');
  }

  #drain(): void {
    for (let effect = this.#engine.poll(); effect !== undefined; effect = this.#engine.poll()) {
      switch (effect.type) {
        case 'send':
          this.#wires.get(effect.peer)?.wire.send(effect.message);
          break;
        case 'upload':
          this.#upload(effect);
          break;
        case 'verify':
          this.#verify(effect.pieceIndex, effect.peer, effect.payload);
          break;
        case 'deliver':
          this.#deliver(effect.pieceIndex, effect.payload, effect.isFromOrigin, effect.isPrefetch);
          break;
        case 'dial':
          this.#dial(effect.key, effect.host, effect.port);
          break;
        case 'disconnect':
          this.#wires.get(effect.peer)?.wire.close(effect.code);
          break;
        case 'suspect':
          this.#options.onEvent({ type: 'members-suspected', nodes: effect.nodes });
          break;
      }
    }
  }

  #upload(effect: Omit<Upload, 'type' | 'isSent'>): void {
    const { peer, pieceIndex, offset, length } = effect;
    const upload: Upload = { type: 'uploaded', peer, pieceIndex, offset, length, isSent: true };
    this.#wires.get(peer)?.uploads.add(upload);
  }

  #uploadsOf(peer: number, wire: PeerWire): WireUploads {
    return new WireUploads(wire, this.store, {
      onUploaded: (upload) => {
        if (upload.isSent) this.#rateOut.add(upload.length, performance.now());
        this.handle(upload);
      },
      onCongested: () => this.handle({ type: 'peer-congested', peer }),
      onLost: (pieceIndex) => this.handle({ type: 'lost', pieceIndex }),
    });
  }

  #verify(pieceIndex: number, peer: number, payload: Uint8Array): void {
    // A guest that waits is answered in this turn.
    if (this.pending.isWaitedFor(pieceIndex)) {
      this.#verified(pieceIndex, peer, this.layer.verify(pieceIndex, payload));
    } else {
      this.#checks.check(pieceIndex, payload, (isGood) => this.#verified(pieceIndex, peer, isGood));
    }
  }

  #verified(pieceIndex: number, peer: number, isGood: boolean): void {
    if (!isGood) {
      const address = this.#wires.get(peer)?.wire.address ?? 'a closed wire';
      this.#options.onEvent({ type: 'piece-refuted', pieceIndex, address });
    }
    this.handle({ type: 'verified', pieceIndex, peer, isGood });
  }

  #deliver(
    pieceIndex: number,
    payload: Uint8Array,
    isFromOrigin: boolean,
    isPrefetch: boolean,
  ): void {
    this.pending.deliver(pieceIndex, payload, isFromOrigin ? 'origin' : 'peers');
    this.store.write(pieceIndex, payload, isPrefetch).then(
      (wasKept) => this.#stored(pieceIndex, wasKept),
      () => this.#stored(pieceIndex, false),
    );
  }

  #stored(pieceIndex: number, wasKept: boolean): void {
    // A flush may have failed since: then `lost` came before this, and the engine must not believe otherwise now.
    const isKept = wasKept && this.store.have.has(pieceIndex);
    this.handle({ type: 'stored', pieceIndex, isKept });
    if (isKept) this.onStored();
    if (!isKept || !this.pending.isWaitedFor(pieceIndex)) return;
    // Somebody asked while it was being written and no longer in memory.
    const piece = Buffer.allocUnsafeSlow(this.#lengthOf(pieceIndex));
    const again = (): void => {
      this.pieceLost(pieceIndex);
      this.handle({ type: 'demand', pieceIndex });
    };
    this.store.read(pieceIndex, 0, piece).then((isHeld) => {
      if (isHeld) this.pending.deliver(pieceIndex, piece, 'cache');
      else again();
    }, again);
  }

  #lengthOf(pieceIndex: number): number {
    const { pieceLength, length } = this.metainfo;
    return Math.min(pieceLength, length - pieceIndex * pieceLength);
  }

  #dial(key: string, host: string, port: number): void {
    const swarm = this.#options.wireSwarm;
    const handlers = this.handlersFor(key, () => wire);
    const wire: PeerWire = dialPeer({
      host,
      port,
      swarm,
      handlers,
      onMistake: this.#options.onMistake,
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
    });
    this.#unready.add(wire);
  }

  /** One timer, left alone while it fires early enough: most inputs do not change when we must wake. */
  #arm(): void {
    const at = this.#engine.timeout();
    if (at >= this.#timerAt) return;
    clearTimeout(this.#timer);
    this.#timerAt = at;
    this.#timer = setTimeout(
      () => {
        this.#timerAt = Infinity;
        if (performance.now() >= this.#engine.timeout()) this.handle({ type: 'wake' });
        else this.#arm();
      },
      Math.max(0, at - performance.now()) + 1,
    );
    this.#timer.unref();
  }
}
