/**
 * What an agent and the tracker say over their WebSocket. Content is never taken on the tracker's word: these messages
 * name images and members; metainfo travels signed.
 */

import type { Alarm } from './alarms.ts';
import type { PrefetchState, PrefetchTask } from './prefetch-order.ts';

export const SIGNALLING_VERSION = 5;

/** What happened on a node since its last report: amounts, not totals, so that neither side's restart makes them go back. */
export interface NodeReport {
  /** That the amounts are of, which begin with the welcome. */
  readonly intervalMs: number;
  /** VMs that boot now, and NBD clients. */
  readonly vmsBooting: number;
  readonly vmsConnected: number;
  /** Bytes that guests read, by where they were. */
  readonly readCache: number;
  readonly readPeers: number;
  readonly readOrigin: number;
  /** Bytes received and verified. */
  readonly receivedPeers: number;
  readonly receivedOrigin: number;
  /** Of the disk; max 0: no limit. */
  readonly cacheBytes: number;
  readonly cacheBytesMax: number;
  /** Pieces asked of the origin, and why (OriginReason of swarm-proto). */
  readonly originReads: readonly OriginReads[];
  /** All that there are now. */
  readonly alarms: readonly NodeAlarm[];
}

export interface OriginReads {
  readonly image: string;
  readonly reason: string;
  readonly pieces: number;
}

/** An alarm as its node tells it. */
export type NodeAlarm = Pick<Alarm, 'code' | 'subject' | 'reason' | 'hint' | 'since'>;

/** Where a node accepts peers. host is an IP address or a DNS name. */
export interface PeerAddress {
  readonly host: string;
  readonly port: number;
}

/** What a node says of itself. */
export interface NodeIdentity {
  readonly node: string;
  readonly zone: string;
  readonly rack: string;
  readonly address: PeerAddress;
}

/** A node in a swarm. */
export interface Member extends NodeIdentity {
  /** Its index among the members of its zone, which have the places 0 to n - 1: the relay trees are computed from it. */
  readonly place: number;
}

/** Keep the first `from` pieces of this kind's order, then come `pieceIndexes`. If that leaves none, the kind is gone. */
export interface KindOrder {
  readonly kind: number;
  readonly from: number;
  readonly pieceIndexes: Uint32Array;
}

export type AgentMessage =
  /** First message on a connection, once. */
  | {
      readonly type: 'hello';
      readonly version: number;
      readonly node: string;
      readonly zone: string;
      readonly rack: string;
      /** host may be empty: the tracker then uses the address it sees. */
      readonly address: PeerAddress;
    }
  /** `image` is the image id, 40 hex digits. Joining twice is a refresh. */
  | { readonly type: 'join'; readonly image: string; readonly piecesHad: number }
  | { readonly type: 'leave'; readonly image: string }
  /** These members of the swarm do not answer us, or hold up what they relay: we too may be among them. */
  | { readonly type: 'suspect'; readonly image: string; readonly nodes: readonly string[] }
  /**
   * What a VM of this node touched since the last such message, in order of first touch. `boot` numbers the boots since the
   * agent's start. `isOver`: it has calmed down, or is gone. After a join each boot is told from its beginning.
   */
  | {
      readonly type: 'touched';
      readonly image: string;
      readonly boot: number;
      readonly pieceIndexes: Uint32Array;
      readonly isOver: boolean;
    }
  /** At most once a second per image, while anything changes. */
  | {
      readonly type: 'progress';
      readonly image: string;
      readonly piecesHad: number;
      readonly bytesFromPeers: number;
      readonly bytesFromOrigin: number;
      readonly bytesSent: number;
    }
  /** At most once in 2 s: after the welcome, and while there is anything to tell. */
  | { readonly type: 'stats'; readonly report: NodeReport }
  /** How far a prefetch order is here: when that changes, and once a second at most while pieces come. `code`: why it failed. */
  | {
      readonly type: 'prefetch-state';
      readonly order: string;
      readonly state: PrefetchState;
      readonly piecesHad: number;
      readonly piecesWanted: number;
      readonly code: string;
    }
  /** Of the pieces that the image's boot orders name, how many there are and how many this node has; when that changes. */
  | {
      readonly type: 'boot-held';
      readonly image: string;
      readonly pieces: number;
      readonly piecesHad: number;
    };

export type TrackerMessage =
  /** `publisherKey`: hex of the Ed25519 public key that signs metainfo; an agent pins the first one it sees. */
  | { readonly type: 'welcome'; readonly version: number; readonly publisherKey: string }
  /**
   * The member order of one swarm, whole (`isFull`) or as a change from epoch - 1: `left` nodes are removed, then `members`,
   * who are new or have changed, take their places. An agent that misses an epoch joins again to get it whole.
   */
  | {
      readonly type: 'members';
      readonly image: string;
      readonly epoch: number;
      readonly isFull: boolean;
      readonly members: readonly Member[];
      readonly left: readonly string[];
      readonly origins: readonly PeerAddress[];
    }
  /**
   * In which order VMs touch pieces, by kind of VM: whole (`isFull`), which is sent after a join if there is any, or as a change
   * from revision - 1. Before the first of a join all is empty, as revision 0.
   */
  | {
      readonly type: 'boot-order';
      readonly image: string;
      readonly revision: number;
      readonly isFull: boolean;
      readonly kinds: readonly KindOrder[];
    }
  /**
   * The image is there to be joined before a guest wants it: after the welcome for each such image, and when one is published.
   * A node that is in the swarm or wants to stay out ignores it.
   */
  | { readonly type: 'published'; readonly image: string }
  /** All that this node is to prefetch; what it was told before and is not there any more is over. */
  | { readonly type: 'prefetch'; readonly tasks: readonly PrefetchTask[] }
  /** The image is no longer served; nodes that have it may keep it. */
  | { readonly type: 'withdrawn'; readonly image: string }
  /** A message of the agent was not carried out, e.g. code `image-not-found` for a join. */
  | {
      readonly type: 'refused';
      readonly code: string;
      readonly message: string;
      readonly image: string;
    };
