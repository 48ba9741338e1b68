/**
 * The images of this node: what the cache directory holds is opened at the start, so that a restarted agent serves its guests
 * without a tracker; others are fetched by name or id when they are first wanted.
 */
import {
  type Metainfo,
  makePieceLayer,
  openSignedMetainfo,
  type PieceLayer,
} from '@bootswarm/metainfo';
import type { CacheDirectory, StoreEvent } from '@bootswarm/piece-store';
import { messageOf, OperatorError } from '@bootswarm/stdx';
import type { BootTouches, SwarmHost } from '@bootswarm/swarm-driver';
import type { Logger } from 'pino';
import type { CatalogueClient } from './catalogue-client.ts';
import type { FillMode } from './fill-policy.ts';
import { ImageSession } from './image-session.ts';
import type { PublisherPin } from './publisher-pin.ts';
import { decodeSwarmView, encodeSwarmView, type SwarmView } from './swarm-view.ts';

const METAINFO_BYTES_MAX = 64 * 1024;
/** As in the tracker's catalogue. */
const ID_PREFIX_LENGTH_MIN = 4;
/** 2,000 members of some 200 bytes; a longer list is not kept, a restarted agent then waits for the tracker. */
const MEMBERS_BYTES_MAX = 1024 * 1024;

export interface ImageLibraryOptions {
  readonly cache: CacheDirectory;
  readonly catalogue: CatalogueClient;
  readonly pin: PublisherPin;
  readonly host: SwarmHost;
  readonly hotBytesMax: number;
  readonly fill: FillMode;
  readonly log: Logger;
  /** The tracker is to be told what a VM touched while it booted. */
  readonly onTouched: (imageId: string, touches: BootTouches) => void;
  /** A session was opened: it is to be joined to its swarm. */
  readonly onOpened: (session: ImageSession) => void;
}

export class ImageLibrary {
  readonly #options: ImageLibraryOptions;
  readonly #sessions = new Map<string, ImageSession>();
  readonly #opening = new Map<string, Promise<ImageSession>>();
  readonly #closing = new Map<string, Promise<void>>();
  #isClosed = false;
  readonly #viewsToKeep = new Map<string, SwarmView>();

  constructor(options: ImageLibraryOptions) {
    this.#options = options;
  }

  get sessions(): IterableIterator<ImageSession> {
    return this.#sessions.values();
  }

  get(imageId: string): ImageSession | undefined {
    return this.#sessions.get(imageId);
  }

  /** Opens every image in the cache; one that cannot be read is left for the tracker to send again. */
  async openCached(): Promise<void> {
    const { cache, log } = this.#options;
    for (const { imageId, directory } of await cache.list()) {
      try {
        const { metainfo, layer } = await this.#readCached(imageId);
        const session = await this.#open(metainfo, layer, directory);
        const view = await this.#readView(imageId);
        if (view) session.setMembers(view.members, view.origins);
      } catch (error) {
        log.error({ image: imageId, error: messageOf(error) }, 'cached image not opened');
      }
    }
  }

  /**
   * The session of an image given by id, unique prefix or name; fetched from the tracker when this node has not got it. While the
   * tracker cannot be reached, what is in the cache is found by the same rules. Throws OperatorError.
   */
  async ensure(image: string): Promise<ImageSession> {
    const known = this.#sessions.get(image);
    if (known) return known;
    let imageId: string;
    try {
      imageId = await this.#options.catalogue.resolve(image);
    } catch (error) {
      const isAway = error instanceof OperatorError && error.code === 'tracker-unreachable';
      const local = isAway ? this.#findLocal(image) : undefined;
      if (local) return local;
      throw error;
    }
    const session = this.#sessions.get(imageId) ?? (await this.#fetchOnce(imageId));
    // Names are signed: a tracker that was taken over cannot pass off one image for another.
    const isMeant = session.metainfo.name === image || session.id.startsWith(image);
    if (isMeant) return session;
    throw new OperatorError(
      'tracker-answer',
      `The tracker gave image ${session.id}, which is signed as ${session.metainfo.name}, for ${image}`,
      'Give the id of the image, and find out who runs the tracker.',
    );
  }

  /** What is open and goes by this name. Throws OperatorError `image-not-found` or `image-ambiguous`. */
  find(image: string): ImageSession {
    const found = this.#findLocal(image);
    if (found) return found;
    throw new OperatorError(
      'image-not-found',
      `This node has no image ${image}`,
      'List the images of this node with: bootswarm status',
    );
  }

  setMembers(imageId: string, view: SwarmView): void {
    this.#sessions.get(imageId)?.setMembers(view.members, view.origins);
    this.#viewsToKeep.set(imageId, view);
  }

  /** About once a second: fill policies, and member lists kept for a restart without a tracker. */
  tick(): void {
    for (const session of this.#sessions.values()) session.tick();
    for (const [imageId, view] of this.#viewsToKeep) {
      this.#viewsToKeep.delete(imageId);
      const bytes = encodeSwarmView(view);
      if (bytes.length > MEMBERS_BYTES_MAX || !this.#sessions.has(imageId)) continue;
      this.#options.cache.writeFile(imageId, 'members', bytes).catch((error: unknown) => {
        this.#options.log.warn({ image: imageId, error: messageOf(error) }, 'members not kept');
      });
    }
  }

  /** Lets go of an image; its files stay in the cache. */
  async release(imageId: string): Promise<void> {
    const session = this.#sessions.get(imageId);
    if (session === undefined) return;
    this.#sessions.delete(imageId);
    const closing = session.close().finally(() => this.#closing.delete(imageId));
    this.#closing.set(imageId, closing);
    await closing;
  }

  /** What is still on its way from the tracker is not opened any more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#sessions.keys()].map((imageId) => this.release(imageId)));
  }

  #findLocal(image: string): ImageSession | undefined {
    const known = this.#sessions.get(image);
    if (known) return known;
    const sessions = [...this.#sessions.values()];
    const named = sessions.filter(({ metainfo }) => metainfo.name === image);
    const isPrefix = named.length === 0 && image.length >= ID_PREFIX_LENGTH_MIN;
    const found = isPrefix ? sessions.filter(({ id }) => id.startsWith(image)) : named;
    if (found.length <= 1) return found[0];
    throw new OperatorError(
      'image-ambiguous',
      `${image} may be any of ${found.map(({ id }) => id.slice(0, 12)).join(', ')}`,
      'Give more digits of the image id.',
    );
  }

  #fetchOnce(imageId: string): Promise<ImageSession> {
    let opening = this.#opening.get(imageId);
    if (opening === undefined) {
      opening = this.#fetch(imageId).finally(() => this.#opening.delete(imageId));
      this.#opening.set(imageId, opening);
    }
    return opening;
  }

  async #fetch(imageId: string): Promise<ImageSession> {
    const { catalogue, cache, pin } = this.#options;
    const fetched = await catalogue.fetchImage(imageId, pin.keyHex);
    pin.keep(fetched.publicKeyHex);
    const directory = await cache.openImage(imageId);
    await cache.writeFile(imageId, 'piece-layer', fetched.layer.bytes);
    // Last: an image counts as cached once it has its metainfo.
    await cache.writeFile(imageId, 'metainfo', fetched.metainfoBytes);
    // Two stores on one file would overwrite each other's records.
    await this.#closing.get(imageId);
    return this.#open(fetched.metainfo, fetched.layer, directory);
  }

  async #readCached(imageId: string): Promise<{ metainfo: Metainfo; layer: PieceLayer }> {
    const { cache, pin } = this.#options;
    const metainfoBytes = await cache.readFile(imageId, 'metainfo', METAINFO_BYTES_MAX);
    if (metainfoBytes === undefined) throw new Error('its metainfo cannot be read');
    const { metainfo } = openSignedMetainfo(metainfoBytes, pin.keyHex);
    if (metainfo.imageId !== imageId) throw new Error('its metainfo is of another image');
    const layerBytes = await cache.readFile(imageId, 'piece-layer', metainfo.pieceCount * 32);
    if (layerBytes === undefined) throw new Error('its piece layer cannot be read');
    return { metainfo, layer: makePieceLayer(metainfo, layerBytes) };
  }

  async #readView(imageId: string): Promise<SwarmView | undefined> {
    const bytes = await this.#options.cache.readFile(imageId, 'members', MEMBERS_BYTES_MAX);
    return bytes && decodeSwarmView(bytes);
  }

  async #open(metainfo: Metainfo, layer: PieceLayer, directory: string): Promise<ImageSession> {
    if (this.#isClosed) {
      throw new OperatorError('agent-stopping', 'The agent is stopping', 'Start it again first.');
    }
    const { host, hotBytesMax, fill, onTouched } = this.#options;
    const onStoreEvent = (image: string, event: StoreEvent): void =>
      this.#options.log.warn({ image, ...event }, 'cache');
    const session = await ImageSession.open({
      metainfo,
      layer,
      directory,
      host,
      hotBytesMax,
      fill,
      onStoreEvent,
      onTouched,
    });
    this.#sessions.set(session.id, session);
    this.#options.onOpened(session);
    return session;
  }
}
