/** All swarms of one process: one peer listener, one identity, one driver per image. */
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
import { assert } from '@bootswarm/stdx';
import type { SwarmLimits } from '@bootswarm/swarm-proto';
import { SwarmDriver, type SwarmEvent } from './swarm-driver.ts';

export interface SwarmHostOptions {
  /** Where peers may dial us; port 0 lets the system choose. */
  readonly listen: { readonly host: string; readonly port: number };
  readonly self: WireSwarm['self'];
  /** Whether BitTorrent clients other than ours may join. */
  readonly foreignPeersAllowed: boolean;
  /** Open incoming wires over all swarms. */
  readonly connectionsMax?: number;
  readonly onEvent: (imageId: string, event: SwarmEvent) => void;
}

/** BEP 52 puts only the first 20 bytes of the infohash into the handshake. */
const SHORT_INFO_HASH_LENGTH = 20;

export class SwarmHost {
  readonly #options: SwarmHostOptions;
  readonly #drivers = new Map<string, SwarmDriver>();
  #listener: PeerListener | undefined;

  constructor(options: SwarmHostOptions) {
    this.#options = options;
  }

  /** Starts to accept peers; returns where. Throws OperatorError `peer-port-unavailable`. */
  async listen(): Promise<{ host: string; port: number }> {
    const { listen, connectionsMax } = this.#options;
    this.#listener = await PeerListener.listen({
      ...listen,
      connectionsMax,
      // As many may be shaking hands as may stay: a storm begins with everybody dialling the origin.
      unidentifiedMax: connectionsMax,
      lookup: (imageId) => {
        const driver = this.#drivers.get(imageId);
        if (driver === undefined) return undefined;
        return {
          swarm: driver.wireSwarm,
          handlersFor: (wire) => driver.handlersFor(undefined, () => wire),
        };
      },
    });
    return { host: listen.host, port: this.#listener.port };
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
    const driver = new SwarmDriver({
      metainfo,
      layer,
      store,
      limits: options.limits,
      node: this.#options.self.node,
      isOrigin: this.#options.self.isOrigin,
      randomSeed: randomBytes(4).readUInt32LE(),
      onEvent: (event) => this.#options.onEvent(imageId, event),
      wireSwarm: {
        infoHash: metainfo.infoHash.subarray(0, SHORT_INFO_HASH_LENGTH),
        peerId: makePeerId(randomBytes(PEER_ID_RANDOM_BYTES)),
        pieceCount: metainfo.pieceCount,
        pieceLength: metainfo.pieceLength,
        length: metainfo.length,
        self: this.#options.self,
        pieceBuffers: store.buffers,
        frameBuffers: makeFrameBuffers(metainfo.pieceLength),
        foreignPeersAllowed: this.#options.foreignPeersAllowed,
        hashes: (request) => hashesFor(layer, metainfo, request),
      },
    });
    this.#drivers.set(imageId, driver);
    return driver;
  }

  /** Leaves a swarm and closes its wires. */
  shut(imageId: string): void {
    this.#drivers.get(imageId)?.close();
    this.#drivers.delete(imageId);
  }

  async close(): Promise<void> {
    for (const imageId of [...this.#drivers.keys()]) this.shut(imageId);
    await this.#listener?.close();
  }
}
