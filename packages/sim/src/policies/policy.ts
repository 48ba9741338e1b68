/** What brings an image to the nodes of a storm. All of them have the same hosts, network, costs and guests. */
import type { FaultTarget } from '../fault-player.ts';
import type { GuestDisk } from '../guest.ts';
import type { NodeDisk } from '../node-disk.ts';
import type { Holder } from '../run-checker.ts';

/** What it takes until nodes can ask for pieces. */
export interface JoinFigures {
  /** From an agent's first request to the tracker until the image's swarm was open; Infinity: it never was. */
  readonly joinMsP50: number;
  readonly joinMsMax: number;
  /** Everything that left the tracker's NIC: metainfo, member orders, and layers if it sends them. */
  readonly trackerBytes: number;
  /** Of the piece layer, that the origin sent. */
  readonly layerBytes: number;
  /** Wires of the layer's swarm left because of a wrong piece. */
  readonly layerBans: number;
}

export interface PolicyFigures {
  /** Of the image, that the origin sent. */
  readonly originBytes: number;
  readonly stallsBySource: { readonly peers: number; readonly origin: number };
  /** Requests to the origin by the reason that was given. */
  readonly originRequests: Readonly<Record<string, number>>;
  /** Brought to a node and touched by none of its guests, per piece that was. */
  readonly prefetchedUnusedRatio: number;
  /** Undefined: nodes need nothing before they ask, or have it. */
  readonly join?: JoinFigures;
}

export interface Policy {
  /** What runs before the first guest arrives starts. */
  prepare(): void;
  /** The first guest of this node arrives. */
  begin(node: number): void;
  /** What the guests of this node read from. */
  diskOf(node: number): GuestDisk;
  /** Begins to fetch the whole image to this node; `onDone` when it is there. Undefined: this policy never does. */
  readonly fetchAll?: (node: number, onDone: () => void) => void;
  /** Those that were told to join and cannot ask for pieces yet. Undefined: nodes need nothing before they ask. */
  nodesJoining?(): readonly number[];
  figures(): PolicyFigures;
  /** Undefined: faults are not for this policy. */
  readonly faultTarget?: FaultTarget;
  /** What the checkers look at for guests that wait in vain. */
  readonly demand?: { readonly disks: readonly NodeDisk[]; holders(): readonly Holder[] };
}
