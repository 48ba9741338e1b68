/** All swarms of one process: one peer listener, one identity, one driver per swarm. */
import { randomBytes } from 'node:crypto';
import { hashesFor, type Metainfo, type PieceLayer } from '@bootswarm/metainfo';
import {
  makeFrameBuffers,
  makePeerId,
  PEER_ID_RANDOM_BYTES,
  PeerListener,
  type WireSwarm,
} from '@bootswarm/peer-wire';
import type { PieceStore } from '@bootswarm/piece-store';
import { assert, BufferPool } from '@bootswarm/stdx';
import { type SwarmLimits, TokenBucket } from '@bootswarm/swarm-proto';
import { SwarmDriver, type SwarmEvent } from './swarm-driver.ts';
import { SwarmLobby } from './swarm-lobby.ts';

export interface SwarmHostOptions {
  /** Where peers may dial us; port 0 lets the system choose. `fd`: a socket bound there, which a parent holds. */
  readonly listen: { readonly host: string; readonly port: number; readonly fd?: number };
  readonly self: WireSwarm['self'];
  /** Whether BitTorrent clients other than ours may join. */
  readonly foreignPeersAllowed: boolean;
  /** Open incoming wires over all swarms. */
  readonly connectionsMax?: number;
  readonly onEvent: (imageId: string, event: SwarmEvent) => void;
  /** A mistake of ours has cost the wire to this address, and no other: to be logged. */
  readonly onMistake: (error: unknown, address: string) => void;
}

/** What may leave at once after a quiet time, at a limited rate: little enough that the next demand waits for no more. */
const UPLOAD_BURST_MS = 20;

/** BEP 52 puts only the first 20 bytes of the infohash into the handshake. */
const SHORT_INFO_HASH_LENGTH = 20;

export class SwarmHost {
  readonly #options: SwarmHostOptions;
  readonly #drivers = new Map<string, SwarmDriver>();
  /** Of swarms that are to be opened. */
  readonly #lobbies = new Map<string, SwarmLobby>();
  readonly #uploadBudget = new TokenBucket(Infinity, Infinity);
  #listener: PeerListener | undefined;

  constructor(options: SwarmHostOptions) {
    this.#options = options;
  }

  /** Starts to accept peers; returns where. Throws OperatorError `peer-port-unavailable`. */
  async listen(): Promise<{ host: string; port: number }> {
    const { listen, connectionsMax, onMistake } = this.#options;
    this.#listener = await PeerListener.listen({
      ...listen,
      connectionsMax,
      onMistake,
      // As many may be shaking hands as may stay: a storm begins with everybody dialling the origin.
      unidentifiedMax: connectionsMax,
      lookup: (imageId) => {
        const driver = this.#drivers.get(imageId);
        if (driver === undefined) return this.#lobbies.get(imageId);
        return {
          swarm: driver.wireSwarm,
          handlersFor: (wire) => driver.handlersFor(undefined, () => wire),
        };
      },
    });
    return { host: listen.host, port: this.#listener.port };
  }

  /** Over all swarms; Infinity lifts the limit. Within each, demand goes before prefetch. */
  limitUploads(bytesPerSecond: number): void {
    const perMs = bytesPerSecond / 1_000;
    this.#uploadBudget.reset(perMs, perMs * UPLOAD_BURST_MS, performance.now());
  }

  /**
   * The swarm will be opened: peers that dial us for it before that are kept waiting, and what they ask. Without it they are
   * turned away, and come back later than they need to.
   */
  expect(metainfo: Metainfo): void {
    const { imageId } = metainfo;
    if (this.#drivers.has(imageId) || this.#lobbies.has(imageId)) return;
    this.#lobbies.set(imageId, new SwarmLobby(this.#wireSwarmOf(metainfo)));
  }

  /** Joins a swarm. The store stays the caller's to close, after shut(). */
  open(options: {
    metainfo: Metainfo;
    layer: PieceLayer;
    store: PieceStore;
    limits?: Partial<SwarmLimits>;
  }): SwarmDriver {
    const { metainfo, layer, store } = options;
    const { imageId } = metainfo;
    assert(!this.#drivers.has(imageId), `image ${imageId} is already open`);
    const lobby = this.#lobbies.get(imageId);
    this.#lobbies.delete(imageId);
    const driver = new SwarmDriver({
      metainfo,
      layer,
      store,
      limits: options.limits,
      node: this.#options.self.node,
      isOrigin: this.#options.self.isOrigin,
      uploadBudget: this.#uploadBudget,
      randomSeed: randomBytes(4).readUInt32LE(),
      onEvent: (event) => this.#options.onEvent(imageId, event),
      onMistake: this.#options.onMistake,
      wireSwarm: lobby?.swarm ?? this.#wireSwarmOf(metainfo),
    });
    this.#drivers.set(imageId, driver);
    lobby?.moveTo(driver);
    return driver;
  }

  /** Leaves a swarm, or one that was expected, and closes its wires. */
  shut(imageId: string): void {
    this.#drivers.get(imageId)?.close();
    this.#drivers.delete(imageId);
    this.#lobbies.get(imageId)?.close();
    this.#lobbies.delete(imageId);
  }

  async close(): Promise<void> {
    for (const imageId of [...this.#drivers.keys(), ...this.#lobbies.keys()]) this.shut(imageId);
    await this.#listener?.close();
  }

  #wireSwarmOf(metainfo: Metainfo): WireSwarm {
    const driverOf = (): SwarmDriver | undefined => this.#drivers.get(metainfo.imageId);
    // A swarm that is not open asks for no pieces, and takes no buffer.
    const unopened = new BufferPool(metainfo.pieceLength, 0);
    return {
      infoHash: metainfo.infoHash.subarray(0, SHORT_INFO_HASH_LENGTH),
      peerId: makePeerId(randomBytes(PEER_ID_RANDOM_BYTES)),
      pieceCount: metainfo.pieceCount,
      pieceLength: metainfo.pieceLength,
      length: metainfo.length,
      self: this.#options.self,
      get pieceBuffers() {
        return driverOf()?.store.buffers ?? unopened;
      },
      frameBuffers: makeFrameBuffers(metainfo.pieceLength),
      foreignPeersAllowed: this.#options.foreignPeersAllowed,
      // Rejected while the swarm is not open: the layer is what it waits for.
      hashes: (request) => {
        const layer = driverOf()?.layer;
        return layer && hashesFor(layer, metainfo, request);
      },
    };
  }
}
