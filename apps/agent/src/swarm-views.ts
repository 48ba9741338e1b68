/** The last view of each swarm, told or read from the cache, and kept in the cache a while after it has changed. */
import type { CacheDirectory } from '@bootswarm/piece-store';
import { decodeSwarmView, encodeSwarmView, type SwarmView } from './swarm-view.ts';

const FILE = 'members';
/** 2,000 members of some 200 bytes; a longer list is not kept, a restarted agent then waits for the tracker. */
const BYTES_MAX = 1024 * 1024;

export class SwarmViews {
  readonly #cache: CacheDirectory;
  readonly #views = new Map<string, SwarmView>();
  readonly #toKeep = new Set<string>();

  constructor(cache: CacheDirectory) {
    this.#cache = cache;
  }

  get(imageId: string): SwarmView | undefined {
    return this.#views.get(imageId);
  }

  /** As the tracker told it. */
  set(imageId: string, view: SwarmView): void {
    this.#views.set(imageId, view);
    this.#toKeep.add(imageId);
  }

  delete(imageId: string): void {
    this.#views.delete(imageId);
  }

  /** What is in the cache from before, if anything. */
  async read(imageId: string): Promise<void> {
    const bytes = await this.#cache.readFile(imageId, FILE, BYTES_MAX);
    const view = bytes && decodeSwarmView(bytes);
    if (view) this.#views.set(imageId, view);
  }

  /** Writes what has changed since the last call. Called now and then; `onFailed` hears of what could not be kept. */
  keep(onFailed: (imageId: string, error: unknown) => void): void {
    for (const imageId of this.#toKeep) {
      this.#toKeep.delete(imageId);
      const view = this.#views.get(imageId);
      const bytes = view && encodeSwarmView(view);
      if (bytes === undefined || bytes.length > BYTES_MAX) continue;
      this.#cache.writeFile(imageId, FILE, bytes).catch((error: unknown) => {
        onFailed(imageId, error);
      });
    }
  }
}
