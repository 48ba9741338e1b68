/**
 * The swarm whose content is the packed piece layer of an image: this node fetches it there, and then serves it for as long as
 * it is in the image's own swarm. Both swarms have the same members, so the tracker is told of one only.
 */
import type { LayerTorrent } from '@bootswarm/metainfo';
import { MemoryPieceStore } from '@bootswarm/piece-store';
import { OperatorError } from '@bootswarm/stdx';
import type { SwarmDriver, SwarmHost } from '@bootswarm/swarm-driver';
import type { LayerStatus } from './api.ts';
import type { SwarmView } from './swarm-view.ts';

/** The relay tree is dialled as pieces need it; what everybody wants at once has no rare pieces to look for. */
const NEIGHBOURS_WANTED = 2;
/** By then whoever was joining with us has the layer too, and needs no wire to us; latecomers dial us. */
const HANG_UP_MS = 10_000;

export class LayerSwarm {
  readonly #torrent: LayerTorrent;
  readonly #host: SwarmHost;
  readonly #store: MemoryPieceStore;
  readonly #whole = Promise.withResolvers<Uint8Array>();
  #driver: SwarmDriver;
  #wholeSince: number | undefined;
  #hasHungUp = false;
  #hasMembers = false;

  /** `packed`: what the cache has, if anything; what is wrong in it is fetched. */
  constructor(torrent: LayerTorrent, host: SwarmHost, packed?: Uint8Array) {
    this.#torrent = torrent;
    this.#host = host;
    // Nobody may be waiting when the agent stops.
    this.#whole.promise.catch(() => {});
    const { metainfo, layer } = torrent;
    this.#store = new MemoryPieceStore({ metainfo, layer, onWhole: () => this.#onWhole() });
    if (packed) this.#store.adopt(packed);
    this.#driver = this.#open();
  }

  /** The packed layer, once every piece of it is here; rejects with OperatorError `agent-stopping` when it is closed before. */
  get whole(): Promise<Uint8Array> {
    return this.#whole.promise;
  }

  get isWhole(): boolean {
    return this.#store.have.isFull;
  }

  get piecesHad(): number {
    return this.#store.have.count;
  }

  /** Whether anybody is known who may have the layer. */
  get hasMembers(): boolean {
    return this.#hasMembers;
  }

  get moved(): Pick<
    LayerStatus,
    'bytesFromPeers' | 'bytesFromOrigin' | 'bytesSent' | 'originRequests'
  > {
    const { stats } = this.#driver.snapshot();
    const { bytesFromPeers, bytesFromOrigin, bytesSent, originRequests } = stats;
    return { bytesFromPeers, bytesFromOrigin, bytesSent, originRequests };
  }

  /** Asks for what is missing. */
  fetch(): void {
    const { have } = this.#store;
    for (let at = have.nextClear(0); at >= 0; at = have.nextClear(at + 1)) {
      this.#driver.handle({ type: 'demand', pieceIndex: at });
    }
  }

  setMembers({ members, origins }: SwarmView): void {
    // Who has everything need not know whom to ask.
    if (this.isWhole) return;
    this.#hasMembers = members.length + origins.length > 0;
    this.#driver.setMembers(members, origins);
  }

  /** The layer came another way. Returns false when it is not the one that the swarm carries. */
  adopt(packed: Uint8Array): boolean {
    if (this.isWhole) return true;
    const isWhole = this.#store.adopt(packed);
    // An engine learns what it has when it starts.
    this.#host.shut(this.#torrent.metainfo.imageId);
    this.#driver = this.#open();
    return isWhole;
  }

  /** About once a second. */
  tick(now: number): void {
    if (this.#hasHungUp || this.#wholeSince === undefined) return;
    if (now - this.#wholeSince < HANG_UP_MS) return;
    this.#hasHungUp = true;
    this.#driver.setMembers([], []);
    this.#driver.hangUp();
  }

  close(): void {
    this.#whole.reject(
      new OperatorError('agent-stopping', 'The agent is stopping', 'Start it again first.'),
    );
    this.#host.shut(this.#torrent.metainfo.imageId);
  }

  #open(): SwarmDriver {
    const { metainfo, layer } = this.#torrent;
    const limits = { neighboursWanted: NEIGHBOURS_WANTED };
    return this.#host.open({ metainfo, layer, store: this.#store, limits });
  }

  #onWhole(): void {
    this.#wholeSince = performance.now();
    this.#whole.resolve(this.#store.bytes);
  }
}
