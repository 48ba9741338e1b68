/**
 * The images of Glance that are to be imported: some at a time, each once, what failed again after a while that grows. Gives up
 * an import that nobody wants any more.
 */
import type { GlanceImage } from '@bootswarm/openstack';
import { messageOf, OperatorError } from '@bootswarm/stdx';
import type { Logger } from 'pino';
import type { GlanceImageStatus } from '../api.ts';

export interface ImportsOptions {
  readonly import: (glanceId: string, signal: AbortSignal) => Promise<void>;
  /** Before the second attempt; doubled before each further one. */
  readonly retryMs: number;
  readonly log: Logger;
}

export interface WantedImage {
  readonly image: GlanceImage;
  /** Why it cannot be had; undefined: it can. */
  readonly why: string | undefined;
}

/** Two: while one is hashed, which takes all cores, the next one comes over the network. Operators may publish two more. */
const IMPORTS_MAX = 2;
const RETRY_MS_MAX = 60 * 60_000;

interface Entry {
  image: GlanceImage;
  state: 'waiting' | 'importing' | 'failed' | 'unusable' | 'done';
  error: string | undefined;
  failures: number;
  /** Of performance.now(). */
  retryAt: number;
  readonly stop: AbortController;
  work: Promise<void>;
}

export class Imports {
  readonly #options: ImportsOptions;
  readonly #entries = new Map<string, Entry>();
  #isClosed = false;

  constructor(options: ImportsOptions) {
    this.#options = options;
  }

  /** What is missing now; called at each look. */
  want(missing: readonly WantedImage[]): void {
    for (const { image, why } of missing) {
      const entry = this.#entries.get(image.id) ?? newEntry(image);
      this.#entries.set(image.id, entry);
      entry.image = image;
      if (entry.state === 'importing') continue;
      if (why !== undefined) Object.assign(entry, { state: 'unusable', error: why });
      else if (entry.state !== 'failed') entry.state = 'waiting';
    }
    this.#begin();
  }

  /** The others are given up, and forgotten. */
  keepOnly(wanted: ReadonlySet<string>): void {
    for (const [id, entry] of this.#entries) {
      if (wanted.has(id)) continue;
      entry.stop.abort(new Error('Glance does not want it published any more'));
      if (entry.state !== 'importing') this.#entries.delete(id);
    }
  }

  status(imageOf: (glanceId: string) => string | undefined): GlanceImageStatus[] {
    return Array.from(this.#entries.values(), ({ image, state, error, failures }) => {
      const { id, name } = image;
      const known = imageOf(id);
      const shown = known !== undefined ? 'published' : state === 'done' ? 'waiting' : state;
      return {
        ...{ id, name, failures },
        state: shown,
        ...(known !== undefined && { image: known }),
        ...(error !== undefined && { error }),
      };
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const { stop } of this.#entries.values()) stop.abort(new Error('the tracker stops'));
    await Promise.all(Array.from(this.#entries.values(), ({ work }) => work));
  }

  #begin(): void {
    const entries = [...this.#entries.values()];
    let running = entries.filter(({ state }) => state === 'importing').length;
    const now = performance.now();
    for (const entry of entries) {
      if (this.#isClosed || running >= IMPORTS_MAX) return;
      const isDue = entry.state === 'waiting' || (entry.state === 'failed' && entry.retryAt <= now);
      if (!isDue) continue;
      running += 1;
      entry.state = 'importing';
      entry.work = this.#import(entry);
    }
  }

  async #import(entry: Entry): Promise<void> {
    const { log, retryMs } = this.#options;
    const { id } = entry.image;
    try {
      await this.#options.import(id, entry.stop.signal);
      Object.assign(entry, { state: 'done', error: undefined, failures: 0 });
    } catch (error) {
      if (entry.stop.signal.aborted) {
        this.#entries.delete(id);
      } else if (isBusy(error)) {
        entry.state = 'waiting';
        return;
      } else {
        entry.failures += 1;
        const waitMs = Math.min(RETRY_MS_MAX, retryMs * 2 ** Math.min(entry.failures - 1, 20));
        entry.retryAt = performance.now() + waitMs;
        Object.assign(entry, { state: 'failed', error: messageOf(error) });
        log.warn({ glance: id, error: messageOf(error), waitMs }, 'image of Glance not imported');
      }
    }
    this.#begin();
  }
}

function newEntry(image: GlanceImage): Entry {
  return {
    image,
    state: 'waiting',
    error: undefined,
    failures: 0,
    retryAt: 0,
    stop: new AbortController(),
    work: Promise.resolve(),
  };
}

/** Somebody else is publishing it, or too much else: no fault of the image. */
function isBusy(error: unknown): boolean {
  const { code } = error instanceof OperatorError ? error : { code: '' };
  return code === 'publish-under-way' || code === 'too-many-publishes';
}
