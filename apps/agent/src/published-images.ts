/**
 * Opens every image that the tracker has, for those who look for images by name in a directory: asks for the list now and then.
 * An image that is opened is in its swarm, and nothing of it is fetched ahead.
 */
import { messageOf } from '@bootswarm/stdx';
import { LIMITS } from '@bootswarm/tracker-proto';
import type { Logger } from 'pino';

export interface PublishedImagesOptions {
  readonly list: () => Promise<readonly string[]>;
  readonly has: (imageId: string) => boolean;
  readonly open: (imageId: string) => Promise<unknown>;
  readonly onListed: (imageIds: readonly string[]) => void;
  readonly log: Logger;
}

/** How soon an image that was published or withdrawn is known here. */
const ASK_EVERY_MS = 5_000;
/** As many as an agent opens ahead of its guests in any case; what else there is, is opened when its name is looked up. */
const IMAGES_MAX = LIMITS.prejoinsPerAgentMax;

export class PublishedImages {
  readonly #options: PublishedImagesOptions;
  readonly #told = new Set<string>();
  #askAt = Number.NEGATIVE_INFINITY;
  #isAsking = false;
  #isClosed = false;

  constructor(options: PublishedImagesOptions) {
    this.#options = options;
  }

  /** About once a second. */
  tick(now: number): void {
    if (this.#isAsking || now < this.#askAt) return;
    this.#askAt = now + ASK_EVERY_MS;
    this.#isAsking = true;
    void this.#ask().finally(() => {
      this.#isAsking = false;
    });
  }

  close(): void {
    this.#isClosed = true;
  }

  async #ask(): Promise<void> {
    const { list, has, open, onListed } = this.#options;
    let imageIds: readonly string[];
    try {
      imageIds = await list();
    } catch {
      return; // Its absence is told elsewhere: what was known goes on.
    }
    onListed(imageIds);
    for (const imageId of imageIds.slice(0, IMAGES_MAX)) {
      if (this.#isClosed) return;
      if (has(imageId)) continue;
      await open(imageId).catch((error: unknown) => this.#failed(imageId, error));
    }
  }

  #failed(image: string, error: unknown): void {
    if (this.#told.has(image) || this.#isClosed) return;
    if (this.#told.size >= IMAGES_MAX) this.#told.clear();
    this.#told.add(image);
    this.#options.log.warn({ image, error: messageOf(error) }, 'published image not opened');
  }
}
