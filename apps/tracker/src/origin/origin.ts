/**
 * The origin: the first seeder of every published image and of its piece layer, reading the originals. Serves pieces to whoever
 * joins; each piece is verified before it is sent, so a changed original is noticed here and not by the nodes.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type LayerTorrent, makePieceLayer } from '@bootswarm/metainfo';
import { OriginalPieceStore } from '@bootswarm/piece-store';
import { ProtocolError } from '@bootswarm/stdx';
import { type SwarmDriver, SwarmHost } from '@bootswarm/swarm-driver';
import type { Logger } from 'pino';
import {
  type ImageDirectory,
  PACKED_LAYER_FILE,
  PIECE_LAYER_FILE,
  readImageDirectory,
} from '../image-directory.ts';
import type { OriginHello, OriginImageStats, OriginStats } from '../origin-protocol.ts';
import { VERSION } from '../version.ts';

/** Every node may hold a wire to the origin: 10,000 idle ones cost some 200 MB, fewer file descriptors than systemd allows. */
const PEERS_MAX = 10_000;

interface ServedImage {
  readonly driver: SwarmDriver;
  readonly store: OriginalPieceStore;
}

export interface OriginOptions {
  /** DATA/images. */
  readonly imagesDir: string;
  readonly listen: { readonly host: string; readonly port: number };
  readonly log: Logger;
}

export class Origin {
  readonly #options: OriginOptions;
  readonly #host: SwarmHost;
  readonly #images = new Map<string, ServedImage>();
  /** By the image's id, not the swarm's. */
  readonly #layers = new Map<string, ServedImage>();
  #address = { host: '', port: 0 };

  constructor(options: OriginOptions) {
    this.#options = options;
    this.#host = new SwarmHost({
      listen: options.listen,
      self: { kind: 'ours', node: 'origin', zone: '', rack: '', isOrigin: true },
      foreignPeersAllowed: false,
      connectionsMax: PEERS_MAX,
      onEvent: (image, event) => {
        if (event.type === 'peer-connected') return;
        options.log.debug({ image, ...event }, 'wire');
      },
      onMistake: (error, address) => {
        options.log.error({ address, err: error }, 'a mistake of ours cost this wire');
      },
    });
  }

  async listen(): Promise<void> {
    this.#address = await this.#host.listen();
  }

  hello(): OriginHello {
    return { version: VERSION, pid: process.pid, ...this.#address };
  }

  /** Bytes of pieces per second over all images, null: as many as it can. Demand goes before prefetch. */
  limit(bytesPerSecond: number | null): void {
    if (bytesPerSecond !== null && !(bytesPerSecond > 0)) {
      throw new ProtocolError('limit', { bytesPerSecond });
    }
    this.#host.limitUploads(bytesPerSecond ?? Infinity);
  }

  /** Serves an image. Throws OperatorError when its directory or its original cannot be read. */
  async open(image: string): Promise<void> {
    if (this.#images.has(image)) return;
    if (!/^[0-9a-f]{40}$/.test(image)) throw new ProtocolError('image-id', { image });
    const path = join(this.#options.imagesDir, image);
    const directory = await readImageDirectory(path);
    const { metainfo, rawPath } = directory;
    // Whatever has become of the original: peers may have it still, and new nodes need the layer.
    await this.#openLayer(image, directory);
    const layer = makePieceLayer(metainfo, await readFile(join(path, PIECE_LAYER_FILE)));
    const store = await this.#openStore(image, rawPath, { metainfo, layer });
    if (this.#images.has(image)) return store.close();
    const driver = this.#host.open({ metainfo, layer, store, limits: { peersMax: PEERS_MAX } });
    this.#images.set(image, { driver, store });
    this.#options.log.info({ image, name: metainfo.name, rawPath }, 'serving image');
  }

  async withdraw(image: string): Promise<void> {
    for (const served of [this.#images, this.#layers]) {
      const open = served.get(image);
      if (open === undefined) continue;
      served.delete(image);
      this.#host.shut(open.driver.metainfo.imageId);
      await open.store.close();
    }
  }

  async #openLayer(image: string, { path, layerTorrent }: ImageDirectory): Promise<void> {
    if (layerTorrent === undefined || this.#layers.has(image)) return;
    const store = await this.#openStore(image, join(path, PACKED_LAYER_FILE), layerTorrent);
    if (this.#layers.has(image)) return store.close();
    const limits = { peersMax: PEERS_MAX };
    const driver = this.#host.open({ ...layerTorrent, store, limits });
    this.#layers.set(image, { driver, store });
  }

  #openStore(image: string, path: string, content: LayerTorrent): Promise<OriginalPieceStore> {
    return OriginalPieceStore.open({
      ...content,
      path,
      onEvent: (event) => this.#options.log.error({ image, ...event }, 'original image'),
    });
  }

  stats(): OriginStats {
    const images: Record<string, OriginImageStats> = {};
    for (const [image, { driver }] of this.#images) {
      const { stats, peers } = driver.snapshot();
      const layerBytesSent = this.#layers.get(image)?.driver.snapshot().stats.bytesSent ?? 0;
      images[image] = {
        ...{ bytesSent: stats.bytesSent, piecesSent: stats.piecesSent, peers },
        layerBytesSent,
      };
    }
    return { images };
  }

  async close(): Promise<void> {
    await this.#host.close();
    const open = new Set([...this.#images.keys(), ...this.#layers.keys()]);
    for (const image of open) await this.withdraw(image);
  }
}
