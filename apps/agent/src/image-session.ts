/**
 * One image on this node: its cache, its swarm, its exports and what was read through them. Opened from what the cache directory
 * holds, or from what the tracker sent; lives until the agent stops or the image is let go.
 */
import { join } from 'node:path';
import type { Metainfo, PieceLayer } from '@bootswarm/metainfo';
import { CachePieceStore, type StoreEvent } from '@bootswarm/piece-store';
import {
  type BootTouches,
  ImageReader,
  noReadBytes,
  type ReadBytes,
  type SwarmHost,
} from '@bootswarm/swarm-driver';
import type { SwarmMember } from '@bootswarm/swarm-proto';
import type { ImageStatus } from './api.ts';
import { type FillMode, FillPolicy } from './fill-policy.ts';
import { ImageExport } from './image-export.ts';
import type { LayerFallback } from './layer-fetch.ts';
import type { LayerSwarm } from './layer-swarm.ts';
import { LocalCopy } from './local-copy.ts';

/** The piece layer, and how it came. */
export interface SessionLayer {
  readonly pieceLayer: PieceLayer;
  readonly from: 'metainfo' | 'cache' | 'swarm' | 'tracker';
  /** Why it is from the tracker. */
  readonly fallback?: LayerFallback;
  /** Where others get it from us; a layer that fits into the metainfo has none. Closed with the session. */
  readonly swarm?: LayerSwarm;
}

export interface ImageSessionOptions {
  readonly metainfo: Metainfo;
  readonly layer: SessionLayer;
  /** The image's directory in the cache. */
  readonly directory: string;
  readonly host: SwarmHost;
  readonly hotBytesMax: number;
  readonly fill: FillMode;
  readonly onStoreEvent: (imageId: string, event: StoreEvent) => void;
  /** The tracker is to be told what a VM touched while it booted. */
  readonly onTouched: (imageId: string, touches: BootTouches) => void;
}

const NOTHING_MOVED = { bytesFromPeers: 0, bytesFromOrigin: 0, bytesSent: 0, originRequests: {} };

export class ImageSession {
  readonly metainfo: Metainfo;
  readonly reader: ImageReader;
  /** The cache file, for VMs that read it without us. */
  readonly localCopy: LocalCopy;
  /** Shown to NBD clients under its own id; VMs have exports of their own. */
  isAttached = false;
  readonly #host: SwarmHost;
  readonly #store: CachePieceStore;
  readonly #exports = new Map<string, ImageExport>();
  readonly #fill: FillPolicy;
  readonly #layer: SessionLayer;
  /** A guest of this node wants it or did: also on an earlier run, if there are pieces of it. */
  #isWanted: boolean;

  static async open(options: ImageSessionOptions): Promise<ImageSession> {
    let session: ImageSession | undefined;
    const lostEarly: number[] = [];
    const store = await CachePieceStore.open({
      directory: options.directory,
      metainfo: options.metainfo,
      layer: options.layer.pieceLayer,
      hotBytesMax: options.hotBytesMax,
      onEvent: (event) => {
        if (event.type === 'piece-lost') {
          session?.localCopy.pieceLost();
          if (session) session.reader.pieceLost(event.pieceIndex);
          else lostEarly.push(event.pieceIndex);
        }
        options.onStoreEvent(options.metainfo.imageId, event);
      },
    });
    session = new ImageSession(options, store);
    for (const pieceIndex of lostEarly) session.reader.pieceLost(pieceIndex);
    return session;
  }

  private constructor(options: ImageSessionOptions, store: CachePieceStore) {
    this.metainfo = options.metainfo;
    this.#host = options.host;
    this.#store = store;
    this.#layer = options.layer;
    const { pieceLayer: layer } = options.layer;
    const driver = options.host.open({ metainfo: options.metainfo, layer, store });
    const path = join(options.directory, 'cache.raw');
    this.localCopy = new LocalCopy({ path, metainfo: options.metainfo, layer, store });
    this.reader = new ImageReader(driver, (touches) => options.onTouched(this.id, touches));
    this.#fill = new FillPolicy(options.fill, performance.now());
    this.#isWanted = store.have.count > driver.layer.zeroCount;
  }

  get id(): string {
    return this.metainfo.imageId;
  }

  get piecesHad(): number {
    return this.#store.have.count;
  }

  /** The export of this image for a VM, or for `attach` when `vm` is empty. */
  exportFor(vm: string): ImageExport {
    let found = this.#exports.get(vm);
    if (found === undefined) {
      found = new ImageExport(vm === '' ? this.id : `${this.id}@${vm}`, this.reader);
      this.#exports.set(vm, found);
    }
    return found;
  }

  /** A VM is gone: its counts go with it. */
  dropExport(vm: string): void {
    this.#exports.delete(vm);
  }

  setMembers(
    members: readonly SwarmMember[],
    origins: readonly { readonly host: string; readonly port: number }[],
  ): void {
    this.reader.driver.setMembers(members, origins);
  }

  /** About once a second. */
  tick(): void {
    this.#layer.swarm?.tick(performance.now());
    const { driver } = this.reader;
    const { openedCount, size } = driver.pending;
    this.#isWanted ||= this.isAttached || this.#exports.size > 0;
    const isFilling = this.#fill.update(openedCount, size, this.#isWanted, performance.now());
    if (isFilling !== undefined) driver.handle({ type: 'fill', enabled: isFilling });
  }

  status(): ImageStatus {
    const { driver, touched, bytesTouched } = this.reader;
    const { stats, peers, bytesPerSecondIn, bytesPerSecondOut } = driver.snapshot();
    const read = noReadBytes();
    for (const each of this.#exports.values()) addReadBytes(read, each.read);
    const oldest = driver.pending.oldestStartedAt;
    const { from, fallback, swarm } = this.#layer;
    return {
      id: this.id,
      name: this.metainfo.name,
      length: this.metainfo.length,
      pieceLength: this.metainfo.pieceLength,
      pieceCount: this.metainfo.pieceCount,
      zeroPieces: driver.layer.zeroCount,
      piecesHad: this.piecesHad,
      piecesTouched: touched.count,
      bytesTouched,
      peers,
      bytesFromPeers: stats.bytesFromPeers,
      bytesFromOrigin: stats.bytesFromOrigin,
      bytesSent: stats.bytesSent,
      bytesWasted: stats.bytesWasted,
      hedges: stats.hedges,
      originRequests: stats.originRequests,
      layer: {
        from,
        ...(fallback && { fallback }),
        ...(swarm?.moved ?? NOTHING_MOVED),
      },
      bytesPerSecondIn,
      bytesPerSecondOut,
      read,
      isAttached: this.isAttached,
      readsWaiting: driver.pending.size,
      oldestReadWaitMs: oldest === undefined ? 0 : Math.round(performance.now() - oldest),
    };
  }

  /** Leaves the swarm and closes the cache; its NBD connections have been cut before. */
  async close(): Promise<void> {
    this.reader.boots.close();
    this.#host.shut(this.id);
    this.#layer.swarm?.close();
    await this.localCopy.close();
    await this.#store.close();
  }
}

function addReadBytes(sum: ReadBytes, more: ReadBytes): void {
  sum.cache += more.cache;
  sum.peers += more.peers;
  sum.origin += more.origin;
  sum.zero += more.zero;
}
