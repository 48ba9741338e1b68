/** What a storm is made of: the workload, the hosts, the policy that brings the image to them, and what goes wrong. */
import type { SwarmLimits } from '@bootswarm/swarm-proto';
import type { BootTrace } from './boot-trace.ts';
import type { Fault } from './faults.ts';
import type { BytesPerMs } from './network.ts';
import type { SimCosts } from './sim-costs.ts';

export const POLICY_NAMES = ['bootswarm', 'central', 'copy', 'tree', 'bittorrent'] as const;
export type PolicyName = (typeof POLICY_NAMES)[number];

export interface StormOptions {
  /** bootswarm unless it is given. */
  readonly policy?: PolicyName;
  readonly trace: BootTrace;
  /** Bytes of an image that every node fetches whole, instead of guests that boot from the trace. */
  readonly fullImageBytes?: number;
  readonly nodes: number;
  readonly vmsPerNode: number;
  /** Think times of the trace are multiplied by this. */
  readonly thinkScale: number;
  /** Guests arrive evenly over this, in seeded order. */
  readonly arrivalMs: number;
  /** Of NICs: what the Ethernet carries. 94 % of it are payload (PAYLOAD_SHARE of storm-world.ts). */
  readonly nic: BytesPerMs;
  readonly originNic: BytesPerMs;
  /** One way, within a zone. */
  readonly latencyMs: number;
  readonly zones: number;
  /** Of payload. */
  readonly betweenZones: BytesPerMs;
  readonly pieceLength: number;
  /** Whether the nodes have the boot order from an earlier storm. */
  readonly isLearned: boolean;
  /** Whether agents are in the swarm before the first guest arrives; otherwise each joins with its first guest. */
  readonly isKnownBefore: boolean;
  /** Where nodes that join get the piece layer; default: from its swarm. */
  readonly layerFrom?: 'swarm' | 'tracker';
  readonly faults?: readonly Fault[];
  readonly seed: number;
  readonly costs?: SimCosts;
  readonly limits?: Partial<SwarmLimits>;
  /** Virtual time after the first arrival at which the run is given up. */
  readonly untilMs?: number;
}
