/** Looks after the caches of all images while the agent runs, by the second. */
import type { CacheStatus } from './api.ts';
import type { ImageLibrary } from './image-library.ts';
import { Scrubber } from './scrubber.ts';

export interface CacheKeeperOptions {
  readonly library: ImageLibrary;
  /** 0: caches are not searched for rot. */
  readonly scrubBytesPerSecond: number;
}

export class CacheKeeper {
  readonly #options: CacheKeeperOptions;
  readonly #scrubber: Scrubber;

  constructor(options: CacheKeeperOptions) {
    const { library, scrubBytesPerSecond } = options;
    this.#options = options;
    this.#scrubber = new Scrubber({
      bytesPerSecond: scrubBytesPerSecond,
      sessions: () => library.sessions,
    });
  }

  /** About once a second. */
  tick(now: number): void {
    this.#scrubber.tick(now);
  }

  status(): CacheStatus {
    return { scrubBytesPerSecond: this.#options.scrubBytesPerSecond };
  }

  async close(): Promise<void> {
    await this.#scrubber.close();
  }
}
