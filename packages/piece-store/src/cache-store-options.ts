/** What a cache store is opened with, and what it tells of itself. */
import type { Metainfo, PieceLayer } from '@bootswarm/metainfo';
import type { ScrubStats } from './scrub.ts';
import type { OnStoreEvent } from './store-event.ts';
import type { StoreDisk } from './store-file.ts';

/** Runs `callback` once after `delayMs`; the returned function cancels it. */
export type SetTimer = (callback: () => void, delayMs: number) => () => void;

export interface CacheStoreOptions {
  /** The image's own directory, which exists. */
  readonly directory: string;
  readonly metainfo: Pick<Metainfo, 'infoHash' | 'length' | 'pieceLength' | 'pieceCount'>;
  readonly layer: PieceLayer;
  /** Called within store methods and I/O callbacks: must not throw. */
  readonly onEvent: OnStoreEvent;
  readonly disk?: StoreDisk;
  readonly setTimer?: SetTimer;
  /** Memory for hot pieces; default 64 MiB. */
  readonly hotBytesMax?: number;
  /** Bytes in the write queue from which isQueueFull; default 64 MiB, which a disk that stalls may hold of our memory. */
  readonly queueBytesMax?: number;
  /** Default 1000: what a power cut may cost. */
  readonly commitIntervalMs?: number;
  /** Written bytes that start a commit before its time; default 64 MiB. */
  readonly commitBytesMax?: number;
  /** How often a store in memory-only mode tries the disk again; default 3000. */
  readonly probeIntervalMs?: number;
}

export interface CacheStoreStats {
  /** Bytes of held pieces in the cache file. */
  readonly storedBytes: number;
  readonly hotBytes: number;
  readonly queueBytes: number;
  /** The newest commit known to be durable; 0 before the first. */
  readonly generation: number;
  readonly mode: 'normal' | 'memory-only';
  readonly scrub: ScrubStats;
}

/** The SetTimer of a process that may end while it waits. */
export function setUnrefTimer(callback: () => void, delayMs: number): () => void {
  const timer = setTimeout(callback, delayMs);
  timer.unref();
  return () => clearTimeout(timer);
}
