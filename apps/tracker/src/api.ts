/** The tracker's HTTP API as types: what /v1 routes answer. JSON unless a route says otherwise. */

/** GET /healthz */
export interface TrackerHealth {
  readonly status: 'ok';
  readonly version: string;
  readonly uptimeSeconds: number;
  /** Absolute path; a CLI on the same host finds the admin token there (admin.token, mode 0600). */
  readonly dataDir: string;
  /** 64 hex digits of the Ed25519 key that signs metainfo: for agents that pin it (--publisher-key). */
  readonly publisherKey: string;
  /** Where the origin seeder accepts peers; undefined while it is starting. */
  readonly origin?: { readonly host: string; readonly port: number };
  readonly agents: number;
  readonly images: number;
}

/** Which agents join the swarm of an image when it is published or they connect, before a guest of theirs wants it. */
export type PrejoinPolicy = 'all' | 'none';

/** One entry of GET /v1/images → { images: ImageSummary[] }; GET /v1/images/ID answers one. ID: id, unique prefix or name. */
export interface ImageSummary {
  /** 40 hex digits: the first 20 bytes of the BEP 52 infohash. */
  readonly id: string;
  readonly name: string;
  /** Bytes of the flat raw disk. */
  readonly length: number;
  readonly pieceLength: number;
  readonly pieceCount: number;
  /** Pieces that are all zero and never move. */
  readonly zeroPieces: number;
  /** RFC 3339. */
  readonly createdAt: string;
  /** What was published: a path, or a URL without its user, password and query, which may be secrets. */
  readonly source: string;
  readonly sourceFormat: 'raw' | 'qcow2';
  readonly prejoin: PrejoinPolicy;
  /** 'damaged': the original no longer holds what was published; peers may still have it. */
  readonly state: 'ready' | 'damaged';
  /** Of an image that was published from Glance; its `name` is then `glance.id`, which the metainfo's signature covers. */
  readonly glance?: GlanceSource;
}

/** The image in Glance that an image was published from, in Glance's words. */
export interface GlanceSource {
  /** A UUID in lower case. */
  readonly id: string;
  /** What people call it; not unique, and possibly empty. */
  readonly name: string;
  /** Who may have it: `private` and `shared` images are shown to those only whom Glance shows them. */
  readonly visibility: 'public' | 'community' | 'shared' | 'private';
  /** The project's id; '' where Glance tells none. */
  readonly owner: string;
  /** What Glance stores: `raw` is byte for byte our image, anything else was flattened. */
  readonly diskFormat: string;
  /** Bytes that Glance stores, and their hash: of the qcow2 file if it is one. */
  readonly size: number;
  readonly osHashAlgo: string;
  /** Lower-case hex. */
  readonly osHashValue: string;
  /** Published because the tracker follows Glance, not because somebody asked for it. */
  readonly isFollowed: boolean;
}

/**
 * POST /v1/images, `Authorization: Bearer <admin token>`. Answers application/x-ndjson: PublishEvent per line, the last
 * one `published` or `failed`.
 */
export interface PublishRequest {
  /** Absolute path on the tracker's host, or a URI of a scheme of image-source: http(s), glance, rbd, iscsi, nbd, nbd+unix. */
  readonly source: string;
  /** Not for an image of Glance, which is called by its Glance id. */
  readonly name?: string;
  /** What the publisher says it is; checked against the content. Default: by inspection, qcow2 or raw. */
  readonly format?: 'raw' | 'qcow2';
  /** Serve a local raw file where it lies instead of copying it into the tracker's data directory. */
  readonly inPlace?: boolean;
  /** Default: all. An image that is there already keeps its own. */
  readonly prejoin?: PrejoinPolicy;
}

export type PublishEvent =
  | {
      readonly type: 'progress';
      readonly stage: 'fetch' | 'flatten' | 'hash';
      readonly bytesDone: number;
      readonly bytesTotal: number;
    }
  | {
      readonly type: 'published';
      readonly image: ImageSummary;
      readonly alreadyThere: boolean;
      readonly seconds: number;
    }
  | {
      readonly type: 'failed';
      readonly code: string;
      readonly message: string;
      readonly hint: string;
    };

/** GET /v1/images/ID/boot-order: what boots of the image have taught; the most used kind of VM first. */
export interface BootOrderSummary {
  readonly image: string;
  readonly kinds: readonly BootKindSummary[];
}

/** One kind of VM. */
export interface BootKindSummary {
  /** Boots of this kind that were merged. */
  readonly boots: number;
  /** What a VM of this kind is given ahead of its reads. */
  readonly pieces: number;
  readonly bytes: number;
  /** RFC 3339. */
  readonly lastLearnedAt: string;
}

/**
 * POST /v1/prefetches, `Authorization: Bearer <admin token>` → 201 PrefetchSummary. Which nodes: `nodes`, or any of `zone`,
 * `percent` and `minCopies`.
 */
export interface PrefetchRequest {
  /** Id, unique prefix or name. */
  readonly image: string;
  /** These nodes, whether they are connected or not. */
  readonly nodes?: readonly string[];
  readonly zone?: string;
  /** Of the nodes of each zone, 1 to 100; default: 100, or none if only minCopies is given. */
  readonly percent?: number;
  /** On so many nodes at least, spread over zones; made up when one fails or leaves. */
  readonly minCopies?: number;
  /** Only what the image's boot orders name, and what they will. */
  readonly bootOrderOnly?: boolean;
  /** 0 to 9, default 5: of a node's orders the highest goes first. */
  readonly priority?: number;
  /** Keep it in the caches while the order lasts. */
  readonly pin?: boolean;
  /** Who is not done by then is late, which is told and logged. */
  readonly deadlineSeconds?: number;
  /** Then the order is over, and its pins are released; default: when it is cancelled. */
  readonly ttlSeconds?: number;
}

/** GET /v1/prefetches → { prefetches: PrefetchSummary[] }; GET /v1/prefetches/ID answers one; DELETE cancels it. */
export interface PrefetchSummary {
  readonly id: string;
  readonly image: string;
  /** Empty when the image is withdrawn. */
  readonly imageName: string;
  /** An order that is done goes on: nodes that lose pieces fetch them again, and pins hold. */
  readonly state: 'active' | 'done' | 'expired' | 'cancelled' | 'withdrawn';
  readonly isLate: boolean;
  readonly nodesGiven?: readonly string[];
  readonly zone?: string;
  readonly percent?: number;
  readonly minCopies?: number;
  readonly bootOrderOnly: boolean;
  readonly priority: number;
  readonly pin: boolean;
  /** RFC 3339. */
  readonly createdAt: string;
  readonly deadlineAt?: string;
  readonly expiresAt?: string;
  readonly nodes: readonly PrefetchNodeSummary[];
}

export interface PrefetchNodeSummary {
  readonly node: string;
  readonly state: 'waiting' | 'fetching' | 'done' | 'failed';
  readonly piecesHad: number;
  /** 0 until the node knows. */
  readonly piecesWanted: number;
  /** Why it failed. */
  readonly code: string;
}

/** GET /v1/nodes/NODE/images → { node, images: NodeImageSummary[] }: of the swarms that the node is in. */
export interface NodeImageSummary {
  readonly image: string;
  readonly name: string;
  readonly pieceCount: number;
  readonly piecesHad: number;
  /** 0 to 1, of what has to be fetched: zero pieces, most of many a disk, would make empty caches look full. */
  readonly cachedFraction: number;
  /** Of the pieces that boot orders name; null while there are none. */
  readonly bootOrderFraction: number | null;
}

/** GET /v1/swarms → { swarms: SwarmSummary[] } */
export interface SwarmSummary {
  readonly image: string;
  readonly name: string;
  readonly epoch: number;
  readonly members: readonly SwarmMemberSummary[];
  readonly origin: {
    readonly bytesSent: number;
    readonly piecesSent: number;
    readonly peers: number;
    /** Sent in the swarm of the piece layer. */
    readonly layerBytesSent: number;
  };
}

export interface SwarmMemberSummary {
  readonly node: string;
  readonly zone: string;
  readonly rack: string;
  /** Index among the members of its zone. */
  readonly place: number;
  readonly address: string;
  readonly piecesHad: number;
  readonly bytesFromPeers: number;
  readonly bytesFromOrigin: number;
  readonly bytesSent: number;
}

/** GET /v1/nodes → { nodes: NodeSummary[] } */
export interface NodeSummary {
  readonly node: string;
  readonly zone: string;
  readonly rack: string;
  readonly address: string;
  readonly connectedSince: string;
  readonly images: readonly string[];
}

/** GET /v1/glance, `Authorization: Bearer <admin token>`: how following Glance goes. 404 when the tracker follows none. */
export interface GlanceFollowStatus {
  readonly selection: 'marked' | 'active' | 'none' | 'listed';
  /** 'failing': Glance or Keystone did not answer the last time; nothing changes until they do. */
  readonly state: 'starting' | 'following' | 'failing';
  /** Looks in a row that failed. */
  readonly failures: number;
  /** RFC 3339: the last look that did not fail. */
  readonly lookedAt?: string;
  readonly error?: { readonly code: string; readonly message: string; readonly hint: string };
  /** Those that were imported by this process or are still to be. */
  readonly images: readonly GlanceImageStatus[];
}

export interface GlanceImageStatus {
  /** In Glance. */
  readonly id: string;
  readonly name: string;
  /** 'unusable': no image that VMs can boot from as it is; `error` says why. */
  readonly state: 'waiting' | 'importing' | 'published' | 'failed' | 'unusable';
  readonly failures: number;
  /** Of the catalogue. */
  readonly image?: string;
  readonly error?: string;
}

export type { Problem } from '@bootswarm/rest';
