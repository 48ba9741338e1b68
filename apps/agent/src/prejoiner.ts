/**
 * Opens images that the tracker tells of before a guest wants them, so that this node has its place in their swarms when a storm
 * begins. One at a time, and only so many: what guests want has room of its own. Nothing of an image is fetched ahead because
 * of this; that is FillPolicy's matter.
 */
import { LIMITS } from '@bootswarm/tracker-proto';

export interface PrejoinerOptions {
  /** How many images this node has open. */
  imageCount(): number;
  has(image: string): boolean;
  /** Fetches and opens an image, after which it is in its swarm. */
  open(image: string): Promise<unknown>;
  /** An image could not be opened; not told again until it could. */
  onFailed(image: string, error: unknown): void;
}

const IMAGES_MAX = LIMITS.prejoinsPerAgentMax;

export class Prejoiner {
  readonly #options: PrejoinerOptions;
  /** In the order in which they were told; the first is being opened. */
  readonly #waiting = new Set<string>();
  readonly #failed = new Set<string>();
  #isOpening = false;

  constructor(options: PrejoinerOptions) {
    this.#options = options;
  }

  /** The tracker tells of an image, perhaps not for the first time: one that failed is tried again. */
  published(image: string): void {
    if (this.#options.has(image) || this.#waiting.size >= IMAGES_MAX) return;
    this.#waiting.add(image);
    if (!this.#isOpening) void this.#openWaiting();
  }

  close(): void {
    this.#waiting.clear();
  }

  async #openWaiting(): Promise<void> {
    this.#isOpening = true;
    for (const image of this.#waiting) {
      if (!this.#options.has(image) && this.#options.imageCount() < IMAGES_MAX) {
        await this.#open(image);
      }
      this.#waiting.delete(image);
    }
    this.#isOpening = false;
  }

  async #open(image: string): Promise<void> {
    try {
      await this.#options.open(image);
      this.#failed.delete(image);
    } catch (error) {
      if (this.#failed.has(image) || !this.#waiting.has(image)) return;
      // Images that are gone are heard of no more: rather told twice than kept for ever.
      if (this.#failed.size >= IMAGES_MAX) this.#failed.clear();
      this.#failed.add(image);
      this.#options.onFailed(image, error);
    }
  }
}
