/** A boot storm: many nodes, one image, one origin, guests that arrive within a moment. Builds the world, runs it, reports. */
import { Bitfield, Random } from '@bootswarm/stdx';
import type { SwarmLimits } from '@bootswarm/swarm-proto';
import { type BootTrace, piecesOf, type TracePieces } from './boot-trace.ts';
import { Guest } from './guest.ts';
import { type ImageContent, imageContentOf } from './image-content.ts';
import { type BytesPerMs, Network } from './network.ts';
import { percentile } from './percentile.ts';
import { RunChecker } from './run-checker.ts';
import { SimAgent } from './sim-agent.ts';
import { MEASURED_COSTS, type SimCosts } from './sim-costs.ts';
import type { SimMessage } from './sim-message.ts';
import { SimTracker } from './sim-tracker.ts';
import { VirtualClock } from './virtual-clock.ts';

export interface StormOptions {
  readonly trace: BootTrace;
  readonly nodes: number;
  readonly vmsPerNode: number;
  /** Think times of the trace are multiplied by this. */
  readonly thinkScale: number;
  /** Guests arrive evenly over this, in seeded order. */
  readonly arrivalMs: number;
  readonly nic: BytesPerMs;
  readonly originNic: BytesPerMs;
  readonly zones: number;
  readonly betweenZones: BytesPerMs;
  readonly pieceLength: number;
  /** Whether the nodes have the boot order from an earlier storm. */
  readonly isLearned: boolean;
  /** Whether agents are in the swarm before the first guest arrives; otherwise each joins with its first guest. */
  readonly isKnownBefore: boolean;
  /** Where nodes get the piece layer; default: from its swarm. */
  readonly layerFrom?: 'swarm' | 'tracker';
  /** Nodes that send wrong bytes, spread over the member order. */
  readonly poisoners?: number;
  readonly seed: number;
  readonly costs?: SimCosts;
  readonly limits?: Partial<SwarmLimits>;
  /** Virtual time after which the run is given up. */
  readonly untilMs?: number;
}

export interface StormResult {
  readonly lastVmSeconds: number;
  readonly meanVmSeconds: number;
  readonly p99VmSeconds: number;
  /** The same guests with every piece at hand. */
  readonly warmLastVmSeconds: number;
  readonly coldWarmRatio: number;
  readonly originBytes: number;
  /** Distinct pieces that guests touched, in bytes. */
  readonly neededBytes: number;
  readonly originRatio: number;
  /** Of the piece layer, by the origin. */
  readonly layerBytes: number;
  /** Everything that left the tracker's NIC: metainfo, member orders, and layers if it sends them. */
  readonly trackerBytes: number;
  /** From a node's first request to the tracker until it could ask for pieces. */
  readonly joinMsP50: number;
  readonly joinMsMax: number;
  readonly readStallMsP50: number;
  readonly readStallMsP99: number;
  readonly readStallMsP999: number;
  readonly stallsBySource: { readonly peers: number; readonly origin: number };
  /** Pieces brought to a node and touched by none of its guests, per piece that was. */
  readonly prefetchedUnusedRatio: number;
  /** Wires left because of a wrong piece; a breach ends the run if one was to an honest node. */
  readonly bans: number;
  /** Nothing can be faster: every node takes every needed byte through its NIC, the origin gives each at least once. */
  readonly fluidLimitSeconds: number;
  readonly eventLogHash: string;
  readonly events: number;
  /** Seconds of each guest, from its arrival. */
  readonly vmSeconds: readonly number[];
}

const IMAGE = 'ab'.repeat(20);
const UNTIL_MS = 3_600_000;
/** Guests do not start before the swarm they need is known, if it is to be known. */
const PREPARATION_MS = 5_000;
const LATENCY_MS = { rack: 0.1, zone: 0.1, elsewhere: 0.5 };
/** What Linux's default socket buffers let be under way: 1 MiB. */
const WINDOW_BYTES = 1024 * 1024;

export function runStorm(options: StormOptions): StormResult {
  return new Storm(options).run();
}

class Storm {
  readonly #options: StormOptions;
  readonly #clock = new VirtualClock();
  readonly #network: Network<SimMessage>;
  readonly #pieces: TracePieces;
  readonly #random: Random;
  readonly #checker: RunChecker;
  readonly #poisoners: ReadonlySet<string>;
  readonly #content: ImageContent;
  readonly #agents: SimAgent[] = [];
  readonly #origin: SimAgent;
  readonly #tracker: SimTracker;
  readonly #guests: Guest[] = [];
  #booting = 0;

  constructor(options: StormOptions) {
    this.#options = options;
    this.#random = new Random(options.seed);
    this.#pieces = piecesOf(options.trace, options.pieceLength);
    this.#content = imageContentOf(this.#pieces);
    const { betweenZones, nodes, poisoners = 0 } = options;
    // Every n-th, so that some relay and some do not.
    const step = poisoners === 0 ? Infinity : Math.floor(nodes / poisoners);
    const isPoisoner = (index: number): boolean => index % step === 1 % step;
    const names = Array.from({ length: nodes }, (_, index) => index).filter(isPoisoner);
    this.#poisoners = new Set(names.slice(0, poisoners).map((index) => `node${index}`));
    this.#checker = new RunChecker(this.#clock, this.#poisoners);
    this.#network = new Network(this.#clock, {
      latencyMs: LATENCY_MS,
      betweenZones,
      windowBytes: WINDOW_BYTES,
    });
    this.#origin = this.#addAgent('origin', 0, true);
    this.#tracker = new SimTracker({
      clock: this.#clock,
      network: this.#network,
      host: this.#addHost('tracker', 0, options.originNic),
      image: IMAGE,
      origins: ['origin'],
      costs: options.costs ?? MEASURED_COSTS,
    });
    for (let index = 0; index < options.nodes; index += 1) {
      this.#agents.push(this.#addAgent(`node${index}`, index % options.zones, false));
    }
  }

  run(): StormResult {
    const { nodes, vmsPerNode, arrivalMs, isKnownBefore, untilMs = UNTIL_MS } = this.#options;
    const arrivals = Array.from({ length: nodes * vmsPerNode }, (_, index) => index);
    this.#random.shuffle(arrivals);
    if (isKnownBefore) {
      for (const agent of this.#agents) agent.join(this.#tracker.host);
    }
    for (const [rank, index] of arrivals.entries()) {
      const agent = this.#agents[index % nodes];
      const startAt = PREPARATION_MS + (arrivalMs * rank) / arrivals.length;
      this.#clock.at(startAt, () => {
        agent.join(this.#tracker.host);
        if (this.#options.isLearned) {
          agent.node.input({ type: 'prefetch', pieceIndexes: this.#pieces.touched });
        }
      });
      this.#guests.push(this.#addGuest(agent, startAt));
    }
    this.#clock.run(untilMs, () => this.#booting === 0);
    return this.#result();
  }

  #addHost(name: string, zone: number, nic: BytesPerMs) {
    return this.#network.addHost({
      name,
      zone: `zone${zone}`,
      rack: `zone${zone}`,
      uplink: nic,
      downlink: nic,
    });
  }

  #addAgent(name: string, zone: number, isOrigin: boolean): SimAgent {
    const { nic, originNic, costs = MEASURED_COSTS, limits, layerFrom = 'swarm' } = this.#options;
    const { pieceCount, pieceLength, length, zero } = this.#pieces;
    return new SimAgent({
      clock: this.#clock,
      network: this.#network,
      host: this.#addHost(name, zone, isOrigin ? originNic : nic),
      ...{ image: IMAGE, content: this.#content, layerFrom, isOrigin },
      shape: { pieceCount, pieceLength, length },
      have: isOrigin ? Bitfield.full(pieceCount) : zero.clone(),
      random: new Random(this.#random.uint32()),
      costs,
      limits: isOrigin ? { ...limits, peersMax: 100_000 } : limits,
      isPoisoner: this.#poisoners.has(name),
      checker: this.#checker,
    });
  }

  #addGuest(agent: SimAgent, startAt: number): Guest {
    const { trace, thinkScale, costs = MEASURED_COSTS } = this.#options;
    this.#booting += 1;
    return new Guest({
      clock: this.#clock,
      disk: agent,
      reads: trace.reads,
      pieces: this.#pieces,
      thinkScale,
      startAt,
      readMs: costs.readMs,
      onReady: () => {
        this.#booting -= 1;
      },
    });
  }

  #result(): StormResult {
    const { trace, thinkScale, costs = MEASURED_COSTS } = this.#options;
    const vmSeconds = this.#guests.map(({ readyAt, startAt }) =>
      readyAt === undefined ? Infinity : (readyAt - startAt) / 1_000,
    );
    const readyAt = this.#guests.map((guest) => guest.readyAt ?? Infinity);
    const lastVmSeconds = (Math.max(...readyAt) - PREPARATION_MS) / 1_000;
    const thinkMs = trace.reads.reduce((sum, read) => sum + read.thinkMs, 0) * thinkScale;
    const warmMs = thinkMs + trace.reads.length * costs.readMs;
    const lastStart = Math.max(...this.#guests.map(({ startAt }) => startAt));
    const warmLastVmSeconds = (lastStart + warmMs - PREPARATION_MS) / 1_000;
    const neededPieces = new Set(this.#agents.flatMap(({ node }) => bitsOf(node.touched)));
    const neededBytes = this.#bytesOf([...neededPieces]);
    const originBytes = this.#origin.engine.snapshot().stats.bytesSent;
    const joinsMs = this.#agents.map(({ joinMs }) => joinMs ?? Infinity).sort((a, b) => a - b);
    const stalls = this.#guests.flatMap(({ stallsMs }) => stallsMs).sort((a, b) => a - b);
    return {
      lastVmSeconds,
      meanVmSeconds: vmSeconds.reduce((sum, each) => sum + each, 0) / vmSeconds.length,
      p99VmSeconds: percentile(
        vmSeconds.toSorted((a, b) => a - b),
        0.99,
      ),
      warmLastVmSeconds,
      coldWarmRatio: lastVmSeconds / warmLastVmSeconds,
      originBytes,
      neededBytes,
      originRatio: originBytes / neededBytes,
      layerBytes: this.#origin.layerNode?.engine.snapshot().stats.bytesSent ?? 0,
      trackerBytes: this.#tracker.host.bytesSent,
      joinMsP50: percentile(joinsMs, 0.5),
      joinMsMax: percentile(joinsMs, 1),
      readStallMsP50: percentile(stalls, 0.5),
      readStallMsP99: percentile(stalls, 0.99),
      readStallMsP999: percentile(stalls, 0.999),
      stallsBySource: this.#stallsBySource(),
      prefetchedUnusedRatio: this.#unusedRatio(),
      fluidLimitSeconds: neededBytes / Math.min(this.#options.nic, this.#options.originNic) / 1_000,
      bans: this.#checker.bans,
      eventLogHash: this.#checker.logHash,
      events: this.#clock.handled,
      vmSeconds,
    };
  }

  #bytesOf(pieceIndexes: readonly number[]): number {
    const { pieceCount, pieceLength, length } = this.#pieces;
    const lastLength = length - (pieceCount - 1) * pieceLength;
    return pieceIndexes.reduce(
      (sum, index) => sum + (index === pieceCount - 1 ? lastLength : pieceLength),
      0,
    );
  }

  #stallsBySource(): { peers: number; origin: number } {
    const sum = { peers: 0, origin: 0 };
    for (const { node } of this.#agents) {
      sum.peers += node.stalls.peers;
      sum.origin += node.stalls.origin;
    }
    return sum;
  }

  #unusedRatio(): number {
    let brought = 0;
    let used = 0;
    for (const { node } of this.#agents) {
      brought += node.engine.snapshot().have.count - this.#pieces.zero.count;
      used += node.touched.count;
    }
    // A piece that a guest has just got may not be recorded yet.
    return used === 0 ? 0 : Math.max(0, brought - used) / used;
  }
}

function bitsOf(bits: Bitfield): number[] {
  const indexes: number[] = [];
  for (let at = bits.nextSet(0); at >= 0; at = bits.nextSet(at + 1)) indexes.push(at);
  return indexes;
}
