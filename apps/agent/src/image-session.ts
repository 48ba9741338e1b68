/**
 * One image on this node: its cache, its swarm, its exports and what was read through them. Opened from what the cache directory
 * holds, or from what the tracker sent; lives until the agent stops or the image is let go.
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Metainfo, PieceLayer } from '@bootswarm/metainfo';
import {
  CachePieceStore,
  isLockedByAnyone,
  type LostReason,
  punchAll,
  type StoreEvent,
} from '@bootswarm/piece-store';
import type { Bitfield } from '@bootswarm/stdx';
import {
  type BootTouches,
  ImageReader,
  noReadBytes,
  type ReadBytes,
  type SwarmHost,
} from '@bootswarm/swarm-driver';
import type { ReceivedBytes, SwarmMember, TouchBudget } from '@bootswarm/swarm-proto';
import type { CacheUse, ImageStatus } from './api.ts';
import { type FillMode, FillPolicy } from './fill-policy.ts';
import { type ImageCopy, imageCopyOf } from './image-copy.ts';
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
  /** Of that, over all images. */
  readonly touchBudget: TouchBudget;
}

/** Of one session, by what they count. */
export interface SessionCounters {
  readonly read: ReadBytes;
  readonly received: ReceivedBytes;
  readonly bytesSent: number;
  readonly bytesWasted: number;
  readonly piecesRefuted: number;
  readonly hedges: number;
  readonly originRequests: Readonly<Record<string, number>>;
  readonly misses: number;
  /** Reads by bucket of WAIT_BOUNDS_SECONDS, and the seconds that all of them waited. */
  readonly waits: Readonly<Record<string, number>>;
  /** Received in the swarm of the piece layer. */
  readonly layer: { readonly peers: number; readonly origin: number };
}

type LostPiece = Extract<StoreEvent, { type: 'piece-lost' }>;

/** Damage of what the cache held. After a failed flush the disk is in trouble, and takes nothing. */
const MENDED: ReadonlySet<LostReason> = new Set(['wrong-hash', 'short-file', 'read-failed']);

const NOTHING_MOVED = { bytesFromPeers: 0, bytesFromOrigin: 0, bytesSent: 0, originRequests: {} };

export class ImageSession {
  readonly metainfo: Metainfo;
  readonly reader: ImageReader;
  /** The cache file, for VMs that read it without us. */
  readonly localCopy: LocalCopy;
  /** When its cache is to be looked through for rot again, in milliseconds of performance.now(). */
  scrubDueAt = 0;
  /** When a guest was about to come, in milliseconds since 1970. */
  wantedAt = 0;
  #isAttached = false;
  #orderedUntil = 0;
  readonly #host: SwarmHost;
  readonly #store: CachePieceStore;
  readonly #exports = new Map<string, ImageExport>();
  /** What was read by copies, and how many are open. */
  readonly #copied = noReadBytes();
  #copies = 0;
  /** Through exports that are gone. */
  readonly #readBefore = noReadBytes();
  readonly #fill: FillPolicy;
  readonly #layer: SessionLayer;
  readonly #directory: string;
  /** A guest of this node wants it or did: also on an earlier run, if there are pieces of it. */
  #isWanted: boolean;

  static async open(options: ImageSessionOptions): Promise<ImageSession> {
    let session: ImageSession | undefined;
    const lostEarly: LostPiece[] = [];
    const store = await CachePieceStore.open({
      directory: options.directory,
      metainfo: options.metainfo,
      layer: options.layer.pieceLayer,
      hotBytesMax: options.hotBytesMax,
      onEvent: (event) => {
        if (event.type === 'piece-lost') {
          session?.localCopy.pieceLost();
          if (session) session.#onLost(event);
          else lostEarly.push(event);
        } else if (event.type === 'cache-changed' && session) {
          session.scrubDueAt = 0;
          session.localCopy.pieceLost();
        } else if (event.type === 'pieces-evicted' && session) {
          session.localCopy.pieceLost();
          for (const pieceIndex of event.pieceIndexes) session.reader.pieceLost(pieceIndex);
          return; // Nothing that an operator need see piece by piece.
        } else if (session) {
          session.#updateFill();
        }
        options.onStoreEvent(options.metainfo.imageId, event);
      },
    });
    session = new ImageSession(options, store);
    for (const lost of lostEarly) session.#onLost(lost);
    return session;
  }

  private constructor(options: ImageSessionOptions, store: CachePieceStore) {
    this.metainfo = options.metainfo;
    this.#host = options.host;
    this.#store = store;
    this.#layer = options.layer;
    this.#directory = options.directory;
    const { pieceLayer: layer } = options.layer;
    const driver = options.host.open({ metainfo: options.metainfo, layer, store });
    const path = join(options.directory, 'cache.raw');
    const onDamaged = (): void => {
      this.scrubDueAt = 0;
    };
    this.localCopy = new LocalCopy({ path, metainfo: this.metainfo, layer, store, onDamaged });
    const onTouched = (touches: BootTouches) => options.onTouched(this.id, touches);
    this.reader = new ImageReader(driver, onTouched, options.touchBudget);
    this.#fill = new FillPolicy(options.fill, performance.now());
    this.#isWanted = store.have.count > driver.layer.zeroCount;
  }

  /** Shown to NBD clients under its own id; VMs have exports of their own. */
  get isAttached(): boolean {
    return this.#isAttached;
  }

  set isAttached(isAttached: boolean) {
    this.#isAttached = isAttached;
    this.#updateFill();
  }

  /** It is attached, or a guest or a copy reads it. Which VMs may come back to it is for their registry to say. */
  get isInUse(): boolean {
    if (this.isAttached || this.#isOrdered || this.#copies > 0) return true;
    for (const { connections } of this.#exports.values()) if (connections > 0) return true;
    return false;
  }

  /** Whether the cache may grow. */
  set isKeeping(isKeeping: boolean) {
    if (this.#store.isKeeping === isKeeping) return;
    this.#store.isKeeping = isKeeping;
    this.#updateFill();
  }

  get id(): string {
    return this.metainfo.imageId;
  }

  /** All of it is wanted within this time, whatever the fill mode: nothing evicts it until then. */
  order(forMs: number): void {
    this.#orderedUntil = Math.max(this.#orderedUntil, performance.now() + forMs);
    this.#updateFill();
  }

  /** Of pieces that are held, zero pieces included. */
  get held(): Bitfield {
    return this.#store.have;
  }

  /** False while the disk or the operator's limit keeps the cache from growing. */
  get canKeep(): boolean {
    return this.#store.canKeep;
  }

  get pieceLayer(): PieceLayer {
    return this.#layer.pieceLayer;
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
      this.#updateFill();
    }
    return found;
  }

  /** For whom wants the bytes themselves, and is no VM. */
  openCopy(): ImageCopy {
    this.#copies += 1;
    this.#isWanted = true;
    this.#updateFill();
    return imageCopyOf(this.reader.copier(this.#copied), this.metainfo.length, () => {
      this.#copies -= 1;
    });
  }

  /** A VM is gone: its counts go with it. */
  dropExport(vm: string): void {
    addReadBytes(this.#readBefore, this.#exports.get(vm)?.read ?? noReadBytes());
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
    this.#store.noticeForeignWrites();
    this.#updateFill();
  }

  /** Looks at one more piece on the disk: resolves to the bytes read, 0 at the end of a pass. */
  scrubNext(): Promise<number> {
    return this.#store.scrubNext();
  }

  /**
   * Has the pieces give their space back while guests go on; resolves to whether that was done. Not when the image is complete or
   * pinned, or a program has the file open: a VM may be reading it without us, now or when it is started again. Nor when there is
   * no space to give back.
   */
  async evictPieces(isPinned: () => boolean): Promise<boolean> {
    if (this.#store.have.isFull) return false;
    const path = join(this.#directory, 'cache.raw');
    if ((await stat(path)).blocks * 512 < this.metainfo.pieceLength) return false;
    if (await isLockedByAnyone(path)) return false;
    // Last, since who pins it looks afterwards whether the pieces are still there.
    if (isPinned()) return false;
    return this.#store.evictPieces(punchAll);
  }

  status(): Omit<ImageStatus, keyof CacheUse> {
    const { driver, touched, bytesTouched } = this.reader;
    const { stats, peers, bytesPerSecondIn, bytesPerSecondOut } = driver.snapshot();
    const read = { ...this.#copied };
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
      scrub: this.#store.stats.scrub,
      readsWaiting: driver.pending.size,
      oldestReadWaitMs: oldest === undefined ? 0 : Math.round(performance.now() - oldest),
    };
  }

  /** What is counted and never goes back while the session lives. */
  counters(): SessionCounters {
    const { driver } = this.reader;
    const { received, bytesSent, bytesWasted, piecesRefuted, hedges, originRequests } =
      driver.snapshot().stats;
    const read = { ...this.#readBefore };
    for (const each of this.#exports.values()) addReadBytes(read, each.read);
    const { waits, openedCount: misses } = driver.pending;
    const { bytesFromPeers, bytesFromOrigin } = this.#layer.swarm?.moved ?? NOTHING_MOVED;
    return {
      ...{ read, received, bytesSent, bytesWasted, piecesRefuted, hedges, originRequests, misses },
      waits: { ...Object.fromEntries(waits.counts.entries()), sum: waits.sumSeconds },
      layer: { peers: bytesFromPeers, origin: bytesFromOrigin },
    };
  }

  get #isOrdered(): boolean {
    return performance.now() < this.#orderedUntil;
  }

  #updateFill(): void {
    const { driver } = this.reader;
    this.#isWanted ||= this.isAttached || this.#exports.size > 0;
    const { openedCount, size } = driver.pending;
    // What cannot be kept would be fetched over and over.
    const isWorthIt = this.#isWanted && this.#store.canKeep;
    const now = performance.now();
    const isOrdered = this.#isOrdered && this.#store.canKeep;
    const isFilling = this.#fill.update(openedCount, size, isWorthIt, now, isOrdered);
    if (isFilling !== undefined) driver.handle({ type: 'fill', enabled: isFilling });
  }

  /** A damaged piece is fetched again at once: other nodes may want it from us before a guest does. */
  #onLost({ pieceIndex, reason }: LostPiece): void {
    this.reader.pieceLost(pieceIndex);
    const { pieceLength } = this.metainfo;
    if (MENDED.has(reason)) this.reader.prefetch(pieceIndex * pieceLength, 1);
  }

  commit(): Promise<void> {
    return this.#store.commit();
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
