/**
 * What befalls hosts in a storm: which kinds there are, and which nodes each hits, drawn from the seed. Carrying them out is
 * FaultPlayer's.
 */
import { assert, Random } from '@bootswarm/stdx';

/** What each kind does; `share` of the nodes are hit, at `atMs`, for `forMs`. */
export const FAULT_KINDS = {
  dead: 'known to the tracker, and gone before the storm: nothing answers',
  crash: 'the process dies; its streams are reset, dials are refused',
  vanish: 'the host loses power: streams stall, nothing answers',
  restart: 'the agent dies and is back after a while, with its cache',
  'restart-empty': 'the same, and its cache is lost',
  freeze: 'the host stands still, and its streams with it',
  slow: 'the uplink has 1 % of its capacity, unless a time is given from before its agent joins',
  partition: 'cut off from all others',
  'partition-out': 'hears all others, and nothing of it reaches them',
  clog: 'what it sends arrives late: all of it at the end',
  poisoner: 'sends wrong bytes',
  liar: 'says it has every piece, and answers no request',
  'tracker-dead': 'the tracker dies',
  'tracker-amnesia': 'the tracker dies and is back after a while, knowing no member',
  'origin-dead': 'the origin dies once the swarm has all that is needed',
} as const;

export type FaultKind = keyof typeof FAULT_KINDS;

export interface Fault {
  readonly kind: FaultKind;
  /** Of the nodes; of no meaning where tracker or origin is hit. */
  readonly share: number;
  /** After the first guest's arrival. */
  readonly atMs: number;
  /** Until it is over, where it ends. */
  readonly forMs: number;
}

/** In the midst of the arrivals and of the transfer, unless its kind says otherwise. */
const AT_MS = 500;

/** Before agents join a swarm, however long before the first guest that is. */
const FROM_THE_START = Number.NEGATIVE_INFINITY;

const DEFAULTS: Readonly<Partial<Record<FaultKind, Partial<Fault>>>> = {
  dead: { atMs: 0 },
  restart: { forMs: 1_000 },
  'restart-empty': { forMs: 1_000 },
  // No event, but how the node is.
  slow: { share: 0.3, atMs: FROM_THE_START },
  partition: { forMs: 2_000 },
  'partition-out': { forMs: 2_000 },
  clog: { forMs: 1_000 },
  poisoner: { atMs: 0 },
  liar: { atMs: 0 },
  // When all have joined.
  'tracker-dead': { atMs: 1_500 },
  'tracker-amnesia': { atMs: 1_500, forMs: 1_000 },
};

/** A fault of this kind as the scenarios have it, but for what is given. */
export function faultOf(kind: FaultKind, given: Partial<Omit<Fault, 'kind'>> = {}): Fault {
  return { share: 0.1, atMs: AT_MS, forMs: Infinity, ...DEFAULTS[kind], ...given, kind };
}

/** Whether it hits nodes, rather than the tracker or the origin. */
export function hitsNodes(kind: FaultKind): boolean {
  return !kind.startsWith('tracker-') && kind !== 'origin-dead';
}

/** Whether the nodes it hits are gone, or cut off, and never back. */
export function isForGood({ kind, forMs }: Fault): boolean {
  if (kind === 'dead' || kind === 'crash' || kind === 'vanish') return true;
  const mayBeOver = kind === 'freeze' || kind.startsWith('partition');
  return mayBeOver && forMs === Infinity;
}

/** Of so many nodes. */
export function nodesHitBy(fault: Fault, nodes: number): number {
  return hitsNodes(fault.kind) ? Math.round(fault.share * nodes) : 0;
}

/** Which node is hit by what: each by one fault at most. */
export class FaultPlan {
  readonly faults: readonly Fault[];
  readonly #byNode = new Map<number, Fault>();

  constructor(faults: readonly Fault[], nodes: number, seed: number) {
    this.faults = faults;
    const order = new Random(seed).shuffle(Array.from({ length: nodes }, (_, index) => index));
    for (const fault of faults) {
      if (!hitsNodes(fault.kind)) continue;
      const count = nodesHitBy(fault, nodes);
      assert(count <= order.length, `faults hit more than all ${nodes} nodes`);
      for (const index of order.splice(0, count)) this.#byNode.set(index, fault);
    }
  }

  of(node: number): Fault | undefined {
    return this.#byNode.get(node);
  }

  /** In order of their index. */
  nodesHit(fault: Fault): number[] {
    const nodes = [...this.#byNode].filter(([, each]) => each === fault).map(([node]) => node);
    return nodes.sort((a, b) => a - b);
  }

  isHealthy(node: number): boolean {
    return !this.#byNode.has(node);
  }

  /** Whether the node's guests are to finish: it is neither gone nor cut off for good. */
  isLive(node: number): boolean {
    const fault = this.#byNode.get(node);
    return fault === undefined || !isForGood(fault);
  }
}
