/** The agent's HTTP API on RUN/agent.sock as types: what /v1 routes answer. JSON; errors are the tracker's Problem. */

import type { Alarm } from '@bootswarm/tracker-proto';

/** GET /v1/status */
export interface AgentStatus {
  readonly version: string;
  readonly node: string;
  readonly zone: string;
  readonly rack: string;
  readonly pid: number;
  readonly uptimeSeconds: number;
  readonly tracker: { readonly url: string; readonly isConnected: boolean };
  readonly peerAddress: string;
  readonly cacheDir: string;
  readonly cache: CacheStatus;
  readonly nbdSocket: string;
  readonly nbd: NbdStatus;
  /** Not there: the agent was started without --fuse. */
  readonly fuse?: FuseStatus;
  readonly rssBytes: number;
  readonly images: readonly ImageStatus[];
  readonly vms: readonly VmStatus[];
  readonly supervision: Supervision;
  /** GET /v1/alarms answers { alarms } alone. */
  readonly alarms: readonly Alarm[];
  /** Where there is one. */
  readonly glanceProxy?: GlanceProxyStatus;
}

export interface GlanceProxyStatus {
  /** HOST:PORT, for `api_servers` or `endpoint_override` of nova.conf. */
  readonly address: string;
  /** Requests for the bytes of an image that the swarm answered, and those that Glance did. */
  readonly filesServed: number;
  readonly filesPassed: number;
  readonly bytesServed: number;
}

/** Who starts the next agent when this one ends, and whether that one is ready. */
export type Supervision =
  | { readonly by: 'nobody' }
  | { readonly by: 'systemd' }
  | {
      readonly by: 'socket-holder';
      readonly holderPid: number;
      /** Of the successor that has loaded its code and waits; null while there is none. */
      readonly successorPid: number | null;
    };

export interface CacheStatus {
  /** Of the disk, by all images; overlays of VMs are not counted. As of the last look, some seconds ago. */
  readonly bytesUsed: number;
  /** What they may take at most; null: as much as there is. */
  readonly bytesMax: number | null;
  /** The limit is reached and nothing may be evicted: what is fetched now is kept in memory only. */
  readonly isFull: boolean;
  /** How fast it is searched for rot; 0: not at all. */
  readonly scrubBytesPerSecond: number;
}

/** Images as files, for programs that know no NBD. */
export interface FuseStatus {
  readonly directory: string;
  /** false: somebody has unmounted it; the agent has to be started again. */
  readonly isMounted: boolean;
  readonly openFiles: number;
  readonly readsWaiting: number;
  /** Memory that they hold. */
  readonly replyBytes: number;
  /** Not there: the agent was started without --nova-instances. */
  readonly nova?: NovaStatus;
}

/** Links among Nova's base images. */
export interface NovaStatus {
  readonly links: readonly {
    readonly image: string;
    readonly glanceId: string;
    readonly path: string;
    /** What is there: a link to the FUSE directory, one to the cache file, something that is not ours, or nothing yet. */
    readonly state: 'swarm' | 'file' | 'foreign' | 'none';
  }[];
  /** Why none are kept any more. */
  readonly refusal: string | null;
}

export interface NbdStatus {
  /** HOST:PORT, where NBD clients of other hosts connect, if anywhere. */
  readonly address?: string;
  /** Why they cannot just now; it is tried again. */
  readonly tcpError?: string;
  readonly connections: number;
  /** Held for replies that wait, for the swarm or for clients that do not take them; more than the maximum when many do. */
  readonly replyBytes: number;
  readonly replyBytesMax: number;
}

/** Bytes that guests read, by where they were when the read arrived. Their sum is what was read. */
export interface ReadBytes {
  readonly cache: number;
  readonly peers: number;
  readonly origin: number;
  /** Known to be zero from the piece layer: read from nowhere. */
  readonly zero: number;
}

/** Of one image. */
export interface CacheUse {
  readonly diskBytes: number;
  /** When a guest last used it, or it came, as a date of ISO 8601; null before the first look. */
  readonly lastUsedAt: string | null;
}

export interface ImageStatus extends CacheUse {
  readonly id: string;
  readonly name: string;
  readonly length: number;
  readonly pieceLength: number;
  readonly pieceCount: number;
  readonly zeroPieces: number;
  /** Pieces held, zero pieces included. */
  readonly piecesHad: number;
  /** Distinct pieces guests of this node touched (zero pieces not counted), and the bytes of those pieces. */
  readonly piecesTouched: number;
  readonly bytesTouched: number;
  readonly peers: number;
  /** Payload bytes received, verified, by sender; and sent to others. */
  readonly bytesFromPeers: number;
  readonly bytesFromOrigin: number;
  readonly bytesSent: number;
  /** Received and thrown away: duplicates and failed verifications. */
  readonly bytesWasted: number;
  /** Second sources asked for a piece that was late. */
  readonly hedges: number;
  /** Pieces asked of the origin, by the reason why: see OriginReason in swarm-proto. */
  readonly originRequests: Readonly<Record<string, number>>;
  readonly layer: LayerStatus;
  /** Over the last few seconds. */
  readonly bytesPerSecondIn: number;
  readonly bytesPerSecondOut: number;
  readonly read: ReadBytes;
  readonly isAttached: boolean;
  readonly scrub: ScrubStatus;
  /** Reads that wait right now, and how long the oldest has waited. */
  readonly readsWaiting: number;
  readonly oldestReadWaitMs: number;
}

/** The search for pieces that have rotted on the disk. */
export interface ScrubStatus {
  /** Passes over the whole cache of the image that came to their end since the agent was started. */
  readonly passes: number;
  /** In the pass under way: pieces looked at, of this many that are safely on the disk. */
  readonly piecesChecked: number;
  readonly pieceCount: number;
  /** Found damaged, and fetched again, since the agent was started. */
  readonly piecesDamaged: number;
  /** Whether the disk itself is read; else the page cache, which hides rot for as long as it holds the page. */
  readonly isDirect: boolean;
}

/** How this node got the piece layer of an image, and what it moved in the layer's own swarm. */
export interface LayerStatus {
  /** With the metainfo, from this node's cache, from the layer's swarm, or from the tracker because that swarm failed. */
  readonly from: 'metainfo' | 'cache' | 'swarm' | 'tracker';
  /** Why the tracker was asked: no member was known, or those known gave nothing. */
  readonly fallback?: 'no-members' | 'no-progress';
  readonly bytesFromPeers: number;
  readonly bytesFromOrigin: number;
  readonly bytesSent: number;
  /** As of the image's own pieces. */
  readonly originRequests: Readonly<Record<string, number>>;
}

export interface VmStatus {
  readonly name: string;
  readonly image: string;
  readonly imageName: string;
  readonly overlay: string;
  readonly createdAt: string;
  /** What the overlay reads through to: the agent's export, the image's file in the cache, or nothing. */
  readonly backing: 'swarm' | 'local' | 'none';
  /** It is being moved to the file in the cache, or was when something failed: the file counts as read by it. */
  readonly isMoving: boolean;
  /** Open NBD connections of this VM. */
  readonly connections: number;
  readonly read: ReadBytes;
}

/** POST /v1/copies → 200 CopyStatus. Files only in the directory that the agent was started with (--copies). */
export interface CopyRequest {
  /** URIs: see packages/copy. */
  readonly from: string;
  readonly to: string;
  /** 64 hex digits. */
  readonly sha256?: string;
  /** Replace a file that is there. */
  readonly force?: boolean;
}

/** GET /v1/copies → { copies: CopyStatus[] }; GET /v1/copies/ID answers one; DELETE cancels it, or forgets it once it is over. */
export interface CopyStatus {
  readonly id: string;
  /** Without secrets. */
  readonly from: string;
  readonly to: string;
  readonly phase: 'open' | 'prove' | 'copy' | 'verify' | 'finish' | 'done' | 'failed' | 'cancelled';
  /** In this phase. */
  readonly bytesDone: number;
  /** 0 while it is not known. */
  readonly bytesTotal: number;
  readonly bytesPerSecond: number;
  /** Of a copy that failed or was cancelled. */
  readonly error?: { readonly code: string; readonly message: string; readonly hint: string };
}

/** POST /v1/exports { image } → 200; DELETE /v1/exports/IMAGE → 204. IMAGE: id, unique prefix or name. */
export interface ExportInfo {
  readonly image: string;
  readonly imageName: string;
  readonly length: number;
  readonly socket: string;
  readonly export: string;
  /** nbd+unix:///EXPORT?socket=PATH */
  readonly uri: string;
}

/**
 * POST /v1/vms { image, name, sizeBytes?, qmp? } and GET /v1/vms/NAME → VmInfo; GET /v1/vms → { vms: VmStatus[] };
 * DELETE /v1/vms/NAME → 204; POST /v1/vms/NAME/pivot, …/flatten and …/rebase { to: 'local' | 'swarm' } → VmStatus, when done.
 */
export interface VmInfo {
  readonly name: string;
  readonly image: string;
  readonly imageName: string;
  readonly overlay: string;
  readonly socket: string;
  readonly export: string;
  /** Bytes the VM sees. */
  readonly sizeBytes: number;
  readonly backing: VmStatus['backing'];
  /** The QMP socket that `qemuCommand` has QEMU make. */
  readonly qmp?: string;
  /** argv of a QEMU that boots the overlay; run as it stands. */
  readonly qemuCommand: readonly string[];
  readonly libvirtDiskXml: string;
}

/** DELETE /v1/images/IMAGE → 204: the image leaves the cache of this node; `image-in-use` while a guest needs it. */

/** GET /v1/images/IMAGE/touched: distinct pieces guests of this node touched, zero pieces not counted. */
export interface TouchedPieces {
  readonly image: string;
  readonly pieceCount: number;
  readonly pieceLength: number;
  readonly length: number;
  /** Bitfield in wire order, base64. */
  readonly bitfield: string;
}

/** POST /v1/upgrade → UpgradeInfo of the agent that answers; it ends right after, and its successor takes over. */
export interface UpgradeInfo {
  readonly pid: number;
  readonly version: string;
}
