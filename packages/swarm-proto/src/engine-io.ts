/**
 * What goes into the engine and what comes out. Times are milliseconds of one monotonic clock; payloads are opaque. After
 * each handle() the driver drains poll(); an effect's outcome, where it has one, is a later input.
 */
import type { Bitfield } from '@bootswarm/stdx';
import type { MemberDirectory } from './member-directory.ts';
import type { PeerIdentity, PeerMessage, PieceClass } from './peer-message.ts';
import type { ReceivedBytes } from './received-bytes.ts';

/** A wire, numbered by the driver; never reused. */
export type PeerId = number;

/** One entry of the tracker's member order, and where it accepts peers. */
export interface SwarmMember {
  readonly node: string;
  readonly zone: string;
  readonly rack: string;
  /** Index among the members of its zone; dense but for the moment between two epochs. */
  readonly place: number;
  readonly host: string;
  readonly port: number;
}

export type SwarmInput<Payload> =
  | {
      readonly type: 'peer-connected';
      readonly peer: PeerId;
      readonly identity: PeerIdentity;
      /** The node or origin we dialled, by the key of its `dial` effect; undefined when they dialled us. */
      readonly dialled: string | undefined;
    }
  | { readonly type: 'peer-disconnected'; readonly peer: PeerId }
  | { readonly type: 'dial-failed'; readonly key: string }
  | { readonly type: 'message'; readonly peer: PeerId; readonly message: PeerMessage<Payload> }
  /** The wire's egress is above its high mark: hand it no more pieces. */
  | { readonly type: 'peer-congested'; readonly peer: PeerId }
  | { readonly type: 'peer-drained'; readonly peer: PeerId }
  /** A guest waits for this piece, which we do not have. */
  | { readonly type: 'demand'; readonly pieceIndex: number }
  /** No guest waits for it any longer. */
  | { readonly type: 'demand-over'; readonly pieceIndex: number }
  /** Will be read soon; the order of the inputs is the order of fetching. */
  | { readonly type: 'prefetch'; readonly pieceIndexes: readonly number[] }
  /**
   * A guest that has touched `behind` goes on to these, to judge by its reads. Nothing to do where a boot order knows better;
   * dropped when there is no room.
   */
  | {
      readonly type: 'read-ahead';
      readonly behind: number;
      readonly pieceIndexes: readonly number[];
    }
  | { readonly type: 'fill'; readonly enabled: boolean }
  /** Outcome of `verify`. */
  | {
      readonly type: 'verified';
      readonly pieceIndex: number;
      readonly peer: PeerId;
      readonly isGood: boolean;
    }
  /** Outcome of `deliver`: whether the store keeps the piece. */
  | { readonly type: 'stored'; readonly pieceIndex: number; readonly isKept: boolean }
  /** The store found that it does not hold this piece after all. */
  | { readonly type: 'lost'; readonly pieceIndex: number }
  /** Outcome of `upload`: handed to the wire, or not readable. */
  | {
      readonly type: 'uploaded';
      readonly peer: PeerId;
      readonly pieceIndex: number;
      readonly offset: number;
      readonly length: number;
      readonly isSent: boolean;
    }
  | {
      readonly type: 'members';
      /** Ourselves included, once the tracker has us. */
      readonly members: MemberDirectory;
      readonly origins: readonly { readonly host: string; readonly port: number }[];
    }
  /** The time timeout() named has come. */
  | { readonly type: 'wake' };

export type SwarmEffect<Payload> =
  | { readonly type: 'send'; readonly peer: PeerId; readonly message: PeerMessage<Payload> }
  /** Read this range of a held piece and send it as a `piece`. */
  | {
      readonly type: 'upload';
      readonly peer: PeerId;
      readonly pieceIndex: number;
      readonly offset: number;
      readonly length: number;
      readonly pieceClass: PieceClass;
    }
  /** Hash the payload and compare it with the piece layer. */
  | {
      readonly type: 'verify';
      readonly pieceIndex: number;
      readonly peer: PeerId;
      readonly payload: Payload;
    }
  /** Verified: answer the reads that wait for it, and store it. `isPrefetch`: no guest waited. */
  | {
      readonly type: 'deliver';
      readonly pieceIndex: number;
      readonly payload: Payload;
      readonly isFromOrigin: boolean;
      readonly isPrefetch: boolean;
    }
  | { readonly type: 'dial'; readonly key: string; readonly host: string; readonly port: number }
  /** Tell the tracker: these members do not answer, or hold up what they relay. Each at most once in suspectMs. */
  | { readonly type: 'suspect'; readonly nodes: readonly string[] }
  | { readonly type: 'disconnect'; readonly peer: PeerId; readonly code: string };

/** Why a piece was asked of the origin although it is the most precious of all sources. */
export type OriginReason =
  /** Our turn in the relay tree: somebody has to fetch it first. */
  | 'tree-root'
  /** No tree known (no tracker yet), and no peer has the piece. */
  | 'no-holder'
  /** Every source the tree names is unreachable. */
  | 'sources-unreachable'
  /** Our guest is the first in the swarm to want it: the way through the trees would only be longer. */
  | 'first-touch'
  /** The node that the origin named instead of itself does not give it. */
  | 'lease-failed'
  /** A guest has waited too long for those asked before. */
  | 'holder-late'
  /** Somebody sent a wrong piece, or refused it. */
  | 'piece-refused'
  /** Our share of filling what nobody has. */
  | 'fill-share';

export interface SwarmStats {
  bytesFromPeers: number;
  bytesFromOrigin: number;
  /** The same bytes, told apart. */
  received: ReceivedBytes;
  bytesSent: number;
  piecesSent: number;
  /** Received and thrown away: duplicates, unasked, and wrong. */
  bytesWasted: number;
  piecesRefuted: number;
  originRequests: Record<OriginReason, number>;
  /** Second sources asked because the first was late. */
  hedges: number;
}

export interface EngineSnapshot {
  readonly have: Bitfield;
  readonly stats: Readonly<SwarmStats>;
  readonly peers: number;
  readonly demandsOpen: number;
  readonly requestsInFlight: number;
}
