/**
 * What goes into the registry of swarms and what comes out. Times are milliseconds of one monotonic clock. After each
 * handle() the driver drains poll().
 */
import type { KindRecord } from './boot-order-book.ts';
import { MEMBERS_MAX } from './message-schema.ts';
import type {
  AgentMessage,
  Member,
  NodeIdentity,
  NodeReport,
  PeerAddress,
  TrackerMessage,
} from './messages.ts';

/** An agent's WebSocket, numbered by the driver; never reused. */
export type Connection = number;

export type RegistryInput =
  /** `remoteHost`: the address the connection comes from, for an agent that does not know its own. */
  | {
      readonly type: 'agent-connected';
      readonly connection: Connection;
      readonly remoteHost: string;
    }
  | { readonly type: 'message'; readonly connection: Connection; readonly message: AgentMessage }
  | { readonly type: 'agent-disconnected'; readonly connection: Connection }
  /**
   * Nodes may join it from now on. `kinds`: what was learned of its boots before; `isPrejoined`: agents are told of it when they
   * say hello, the images given last first.
   */
  | {
      readonly type: 'image-published';
      readonly image: string;
      readonly pieceCount: number;
      readonly kinds: readonly KindRecord[];
      readonly isPrejoined: boolean;
    }
  /** It has a source now: all agents are told of it, if it is one that they are told of. */
  | { readonly type: 'image-seeded'; readonly image: string }
  | { readonly type: 'image-withdrawn'; readonly image: string }
  | { readonly type: 'origins-changed'; readonly origins: readonly PeerAddress[] }
  /** The time timeout() named has come. */
  | { readonly type: 'wake' };

export type RegistryEffect =
  /** The same bytes for every connection: encode once. */
  | {
      readonly type: 'send';
      readonly connections: readonly Connection[];
      readonly message: TrackerMessage;
    }
  /** More is known of how VMs boot from this image: bootOrder() gives what to keep. */
  | { readonly type: 'learned'; readonly image: string }
  /** What a node says of itself; the registry keeps none of it. */
  | { readonly type: 'reported'; readonly node: NodeIdentity; readonly report: NodeReport }
  /** The registry has forgotten this connection: close it, nothing it still sends counts. */
  | { readonly type: 'close'; readonly connection: Connection; readonly code: CloseCode };

export type CloseCode =
  | 'hello-expected'
  | 'hello-repeated'
  | 'hello-timeout'
  | 'version-unsupported'
  /** The same node said hello on a newer connection. */
  | 'replaced'
  | 'too-many-agents'
  | 'too-many-messages';

export interface MemberProgress {
  piecesHad: number;
  bytesFromPeers: number;
  bytesFromOrigin: number;
  bytesSent: number;
}

export interface SwarmStats {
  readonly image: string;
  readonly epoch: number;
  /** In the order in which they joined. */
  readonly members: readonly { readonly member: Member; readonly progress: MemberProgress }[];
}

/** Of one kind of VM. */
export interface BootOrderStats {
  readonly bootsMerged: number;
  /** Wall clock. */
  readonly learnedAtMs: number;
  /** What VMs of this kind are given, in order. */
  readonly pieceIndexes: Uint32Array;
}

export interface NodeStats {
  readonly identity: NodeIdentity;
  /** By the clock of handle(). */
  readonly connectedAtMs: number;
  readonly images: readonly string[];
}

export interface RegistryLimits {
  readonly agentsMax: number;
  readonly swarmsPerAgentMax: number;
  readonly prejoinsPerAgentMax: number;
  readonly messagesPerSecondMax: number;
  readonly messagesBurstMax: number;
  readonly helloTimeoutMs: number;
  readonly graceMs: number;
  readonly epochIntervalMs: number;
}

export const LIMITS: RegistryLimits = {
  /** So that no swarm's member order outgrows one message. */
  agentsMax: MEMBERS_MAX,
  /** Images on one compute node at once; far above what its disk holds. */
  swarmsPerAgentMax: 256,
  /** Half of them: a guest may always want an image that nobody foresaw. */
  prejoinsPerAgentMax: 128,
  /** A progress per image and second from an agent in 256 swarms, and a quarter more for joins. */
  messagesPerSecondMax: 320,
  /** A reconnect: hello, 256 joins and a progress each at once, with room. */
  messagesBurstMax: 640,
  helloTimeoutMs: 5_000,
  /** An agent's restart or a cut of a few seconds does not reorder the trees that nodes compute from the order. */
  graceMs: 10_000,
  /** 1,000 nodes that join within a second make at most 20 epochs × 1,000 messages, not a million messages. */
  epochIntervalMs: 50,
};
