/**
 * What a prefetch order is, what is known of how it goes on each node, and what is kept of it. Types; PrefetchOrderBook
 * decides.
 */
import type { PrefetchScope } from './prefetch-choice.ts';

/** As it was given. Times are milliseconds of the wall clock. */
export interface PrefetchSpec extends PrefetchScope {
  /** 16 hex digits. */
  readonly id: string;
  readonly image: string;
  /** Only what the boot orders name. */
  readonly bootOrderOnly: boolean;
  /** 0 to 9: of a node's orders the highest goes first, alone. */
  readonly priority: number;
  /** Nothing evicts it while the order lasts. */
  readonly isPinned: boolean;
  readonly createdAtMs: number;
  /** Who is not done by then is late; it goes on. */
  readonly deadlineAtMs?: number;
  /** Then the order is over, and its pins are released. */
  readonly expiresAtMs?: number;
}

/** What an agent says of one order. */
export type PrefetchState = 'waiting' | 'fetching' | 'done' | 'failed';

export interface NodePrefetch {
  readonly state: PrefetchState;
  readonly piecesHad: number;
  /** 0 until the node knows. */
  readonly piecesWanted: number;
  /** Why it failed, kebab-case; else empty. */
  readonly code: string;
}

export type PrefetchEnd = 'expired' | 'cancelled' | 'withdrawn';

/** What is durable of an order. */
export interface PrefetchRecord {
  readonly spec: PrefetchSpec;
  /** Undefined: it lasts. */
  readonly end?: PrefetchEnd;
  readonly nodes: readonly (readonly [node: string, NodePrefetch])[];
}

/** What a node is told of an order. */
export interface PrefetchTask {
  readonly id: string;
  readonly image: string;
  readonly bootOrderOnly: boolean;
  readonly priority: number;
  readonly isPinned: boolean;
  /** From when it is told; 0: never. */
  readonly expiresInMs: number;
}

export interface PrefetchStats extends PrefetchRecord {
  readonly isLate: boolean;
  /** All its nodes are done, and there are some. */
  readonly isDone: boolean;
}

export type PrefetchEffect =
  /** All that this node has to do; what it had before and is not among them is over. */
  | { readonly type: 'tell'; readonly node: string; readonly tasks: readonly PrefetchTask[] }
  /** records() has changed in what must not be lost. */
  | { readonly type: 'keep' }
  /** The deadline has passed without all nodes being done. */
  | { readonly type: 'late'; readonly id: string };

/** Orders of a cloud at once; each may name every node. */
export const PREFETCHES_MAX = 256;
/** Orders that are over, for people to look at. */
export const PREFETCHES_ENDED_MAX = 100;
export const PRIORITY_MAX = 9;
export const PREFETCH_ID = /^[0-9a-f]{16}$/;
