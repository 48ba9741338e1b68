/**
 * The images of this node: what the cache directory holds is opened at the start, so that a restarted agent serves its guests
 * without a tracker; others are fetched by name or id when they are first wanted. An image joins its swarm when its metainfo is
 * here and is opened when its piece layer is: the members of the one are the members of the layer's swarm.
 */
import type { Metainfo, SignedMetainfo } from '@bootswarm/metainfo';
import type { CacheDirectory, StoreEvent } from '@bootswarm/piece-store';
import { messageOf, OperatorError } from '@bootswarm/stdx';
import type { BootTouches, SwarmHost } from '@bootswarm/swarm-driver';
import { TouchBudget } from '@bootswarm/swarm-proto';
import type { Logger } from 'pino';
import { type CatalogueClient, METAINFO_BYTES_MAX } from './catalogue-client.ts';
import { type BootOrderTold, EarlyOrders } from './early-orders.ts';
import type { FillMode } from './fill-policy.ts';
import { ImageSession, type SessionLayer } from './image-session.ts';
import { KnownImages, METAINFO_FILE, PACKED_LAYER_FILE } from './known-images.ts';
import { fetchLayer, layerRefused } from './layer-fetch.ts';
import { LayerSwarm } from './layer-swarm.ts';
import type { PublisherPin } from './publisher-pin.ts';
import type { SwarmView } from './swarm-view.ts';
import { SwarmViews } from './swarm-views.ts';

/** As in the tracker's catalogue. */
const ID_PREFIX_LENGTH_MIN = 4;

export interface ImageLibraryOptions {
  readonly cache: CacheDirectory;
  readonly catalogue: CatalogueClient;
  readonly pin: PublisherPin;
  readonly host: SwarmHost;
  readonly hotBytesMax: number;
  readonly fill: FillMode;
  readonly log: Logger;
  /** This node is to be a member of the image's swarm from now on. */
  readonly onJoining: (imageId: string) => void;
  /** The tracker is to be told what a VM touched while it booted. */
  readonly onTouched: (imageId: string, touches: BootTouches) => void;
  readonly onOpened: (session: ImageSession) => void;
  /** It could not be opened: this node is no member any more. */
  readonly onGivenUp: (imageId: string) => void;
  /** What was checked ahead of openCached(). */
  readonly known?: KnownImages;
  /** See fetchLayer(). */
  readonly layerStallMs?: number;
}

/** An image on its way to a session. */
interface Opening {
  readonly session: Promise<ImageSession>;
  /** While its piece layer is fetched. */
  layerSwarm?: LayerSwarm;
}

export class ImageLibrary {
  readonly #options: ImageLibraryOptions;
  readonly #sessions = new Map<string, ImageSession>();
  readonly #opening = new Map<string, Opening>();
  /** In the cache without their piece layer: tried again for as long as nobody can be asked for it. */
  readonly #unopened = new Map<string, SignedMetainfo>();
  readonly #closing = new Map<string, Promise<void>>();
  #isClosed = false;
  readonly #views: SwarmViews;
  readonly #earlyOrders = new EarlyOrders();
  readonly #known: KnownImages;
  readonly #touchBudget = new TouchBudget();

  constructor(options: ImageLibraryOptions) {
    this.#options = options;
    this.#views = new SwarmViews(options.cache);
    this.#known = options.known ?? new KnownImages();
  }

  get sessions(): IterableIterator<ImageSession> {
    return this.#sessions.values();
  }

  /** The swarms this node is to be in, and how many pieces it has of each. */
  *memberships(): IterableIterator<{ imageId: string; piecesHad: number }> {
    for (const { id, piecesHad } of this.#sessions.values()) yield { imageId: id, piecesHad };
    for (const [imageId, { layerSwarm }] of this.#opening) {
      if (layerSwarm && !this.#sessions.has(imageId)) yield { imageId, piecesHad: 0 };
    }
  }

  get(imageId: string): ImageSession | undefined {
    return this.#sessions.get(imageId);
  }

  /**
   * Opens every image in the cache; one whose metainfo cannot be read is left for the tracker to send again. One whose piece
   * layer is not there is opened when its swarm or the tracker has given it.
   */
  async openCached(): Promise<void> {
    const { cache, log } = this.#options;
    for (const { imageId, directory } of await cache.list()) {
      try {
        const signed = await this.#readMetainfo(imageId);
        await this.#views.read(imageId);
        const layer = await this.#layerAtHand(signed);
        if (layer) await this.#open(signed.metainfo, layer, directory);
        else this.#unopened.set(imageId, signed);
      } catch (error) {
        log.error({ image: imageId, error: messageOf(error) }, 'cached image not opened');
      }
    }
    this.#known.forget();
    this.#resume();
  }

  /**
   * The session of an image given by id, unique prefix or name; fetched from the tracker when this node has not got it. While the
   * tracker cannot be reached, what is in the cache is found by the same rules. `token`: of Keystone, of whom it is for. Throws
   * OperatorError.
   */
  async ensure(image: string, token?: string): Promise<ImageSession> {
    const known = this.#sessions.get(image);
    if (known) return known;
    let imageId: string;
    try {
      imageId = await this.#options.catalogue.resolve(image, token);
    } catch (error) {
      const isAway = error instanceof OperatorError && error.code === 'tracker-unreachable';
      const local = isAway ? (this.#findLocal(image) ?? this.#findUnopened(image)) : undefined;
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
    this.#views.set(imageId, view);
    this.#sessions.get(imageId)?.setMembers(view.members, view.origins);
    this.#opening.get(imageId)?.layerSwarm?.setMembers(view);
  }

  /** A boot order as the tracker told it; false when the image's swarm is to be joined again. */
  applyOrder(imageId: string, order: BootOrderTold): boolean {
    const boots = this.#sessions.get(imageId)?.reader.boots;
    if (boots) return boots.applyOrder(order.revision, order.isFull, order.kinds);
    return this.#earlyOrders.add(imageId, order);
  }

  /** The swarm is being joined: boot orders will be told from their beginning. */
  rejoin(imageId: string): void {
    this.#earlyOrders.drop(imageId);
    this.#sessions.get(imageId)?.reader.boots.rejoin();
  }

  /** About once a second: what sessions do by the clock, and member lists kept for a restart without a tracker. */
  tick(): void {
    this.#resume();
    for (const session of this.#sessions.values()) session.tick();
    this.#views.keep((image, error) => {
      this.#options.log.warn({ image, error: messageOf(error) }, 'members not kept');
    });
  }

  /** Its metainfo or piece layer is on its way. */
  isOpening(imageId: string): boolean {
    return this.#opening.has(imageId);
  }

  /** Lets go of an image; its files stay in the cache. */
  release(imageId: string): Promise<void> {
    return this.#letGo(imageId, async () => {});
  }

  /** Lets go of an image and removes its files. This node is no member of its swarm any more. */
  evict(imageId: string): Promise<void> {
    this.#options.onGivenUp(imageId);
    return this.#letGo(imageId, () => this.#options.cache.remove(imageId));
  }

  async #letGo(imageId: string, andThen: () => Promise<void>): Promise<void> {
    this.#views.delete(imageId);
    this.#earlyOrders.drop(imageId);
    this.#unopened.delete(imageId);
    this.#opening.get(imageId)?.layerSwarm?.close();
    const session = this.#sessions.get(imageId);
    this.#sessions.delete(imageId);
    // It may be closing already: its files are nobody else's before that is over.
    const closed = Promise.all([this.#closing.get(imageId), session?.close()]);
    const closing = closed.then(andThen).finally(() => {
      if (this.#closing.get(imageId) === closing) this.#closing.delete(imageId);
    });
    this.#closing.set(imageId, closing);
    await closing;
  }

  /** Makes durable what is in the caches, so that close() has little to do. */
  async commit(): Promise<void> {
    await Promise.all([...this.#sessions.values()].map((session) => session.commit()));
  }

  /** What is still on its way from the tracker is not opened any more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const imageIds = [...this.#sessions.keys(), ...this.#opening.keys()];
    await Promise.all(imageIds.map((imageId) => this.release(imageId)));
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

  /** What is in the cache and waits for its piece layer, found by the rules of #findLocal(). */
  #findUnopened(image: string): Promise<ImageSession> | undefined {
    const isMeant = ({ metainfo: { imageId, name } }: SignedMetainfo): boolean =>
      name === image || (image.length >= ID_PREFIX_LENGTH_MIN && imageId.startsWith(image));
    const [found, another] = [...this.#unopened.values()].filter(isMeant);
    return found && !another
      ? this.#openOnce(found.metainfo.imageId, async () => found)
      : undefined;
  }

  #fetchOnce(imageId: string): Promise<ImageSession> {
    return this.#openOnce(imageId, () => this.#fetchMetainfo(imageId));
  }

  /** Goes on where an earlier run or attempt stopped. */
  #resume(): void {
    for (const [imageId, signed] of this.#unopened) {
      if (this.#opening.has(imageId)) continue;
      this.#openOnce(imageId, async () => signed).catch((error: unknown) => {
        const isAway = error instanceof OperatorError && error.code === 'tracker-unreachable';
        if (!isAway) this.#unopened.delete(imageId);
        const told = { image: imageId, error: messageOf(error) };
        this.#options.log.error(told, 'cached image not opened');
      });
    }
  }

  #openOnce(imageId: string, metainfo: () => Promise<SignedMetainfo>): Promise<ImageSession> {
    const known = this.#opening.get(imageId);
    if (known) return known.session;
    // Begins in a later turn, when its entry is there.
    const session = Promise.resolve(this.#closing.get(imageId))
      .then(metainfo)
      .then((signed) => this.#openSigned(signed))
      .finally(() => this.#opening.delete(imageId));
    this.#opening.set(imageId, { session });
    return session;
  }

  async #fetchMetainfo(imageId: string): Promise<SignedMetainfo> {
    const { catalogue, cache, pin } = this.#options;
    const { bytes, signed } = await catalogue.fetchMetainfo(imageId, pin.keyHex);
    if (this.#isClosed) throw stopping();
    pin.keep(signed.publicKeyHex);
    // Before the layer: an agent that is restarted now finds the image, and its swarm without a tracker.
    await cache.writeFile(imageId, METAINFO_FILE, bytes);
    return signed;
  }

  async #openSigned(signed: SignedMetainfo): Promise<ImageSession> {
    const { cache } = this.#options;
    const { imageId } = signed.metainfo;
    const layer = (await this.#layerAtHand(signed)) ?? (await this.#fetchLayer(signed));
    const directory = await cache.openImage(imageId);
    // Two stores on one file would overwrite each other's records.
    await this.#closing.get(imageId);
    const session = await this.#open(signed.metainfo, layer, directory);
    this.#unopened.delete(imageId);
    return session;
  }

  async #readMetainfo(imageId: string): Promise<SignedMetainfo> {
    const { cache, pin } = this.#options;
    const bytes = await cache.readFile(imageId, METAINFO_FILE, METAINFO_BYTES_MAX);
    if (bytes === undefined) throw new Error('its metainfo cannot be read');
    const signed = this.#known.signed(imageId, bytes, pin.keyHex);
    if (signed.metainfo.imageId !== imageId) throw new Error('its metainfo is of another image');
    return signed;
  }

  /** The piece layer that came with the metainfo or is in the cache. */
  async #layerAtHand(signed: SignedMetainfo): Promise<SessionLayer | undefined> {
    const { metainfo, pieceLayer, layerTorrent } = signed;
    if (pieceLayer) return { pieceLayer, from: 'metainfo' };
    if (layerTorrent === undefined) throw layerRefused(metainfo, 'the metainfo names none');
    const { cache, host, log } = this.#options;
    const { length } = layerTorrent.metainfo;
    const packed = await cache.readFile(metainfo.imageId, PACKED_LAYER_FILE, length);
    if (packed === undefined) return undefined;
    try {
      const unpacked = this.#known.layer(metainfo, packed);
      const swarm = new LayerSwarm(layerTorrent, host, packed);
      return { pieceLayer: unpacked, from: 'cache', swarm };
    } catch (error) {
      log.warn({ image: metainfo.imageId, error: messageOf(error) }, 'cached layer not used');
      return undefined;
    }
  }

  async #fetchLayer({ metainfo, layerTorrent }: SignedMetainfo): Promise<SessionLayer> {
    const { imageId } = metainfo;
    const { cache, catalogue, host, log, layerStallMs } = this.#options;
    const opening = this.#opening.get(imageId);
    if (layerTorrent === undefined || opening === undefined || this.#isClosed) throw stopping();
    const swarm = new LayerSwarm(layerTorrent, host);
    opening.layerSwarm = swarm;
    // The other members will dial us for the image as soon as they know of us.
    host.expect(metainfo);
    this.#options.onJoining(imageId);
    const view = this.#views.get(imageId);
    if (view) swarm.setMembers(view);
    try {
      const { layer, packed, fallback } = await fetchLayer({
        metainfo,
        swarm,
        fromTracker: () => catalogue.fetchLayer(metainfo),
        onFallback: (reason) => log.warn({ image: imageId, reason }, 'layer asked of the tracker'),
        stallMs: layerStallMs,
      });
      await cache.writeFile(imageId, PACKED_LAYER_FILE, packed);
      const from = fallback === undefined ? 'swarm' : 'tracker';
      return { pieceLayer: layer, from, swarm, fallback };
    } catch (error) {
      this.#giveUp(imageId, swarm);
      throw error;
    }
  }

  #giveUp(imageId: string, layerSwarm: LayerSwarm | undefined): void {
    layerSwarm?.close();
    this.#earlyOrders.drop(imageId);
    this.#options.host.shut(imageId);
    this.#options.onGivenUp(imageId);
  }

  async #open(metainfo: Metainfo, layer: SessionLayer, directory: string): Promise<ImageSession> {
    if (this.#isClosed) {
      layer.swarm?.close();
      throw stopping();
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
      touchBudget: this.#touchBudget,
    }).catch((error: unknown) => {
      this.#giveUp(metainfo.imageId, layer.swarm);
      throw error;
    });
    this.#sessions.set(session.id, session);
    this.#options.onJoining(session.id);
    const view = this.#views.get(session.id);
    if (view) session.setMembers(view.members, view.origins);
    if (!this.#earlyOrders.tell(session.id, session.reader.boots)) {
      this.#options.log.warn({ image: session.id }, 'boot order of the tracker not understood');
    }
    this.#options.onOpened(session);
    return session;
  }
}

function stopping(): OperatorError {
  return new OperatorError('agent-stopping', 'The agent is stopping', 'Start it again first.');
}
