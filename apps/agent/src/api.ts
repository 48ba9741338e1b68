/** The agent's HTTP API on RUN/agent.sock as types: what /v1 routes answer. JSON; errors are the tracker's Problem. */

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
  readonly nbdSocket: string;
  readonly rssBytes: number;
  readonly images: readonly ImageStatus[];
  readonly vms: readonly VmStatus[];
}

/** Bytes that guests read, by where they were when the read arrived. Their sum is what was read. */
export interface ReadBytes {
  readonly cache: number;
  readonly peers: number;
  readonly origin: number;
  /** Known to be zero from the piece layer: read from nowhere. */
  readonly zero: number;
}

export interface ImageStatus {
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
  /** Reads that wait right now, and how long the oldest has waited. */
  readonly readsWaiting: number;
  readonly oldestReadWaitMs: number;
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

/** GET /v1/images/IMAGE/touched: distinct pieces guests of this node touched, zero pieces not counted. */
export interface TouchedPieces {
  readonly image: string;
  readonly pieceCount: number;
  readonly pieceLength: number;
  readonly length: number;
  /** Bitfield in wire order, base64. */
  readonly bitfield: string;
}
