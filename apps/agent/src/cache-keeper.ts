/**
 * Looks after the caches of all images while the agent runs: has them scrubbed, measures what they take, and keeps that below the
 * operator's limit. What is evicted first is decided in eviction.ts.
 */
import type { CacheDirectory, CachedImage } from '@bootswarm/piece-store';
import { messageOf } from '@bootswarm/stdx';
import type { Logger } from 'pino';
import type { CacheStatus, CacheUse } from './api.ts';
import { HIGH_WATERMARK, imagesToEvict, UNUSED_MS_MIN } from './eviction.ts';
import type { ImageLibrary } from './image-library.ts';
import type { ImageSession } from './image-session.ts';
import { Scrubber } from './scrubber.ts';

export interface CacheKeeperOptions {
  readonly cache: CacheDirectory;
  readonly library: ImageLibrary;
  readonly log: Logger;
  /** 0: caches are not searched for rot. */
  readonly scrubBytesPerSecond: number;
  /** Undefined: caches may take all of the disk. */
  readonly cacheBytesMax?: number;
  /** Whether images that guests use may lose their pieces when nothing else is left to evict. */
  readonly evictRunning: boolean;
}

/** Without a limit only `status` wants to know. */
const LOOK_UNLIMITED_MS = 10_000;
/** How exactly a restarted agent knows when an image was used. */
const MARK_USED_MS = 60_000;
/** What a file system or a missing program refuses, it will refuse a second later. */
const RETRY_MS = 60_000;

export class CacheKeeper {
  /** Whether guests that are not there now will need the image; to be set before the first tick. */
  isPromised: (imageId: string) => boolean = () => false;
  /** Whether a VM reads the image's file without us, or may: no piece of it may go. To be set before the first tick. */
  isPinned: (imageId: string) => boolean = () => false;
  #isKept: (imageId: string) => boolean = () => false;
  readonly #options: CacheKeeperOptions;
  readonly #scrubber: Scrubber;
  #images: readonly CachedImage[] = [];
  /** Milliseconds since 1970, by image: newer than what the directory remembers. */
  readonly #usedAt = new Map<string, number>();
  readonly #markedAt = new Map<string, number>();
  #lookedAt = Number.NEGATIVE_INFINITY;
  #looking: Promise<void> | undefined;
  #isFull = false;
  /** When pieces of images in use may be evicted again. */
  #evictRunningAt = Number.NEGATIVE_INFINITY;

  constructor(options: CacheKeeperOptions) {
    const { library, scrubBytesPerSecond } = options;
    this.#options = options;
    this.#scrubber = new Scrubber({
      bytesPerSecond: scrubBytesPerSecond,
      sessions: () => library.sessions,
    });
  }

  /** What `isKept` says stays too, for other reasons than a guest: not even its pieces go. */
  keepToo(isKept: (imageId: string) => boolean): void {
    this.#isKept = isKept;
  }

  /** About once a second. */
  tick(now: number): void {
    this.#scrubber.tick(now);
    const isLimited = this.#options.cacheBytesMax !== undefined;
    if (this.#looking !== undefined) return;
    if (!isLimited && now - this.#lookedAt < LOOK_UNLIMITED_MS) return;
    this.#lookedAt = now;
    this.#looking = this.#look(now).catch((error: unknown) => {
      this.#options.log.warn({ error: messageOf(error) }, 'cache not looked after');
    });
    void this.#looking.then(() => {
      this.#looking = undefined;
    });
  }

  /** Whether an image may not leave the cache. */
  isInUse(imageId: string): boolean {
    const { library } = this.#options;
    const isNeeded =
      library.isOpening(imageId) || this.isPromised(imageId) || this.isPinned(imageId);
    if (this.#isKept(imageId)) return true;
    return isNeeded || library.get(imageId)?.isInUse === true;
  }

  /** Of an image that was opened just now. */
  admit(session: ImageSession): void {
    session.isKeeping = !this.#isFull;
  }

  status(): CacheStatus {
    const { scrubBytesPerSecond, cacheBytesMax } = this.#options;
    return {
      bytesUsed: this.#bytesUsed(),
      bytesMax: cacheBytesMax ?? null,
      isFull: this.#isFull,
      scrubBytesPerSecond,
    };
  }

  /** As of the last look. */
  useOf(imageId: string): CacheUse {
    const image = this.#images.find((each) => each.imageId === imageId);
    const usedAt = this.#usedAt.get(imageId) ?? image?.lastUsedAt;
    return {
      diskBytes: image?.diskBytes ?? 0,
      lastUsedAt: usedAt === undefined ? null : new Date(usedAt).toISOString(),
    };
  }

  /** Resolves when the look that a tick has begun is over. */
  async idle(): Promise<void> {
    await this.#looking;
  }

  async close(): Promise<void> {
    await this.#scrubber.close();
    await this.idle();
  }

  async #look(now: number): Promise<void> {
    const { cache, cacheBytesMax } = this.#options;
    await this.#noteUse();
    this.#images = await cache.list();
    this.#forgetRemoved();
    if (cacheBytesMax === undefined) return;
    if (await this.#evictUnused(cacheBytesMax)) this.#images = await cache.list();
    const isOver = this.#bytesUsed() > cacheBytesMax * HIGH_WATERMARK;
    if (isOver && (await this.#evictRunning(now))) this.#images = await cache.list();
    this.#limit(cacheBytesMax);
  }

  async #noteUse(): Promise<void> {
    const { cache, library, log } = this.#options;
    const now = Date.now();
    for (const { id, wantedAt } of library.sessions) {
      if (wantedAt > (this.#usedAt.get(id) ?? 0)) this.#usedAt.set(id, wantedAt);
      if (!this.isInUse(id)) continue;
      this.#usedAt.set(id, now);
      if (now - (this.#markedAt.get(id) ?? 0) < MARK_USED_MS) continue;
      this.#markedAt.set(id, now);
      await cache.markUsed(id).catch((error: unknown) => {
        log.warn({ image: id, error: messageOf(error) }, 'use of an image not noted');
      });
    }
  }

  /** What was known of images that are no more. */
  #forgetRemoved(): void {
    const { library } = this.#options;
    const present = new Set(this.#images.map(({ imageId }) => imageId));
    for (const { id } of library.sessions) present.add(id);
    for (const known of [this.#usedAt, this.#markedAt]) {
      for (const imageId of known.keys()) if (!present.has(imageId)) known.delete(imageId);
    }
  }

  async #evictUnused(bytesMax: number): Promise<boolean> {
    const { library, log } = this.#options;
    const images = this.#images.map((image) => ({
      ...image,
      lastUsedAt: this.#usedAt.get(image.imageId) ?? image.lastUsedAt,
      isInUse: this.isInUse(image.imageId),
    }));
    const chosen = imagesToEvict(images, bytesMax, Date.now());
    for (const imageId of chosen) {
      // A guest may have come since, or be about to.
      const wantedAt = library.get(imageId)?.wantedAt ?? 0;
      if (this.isInUse(imageId) || Math.abs(Date.now() - wantedAt) < UNUSED_MS_MIN) continue;
      log.info({ image: imageId }, 'image evicted');
      await library.evict(imageId).catch((error: unknown) => {
        log.error({ image: imageId, error: messageOf(error) }, 'image not removed');
      });
    }
    return chosen.length > 0;
  }

  /** The largest first: each that loses its pieces costs its guests a boot's worth of reads. */
  async #evictRunning(now: number): Promise<boolean> {
    const { library, log, evictRunning } = this.#options;
    if (!evictRunning || now < this.#evictRunningAt) return false;
    for (const { imageId } of this.#images.toSorted((a, b) => b.diskBytes - a.diskBytes)) {
      const session = library.get(imageId);
      const isPinned = (): boolean => this.isPinned(imageId) || this.#isKept(imageId);
      try {
        if (session === undefined || !(await session.evictPieces(isPinned))) continue;
      } catch (error) {
        this.#evictRunningAt = now + RETRY_MS;
        const hint = 'It takes fallocate of util-linux, and a file system that has holes.';
        const told = { image: imageId, error: messageOf(error), hint };
        log.warn(told, 'space of evicted pieces not given back');
        return false;
      }
      log.warn({ image: imageId }, 'pieces of an image in use evicted');
      return true;
    }
    return false;
  }

  /** Once the limit is reached nothing more is kept, until the high watermark is passed downwards. */
  #limit(bytesMax: number): void {
    const used = this.#bytesUsed();
    if (used >= bytesMax) this.#isFull = true;
    else if (used <= bytesMax * HIGH_WATERMARK) this.#isFull = false;
    for (const session of this.#options.library.sessions) this.admit(session);
  }

  #bytesUsed(): number {
    return this.#images.reduce((sum, { diskBytes }) => sum + diskBytes, 0);
  }
}
