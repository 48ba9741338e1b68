/**
 * GET /v1/overview, and what GET /v1/overview/stream sends as Server-Sent Events: the whole cloud at one look, for a page or a
 * terminal that shows it live. The stream begins with an Overview, and an event `overview` follows every second; those have only
 * the last STREAM_SAMPLES samples of the storm, to be merged by `at`, as an event may be missed.
 */
import type { Alarm } from '@bootswarm/tracker-proto';

/** Seconds of history in GET /v1/overview: five minutes, longer than a boot storm takes. */
export const HISTORY_SECONDS = 300;
/** In an event: whoever missed fewer in a row has no gap. */
export const STREAM_SAMPLES = 10;
/** Of `nodes`, those that do most first; GET /v1/nodes has all. */
export const NODES_MAX = 1_000;
/** Of `originReads`, the newest. */
export const ORIGIN_READS_MAX = 100;

export interface Overview {
  /** RFC 3339, of the tracker's clock. */
  readonly at: string;
  readonly tracker: {
    readonly version: string;
    readonly uptimeSeconds: number;
    /** Agents that are connected. */
    readonly agents: number;
    /** Whether the origin is up. */
    readonly hasOrigin: boolean;
  };
  readonly now: StormSample;
  /** One per second, the oldest first, without gaps. */
  readonly samples: readonly StormSample[];
  /** That which is on, or was last; null when none was since the tracker's start. */
  readonly storm: Storm | null;
  readonly images: readonly ImageOverview[];
  readonly zones: readonly ZoneOverview[];
  readonly nodes: readonly NodeOverview[];
  /** Nodes that are not in `nodes`. */
  readonly nodesLeftOut: number;
  /** The newest first. */
  readonly originReads: readonly OriginRead[];
  /** Pieces asked of the origin since the tracker's start, by reason (OriginReason of swarm-proto). */
  readonly originReasons: Readonly<Record<string, number>>;
  readonly alarms: readonly Alarm[];
}

/** Bytes by where they came from. */
export interface BytesBySource {
  /** Were in the node's cache when a guest read them. */
  readonly cache: number;
  readonly peers: number;
  readonly origin: number;
}

/** What happened in one second, over all nodes, as they report it: a few seconds late. */
export interface StormSample {
  /** Seconds since 1970. */
  readonly at: number;
  readonly vmsBooting: number;
  /** That guests read. */
  readonly read: BytesBySource;
  /** That nodes received, for guests or ahead of them; `cache` is 0. */
  readonly received: BytesBySource;
}

/** From the first VM that boots until none does. */
export interface Storm {
  /** RFC 3339. */
  readonly startedAt: string;
  /** Null while it is on. */
  readonly endedAt: string | null;
  /** VMs that booted at the same time, at most. */
  readonly vmsBootingMax: number;
  readonly read: BytesBySource;
  readonly received: BytesBySource;
  /** What the origin sent of what nodes received: 1 / nodes at best, 1 when no node gave another anything. */
  readonly originShare: number;
}

export interface ImageOverview {
  readonly id: string;
  readonly name: string;
  /** For people: the name, or of an image of Glance what it is called there and the beginning of its id. */
  readonly title: string;
  readonly length: number;
  readonly pieceCount: number;
  /** What of it ever moves: not the pieces that are all zero. */
  readonly dataBytes: number;
  readonly state: 'ready' | 'damaged';
  /** Nodes in its swarm, and those of them that have all of it. */
  readonly members: number;
  readonly complete: number;
  /** Of the members, how many have this tenth of it: [0 %, 10 %), … [90 %, 100 %), and 100 %. */
  readonly spread: readonly number[];
  readonly bootOrder: readonly {
    readonly boots: number;
    readonly pieces: number;
    readonly bytes: number;
    /** RFC 3339. */
    readonly lastLearnedAt: string;
  }[];
  readonly receivedFromPeers: number;
  readonly receivedFromOrigin: number;
  /** How often the origin has given the whole image, so to speak: receivedFromOrigin ÷ dataBytes. */
  readonly originCopies: number;
}

export interface ZoneOverview {
  readonly zone: string;
  readonly nodes: number;
  readonly vmsBooting: number;
  readonly received: BytesBySource;
}

export interface NodeOverview {
  readonly node: string;
  readonly zone: string;
  readonly rack: string;
  readonly address: string;
  readonly state: 'idle' | 'fetching' | 'booting' | 'alarm';
  readonly images: number;
  readonly vmsBooting: number;
  readonly vmsConnected: number;
  /** Since the node connected, as it told us. */
  readonly read: BytesBySource;
  readonly received: BytesBySource;
  /** Over its last report. */
  readonly bytesPerSecond: number;
  readonly cacheBytes: number;
  /** 0: as much as the disk has. */
  readonly cacheBytesMax: number;
}

/** Pieces that one node asked of the origin in one report. */
export interface OriginRead {
  /** RFC 3339. */
  readonly at: string;
  readonly node: string;
  readonly image: string;
  readonly imageName: string;
  readonly reason: string;
  readonly pieces: number;
}
