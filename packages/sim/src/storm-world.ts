/**
 * What all policies are judged in: hosts and network, the image, who arrives when, what goes wrong, and the checkers. Knows no
 * policy.
 */
import { Random } from '@bootswarm/stdx';
import { fullImagePieces, piecesOf, type TracePieces } from './boot-trace.ts';
import { FaultPlan } from './faults.ts';
import { type BytesPerMs, type Host, Network } from './network.ts';
import { RunChecker } from './run-checker.ts';
import { MEASURED_COSTS, type SimCosts } from './sim-costs.ts';
import type { SimMessage } from './sim-message.ts';
import type { StormOptions } from './storm-options.ts';
import { VirtualClock } from './virtual-clock.ts';

/** Guests do not start before the swarm they need is known, if it is to be known: piece layers and wires take a few seconds. */
const PREPARATION_MIN_MS = 5_000;
/** Of a member in the tracker's order, with what else it sends for him. */
const MEMBER_BYTES = 60;
/** One way between zones, at least. */
const BETWEEN_ZONES_MS = 0.5;
/** Of the bytes that an Ethernet carries: a segment of 1,448 with its headers, preamble, checksum and gap takes 1,538. */
const PAYLOAD_SHARE = 1_448 / 1_538;
/** What Linux's default socket buffers let be under way: 1 MiB. */
const WINDOW_BYTES = 1024 * 1024;
/** Arrivals, the engines' randomness and faults have a stream each: a change of one leaves the others as they are. */
const ENGINE_STREAM = 0x5bd1_e995;
const FAULT_STREAM = 0x27d4_eb2f;

/** A guest, or a node that fetches the whole image. */
export interface Arrival {
  readonly node: number;
  /** Virtual time. */
  readonly at: number;
}

export class StormWorld {
  readonly options: StormOptions;
  readonly clock = new VirtualClock();
  readonly network: Network<SimMessage>;
  readonly pieces: TracePieces;
  readonly costs: SimCosts;
  readonly plan: FaultPlan;
  readonly checker: RunChecker;
  readonly origin: Host;
  readonly tracker: Host;
  /** By node. */
  readonly hosts: readonly Host[];
  /** In order of time. Nobody starts a guest on a node that is dead. */
  readonly arrivals: readonly Arrival[];
  /** When the first guest arrives, at the earliest. */
  readonly preparationMs: number;
  readonly #engineRandom: Random;

  constructor(options: StormOptions) {
    this.options = options;
    const { trace, pieceLength, fullImageBytes, nodes, seed, faults = [], latencyMs } = options;
    this.pieces =
      fullImageBytes === undefined
        ? piecesOf(trace, pieceLength)
        : fullImagePieces(fullImageBytes, pieceLength);
    // All agents join at once here, which they do not in life, and the tracker tells all of them of all.
    const ordersMs = (nodes * nodes * MEMBER_BYTES) / options.originNic;
    this.preparationMs = Math.max(PREPARATION_MIN_MS, 2 * ordersMs);
    this.costs = options.costs ?? MEASURED_COSTS;
    this.plan = new FaultPlan(faults, nodes, seed ^ FAULT_STREAM);
    this.#engineRandom = new Random(seed ^ ENGINE_STREAM);
    this.network = new Network(this.clock, {
      latencyMs: {
        rack: latencyMs,
        zone: latencyMs,
        elsewhere: Math.max(latencyMs, BETWEEN_ZONES_MS),
      },
      betweenZones: options.betweenZones,
      windowBytes: WINDOW_BYTES,
    });
    this.origin = this.#addHost('origin', 0, options.originNic);
    this.tracker = this.#addHost('tracker', 0, options.originNic);
    this.hosts = Array.from({ length: nodes }, (_, index) =>
      this.#addHost(`node${index}`, index % options.zones, options.nic),
    );
    const poisoners = this.hosts.filter((_, index) => this.plan.of(index)?.kind === 'poisoner');
    this.checker = new RunChecker({
      clock: this.clock,
      seed,
      pieceCount: this.pieces.pieceCount,
      poisoners: new Set(poisoners.map(({ name }) => name)),
    });
    this.arrivals = this.#arrivals();
    for (const [index, host] of this.hosts.entries()) {
      if (this.plan.of(index)?.kind === 'dead') this.network.vanish(host);
    }
  }

  /** For one engine; every call gives another. */
  nextRandom(): Random {
    return new Random(this.#engineRandom.uint32());
  }

  /** Of the pieces that any guest reads. */
  get neededBytes(): number {
    return this.bytesOf(this.pieces.touched);
  }

  bytesOf(pieceIndexes: readonly number[]): number {
    const { pieceCount, pieceLength, length } = this.pieces;
    const lastLength = length - (pieceCount - 1) * pieceLength;
    return pieceIndexes.reduce(
      (sum, index) => sum + (index === pieceCount - 1 ? lastLength : pieceLength),
      0,
    );
  }

  /** Whether live nodes have all that is needed between them. */
  isSpread(): boolean {
    return this.pieces.touched.every((index) => this.checker.spread.has(index));
  }

  /**
   * Seconds after the first arrival before which nobody can have everything: a node takes in what it needs through its NIC from
   * its first guest's arrival on; the origin sends each needed byte once, from the first of all arrivals on; and what crosses
   * into a zone crosses once, through what that zone has from the origin's. An agent that was in the swarm before and relays
   * for others may have pieces before its own first guest comes and so beat the first of these; one that joins with its guest
   * cannot. NICs count with all that they carry, headers included, as whoever buys one does.
   */
  get fluidLimitSeconds(): number {
    const { nic, originNic, betweenZones } = this.options;
    const { preparationMs } = this;
    const bytes = this.neededBytes;
    const lastOfFirsts = Math.max(...this.#firstArrivals((arrival) => arrival.node));
    const zoneOf = ({ node }: Arrival): string => this.hosts[node].zone;
    const others = this.arrivals.filter((each) => zoneOf(each) !== this.origin.zone);
    const lastZone = Math.max(preparationMs, ...this.#firstArrivals(zoneOf, others));
    const limits = [
      lastOfFirsts - preparationMs + bytes / nic,
      bytes / originNic,
      lastZone - preparationMs + bytes / (others.length > 0 ? betweenZones : Infinity),
    ];
    return Math.max(...limits) / 1_000;
  }

  #firstArrivals(keyOf: (arrival: Arrival) => unknown, arrivals = this.arrivals): number[] {
    const first = new Map<unknown, number>();
    for (const arrival of arrivals) {
      const key = keyOf(arrival);
      if (!first.has(key)) first.set(key, arrival.at);
    }
    return [...first.values()];
  }

  #arrivals(): Arrival[] {
    const { nodes, vmsPerNode, arrivalMs, seed, fullImageBytes } = this.options;
    const count = fullImageBytes === undefined ? nodes * vmsPerNode : nodes;
    const order = new Random(seed).shuffle(Array.from({ length: count }, (_, index) => index));
    const all = order.map((index, rank) => ({
      node: index % nodes,
      at: this.preparationMs + (arrivalMs * rank) / count,
    }));
    return all.filter(({ node }) => this.plan.of(node)?.kind !== 'dead');
  }

  #addHost(name: string, zone: number, nic: BytesPerMs): Host {
    return this.network.addHost({
      name,
      zone: `zone${zone}`,
      rack: `zone${zone}`,
      uplink: nic * PAYLOAD_SHARE,
      downlink: nic * PAYLOAD_SHARE,
    });
  }
}
