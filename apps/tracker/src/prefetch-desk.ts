/**
 * The prefetch orders of this tracker on the real clock: PrefetchOrderBook between the agents' connections, the file that keeps
 * it, and the HTTP API. Also remembers what nodes say they hold of boot orders. Which node does what is the book's decision.
 */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, messageOf, OperatorError } from '@bootswarm/stdx';
import {
  type AgentMessage,
  type NodeIdentity,
  PREFETCHES_MAX,
  type PrefetchEffect,
  PrefetchOrderBook,
  type PrefetchStats,
  type PrefetchTask,
} from '@bootswarm/tracker-proto';
import type { Logger } from 'pino';
import type { PrefetchRequest } from './api.ts';
import { replaceFile } from './durable-file.ts';
import {
  decodePrefetches,
  encodePrefetches,
  PREFETCH_BYTES_MAX,
  PREFETCH_FILE,
} from './prefetch-file.ts';

/** A state that is lost in a crash is told again by its node. */
const KEEP_MS = 1_000;
/** What setTimeout() takes. */
const TIMEOUT_MS_MAX = 2 ** 31 - 1;

export interface BootHeld {
  readonly pieces: number;
  readonly piecesHad: number;
}

type AboutPrefetch = Extract<AgentMessage, { type: 'prefetch-state' | 'boot-held' }>;

export class PrefetchDesk {
  readonly #path: string;
  readonly #log: Logger;
  readonly #book: PrefetchOrderBook;
  readonly #tell: (node: string, tasks: readonly PrefetchTask[]) => void;
  /** By node, then image. */
  readonly #bootHeld = new Map<string, Map<string, BootHeld>>();
  #keeping: Promise<void> = Promise.resolve();
  #keepTimer: NodeJS.Timeout | undefined;
  #wakeTimer: NodeJS.Timeout | undefined;

  private constructor(
    path: string,
    book: PrefetchOrderBook,
    log: Logger,
    tell: (node: string, tasks: readonly PrefetchTask[]) => void,
  ) {
    this.#path = path;
    this.#book = book;
    this.#log = log;
    this.#tell = tell;
    this.#drain();
  }

  static async open(
    dataDir: string,
    log: Logger,
    tell: (node: string, tasks: readonly PrefetchTask[]) => void,
  ): Promise<PrefetchDesk> {
    const path = join(dataDir, PREFETCH_FILE);
    const text = await readFile(path, 'utf8').catch((error: unknown) => {
      if (errnoOf(error) !== 'ENOENT')
        log.error({ path, error: messageOf(error) }, 'prefetch orders lost');
      return undefined;
    });
    try {
      if (text !== undefined && text.length > PREFETCH_BYTES_MAX) throw new Error('it is too long');
      const records = text === undefined ? [] : decodePrefetches(text);
      return new PrefetchDesk(path, new PrefetchOrderBook(records, Date.now()), log, tell);
    } catch (error) {
      log.error({ path, error: messageOf(error) }, 'prefetch orders lost');
      return new PrefetchDesk(path, new PrefetchOrderBook([], Date.now()), log, tell);
    }
  }

  /** Resolves when the order is on the disk. */
  async add(image: string, request: Omit<PrefetchRequest, 'image'>): Promise<PrefetchStats> {
    const now = Date.now();
    const { nodes, zone, deadlineSeconds, ttlSeconds } = request;
    const id = randomBytes(8).toString('hex');
    const spec = {
      id,
      image,
      ...(nodes !== undefined && { nodes: [...new Set(nodes)] }),
      ...(zone !== undefined && { zone }),
      // A number of copies alone asks for no more than that.
      percent: request.percent ?? (request.minCopies !== undefined && zone === undefined ? 0 : 100),
      minCopies: request.minCopies ?? 0,
      bootOrderOnly: request.bootOrderOnly ?? false,
      priority: request.priority ?? 5,
      isPinned: request.pin ?? false,
      createdAtMs: now,
      ...(deadlineSeconds !== undefined && { deadlineAtMs: now + deadlineSeconds * 1_000 }),
      ...(ttlSeconds !== undefined && { expiresAtMs: now + ttlSeconds * 1_000 }),
    };
    if (!this.#book.add(spec, now)) {
      throw new OperatorError(
        'too-many-prefetches',
        `There are ${PREFETCHES_MAX} prefetch orders already`,
        'Cancel those that are not needed any more: bootswarm prefetch list.',
      );
    }
    this.#drain();
    await this.#keepNow();
    return this.find(id);
  }

  /** Throws OperatorError `prefetch-not-found`. */
  find(id: string): PrefetchStats {
    const found = this.#book.get(id);
    if (found !== undefined) return found;
    throw prefetchNotFound(id);
  }

  list(): PrefetchStats[] {
    return this.#book.list();
  }

  /** Resolves when that is on the disk. Throws OperatorError `prefetch-not-found`. */
  async cancel(id: string): Promise<void> {
    this.find(id);
    this.#book.cancel(id, Date.now());
    this.#drain();
    await this.#keepNow();
  }

  imageWithdrawn(image: string): void {
    this.#book.imageWithdrawn(image, Date.now());
    this.#drain();
    for (const images of this.#bootHeld.values()) images.delete(image);
  }

  nodeConnected(identity: NodeIdentity): void {
    this.#book.nodeConnected(identity, Date.now());
    this.#drain();
  }

  nodeGone(node: string): void {
    this.#bootHeld.delete(node);
    this.#book.nodeGone(node, Date.now());
    this.#drain();
  }

  /** `images`: of the swarms that the node is in; others do not count. */
  heard(node: string, message: AboutPrefetch, images: ReadonlySet<string>): void {
    if (message.type === 'boot-held') {
      if (!images.has(message.image)) return;
      const { image, pieces, piecesHad } = message;
      const held = this.#bootHeld.get(node) ?? new Map<string, BootHeld>();
      for (const each of held.keys()) if (!images.has(each)) held.delete(each);
      this.#bootHeld.set(node, held.set(image, { pieces, piecesHad }));
      return;
    }
    const { order, state, piecesHad, piecesWanted, code } = message;
    this.#book.report(node, order, { state, piecesHad, piecesWanted, code }, Date.now());
    this.#drain();
  }

  bootHeld(node: string, image: string): BootHeld | undefined {
    return this.#bootHeld.get(node)?.get(image);
  }

  async close(): Promise<void> {
    clearTimeout(this.#wakeTimer);
    await this.#keepNow();
  }

  #drain(): void {
    for (let effect = this.#book.poll(); effect !== undefined; effect = this.#book.poll()) {
      this.#carryOut(effect);
    }
    clearTimeout(this.#wakeTimer);
    const at = this.#book.timeout();
    if (at === undefined) return;
    const waitMs = Math.min(TIMEOUT_MS_MAX, Math.max(0, at - Date.now()) + 1);
    this.#wakeTimer = setTimeout(() => {
      this.#book.wake(Date.now());
      this.#drain();
    }, waitMs);
  }

  #carryOut(effect: PrefetchEffect): void {
    if (effect.type === 'tell') this.#tell(effect.node, effect.tasks);
    else if (effect.type === 'late') this.#log.warn({ order: effect.id }, 'prefetch order is late');
    else this.#keepTimer ??= setTimeout(() => void this.#keepNow(), KEEP_MS);
  }

  #keepNow(): Promise<void> {
    clearTimeout(this.#keepTimer);
    this.#keepTimer = undefined;
    this.#keeping = this.#keeping.then(async () => {
      try {
        await replaceFile(this.#path, encodePrefetches(this.#book.records()), 0o644);
      } catch (error) {
        this.#log.error({ path: this.#path, error: messageOf(error) }, 'prefetch orders not kept');
      }
    });
    return this.#keeping;
  }
}

export function prefetchNotFound(id: string): OperatorError {
  return new OperatorError(
    'prefetch-not-found',
    `There is no prefetch order ${JSON.stringify(id.slice(0, 64))}`,
    'List them with: bootswarm prefetch list.',
  );
}
