/** Measures what the rules of tracker-proto want to know of this node; logs each alarm when it comes and when it goes. */
import { statfs } from 'node:fs/promises';
import {
  type Alarm,
  AlarmBoard,
  type AlarmChange,
  type AlarmCode,
  type Condition,
  diskNearlyFull,
  FALLBACK_REASONS,
  FallbackRule,
  readWaiting,
} from '@bootswarm/tracker-proto';
import type { Logger } from 'pino';
import type { ImageStatus } from '../api.ts';

/** What the agent's images and cache are like now. */
export interface AlarmFacts {
  readonly images: readonly AlarmImage[];
  readonly isTrackerConnected: boolean;
  readonly isCacheFull: boolean;
}

export type AlarmImage = Pick<
  ImageStatus,
  | 'id'
  | 'name'
  | 'readsWaiting'
  | 'oldestReadWaitMs'
  | 'peers'
  | 'bytesFromPeers'
  | 'bytesFromOrigin'
  | 'originRequests'
>;

export interface AgentAlarmsOptions {
  readonly node: string;
  readonly cacheDir: string;
  readonly log: Logger;
}

/** A disk does not fill in a second. */
const DISK_EVERY_MS = 5_000;

export class AgentAlarms {
  readonly #options: AgentAlarmsOptions;
  readonly #board: AlarmBoard;
  readonly #fallbacks = new Map<string, FallbackRule>();
  #disk: { readonly bytesFree: number; readonly bytesTotal: number } | undefined;
  #diskLookedAt = Number.NEGATIVE_INFINITY;

  constructor(options: AgentAlarmsOptions) {
    this.#options = options;
    this.#board = new AlarmBoard(options.node, (ms) => new Date(ms).toISOString());
  }

  get all(): Alarm[] {
    return this.#board.alarms;
  }

  count(code: AlarmCode): number {
    return this.#board.count(code);
  }

  /** Of the cache's disk, as of the last look. */
  get diskBytesFree(): number {
    return this.#disk?.bytesFree ?? 0;
  }

  /** About once a second; in milliseconds since 1970. */
  tick(facts: AlarmFacts, nowMs: number): void {
    if (nowMs - this.#diskLookedAt >= DISK_EVERY_MS) {
      this.#diskLookedAt = nowMs;
      void this.look();
    }
    const conditions = [...this.#ofImages(facts, nowMs), this.#ofDisk(facts)];
    const present = conditions.filter((each): each is Condition => each !== undefined);
    for (const change of this.#board.update(present, nowMs)) this.#log(change);
  }

  /** Measures the disk. */
  async look(): Promise<void> {
    try {
      const { bavail, blocks, bsize } = await statfs(this.#options.cacheDir);
      this.#disk = { bytesFree: bavail * bsize, bytesTotal: blocks * bsize };
    } catch (error) {
      this.#options.log.debug({ err: error }, 'free space not known');
    }
  }

  #ofImages({ images, isTrackerConnected }: AlarmFacts, nowMs: number): (Condition | undefined)[] {
    const ids = new Set(images.map(({ id }) => id));
    for (const id of this.#fallbacks.keys()) if (!ids.has(id)) this.#fallbacks.delete(id);
    return images.flatMap((image) => {
      const { name: imageName, readsWaiting, oldestReadWaitMs: oldestWaitMs, peers } = image;
      return [
        readWaiting({ imageName, readsWaiting, oldestWaitMs, peers, isTrackerConnected }),
        this.#fallbackOf(image, nowMs),
      ];
    });
  }

  #fallbackOf(image: AlarmImage, nowMs: number): Condition | undefined {
    const { id, name, bytesFromPeers, bytesFromOrigin, originRequests } = image;
    let rule = this.#fallbacks.get(id);
    if (rule === undefined) {
      rule = new FallbackRule();
      this.#fallbacks.set(id, rule);
    }
    const fallen = FALLBACK_REASONS.map((reason) => originRequests[reason] ?? 0);
    const piecesFallenBack = fallen.reduce((sum, count) => sum + count, 0);
    return rule.at(name, { bytesFromPeers, bytesFromOrigin, piecesFallenBack }, nowMs);
  }

  #ofDisk({ isCacheFull }: AlarmFacts): Condition | undefined {
    const { cacheDir: directory } = this.#options;
    if (this.#disk === undefined) return undefined;
    const isRaised = this.#board.isRaised('disk-nearly-full', directory);
    return diskNearlyFull({ directory, ...this.#disk, isCacheFull }, isRaised);
  }

  #log({ type, alarm }: AlarmChange): void {
    if (type === 'raised') this.#options.log.warn({ alarm }, 'alarm raised');
    else this.#options.log.info({ alarm }, 'alarm cleared');
  }
}
