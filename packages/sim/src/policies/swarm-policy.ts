/**
 * The real engine on every node and at the origin. How nodes learn of each other is left to the two policies that differ in it:
 * bootswarm and bittorrent. Processes end and start here when faults say so.
 */
import { Bitfield } from '@bootswarm/stdx';
import { DEFAULT_LIMITS } from '@bootswarm/swarm-proto';
import type { FaultTarget } from '../fault-player.ts';
import type { Host } from '../network.ts';
import { NodeDisk } from '../node-disk.ts';
import { NodeLedger } from '../node-ledger.ts';
import type { Holder } from '../run-checker.ts';
import { SimNode } from '../sim-node.ts';
import { SimProcess } from '../sim-process.ts';
import type { StormWorld } from '../storm-world.ts';
import type { Policy, PolicyFigures } from './policy.ts';

/** As apps/tracker sets it for the origin process: every node may have a wire to it. */
export const ORIGIN_PEERS_MAX = 100_000;

export interface SwarmPolicyOptions {
  /** Whether the origin tells its peers that it is one. */
  readonly isOriginSpecial: boolean;
  /** Whether an agent can ask for pieces before it has joined; otherwise join() opens its swarm. */
  readonly isOpenAtOnce: boolean;
  /** Wires of every engine, the origin's too; undefined: as the agents and the origin process have it. */
  readonly peersMax?: number;
}

export abstract class SwarmPolicy implements Policy, FaultTarget {
  protected readonly world: StormWorld;
  protected readonly origin: SimNode;
  /** By node; undefined while no agent runs there. */
  protected readonly agents: (SimNode | undefined)[];
  readonly #disks: readonly NodeDisk[];
  /** Those that have died too: their figures count. */
  readonly #everyAgent: SimNode[] = [];
  readonly #begun = new Set<number>();
  readonly #onFull = new Map<number, () => void>();
  readonly #options: SwarmPolicyOptions;

  constructor(world: StormWorld, options: SwarmPolicyOptions) {
    this.world = world;
    this.#options = options;
    const { pieces, hosts, clock, plan } = world;
    this.origin = this.#start(world.origin, Bitfield.full(pieces.pieceCount));
    this.agents = hosts.map((host, index) =>
      plan.of(index)?.kind === 'dead' ? undefined : this.#startAgent(index, pieces.zero, host),
    );
    this.#disks = hosts.map((host) => new NodeDisk(clock, host, pieces.pieceCount));
    for (const [index, disk] of this.#disks.entries()) disk.attach(this.agents[index]);
  }

  abstract prepare(): void;
  /** The agent, started or started again, gets to know the swarm. */
  protected abstract join(node: number, agent: SimNode): void;
  protected abstract leave(node: number): void;
  /** What the agent kept on disk beside pieces is lost. */
  protected forget(_node: number): void {}
  abstract onTrackerStopped(): void;
  abstract onTrackerRestarted(): void;

  begin(node: number): void {
    this.#begun.add(node);
    const agent = this.agents[node];
    if (agent === undefined) return;
    this.join(node, agent);
    this.prefetch(agent);
  }

  /** What an agent fetches ahead of its guests, from the first one's arrival on. */
  protected abstract prefetch(agent: SimNode): void;

  diskOf(node: number): NodeDisk {
    return this.#disks[node];
  }

  readonly fetchAll = (node: number, onDone: () => void): void => {
    this.#onFull.set(node, onDone);
    this.agents[node]?.input({ type: 'fill', enabled: true });
  };

  get faultTarget(): FaultTarget {
    return this;
  }

  get demand(): Policy['demand'] {
    return { disks: this.#disks, holders: () => this.#holders() };
  }

  figures(): PolicyFigures {
    const stalls = { peers: 0, origin: 0 };
    const originRequests: Record<string, number> = {};
    let brought = 0;
    for (const { stalls: own, engine, ledger } of this.#everyAgent) {
      stalls.peers += own.peers;
      stalls.origin += own.origin;
      brought += ledger.delivered;
      for (const [reason, count] of Object.entries(engine.snapshot().stats.originRequests)) {
        originRequests[reason] = (originRequests[reason] ?? 0) + count;
      }
    }
    const used = this.#disks.reduce((sum, { touched }) => sum + touched.count, 0);
    return {
      originBytes: this.origin.engine.snapshot().stats.bytesSent,
      stallsBySource: stalls,
      originRequests,
      prefetchedUnusedRatio: used === 0 ? 0 : Math.max(0, brought - used) / used,
    };
  }

  // --- faults ----------------------------------------------------------------------------------------------------------

  onStopped(node: number): void {
    this.agents[node]?.stop();
    this.agents[node] = undefined;
    this.leave(node);
    this.#disks[node].attach(undefined);
  }

  onRestarted(node: number, isCacheKept: boolean): void {
    const { pieces, hosts } = this.world;
    const before = this.#everyAgent.findLast(({ name }) => name === hosts[node].name)!;
    if (!isCacheKept) this.forget(node);
    const have = isCacheKept ? before.engine.snapshot().have : pieces.zero;
    const agent = this.#startAgent(node, have, hosts[node]);
    this.agents[node] = agent;
    this.join(node, agent);
    this.#disks[node].attach(agent);
    if (!this.#begun.has(node)) return;
    this.prefetch(agent);
    if (this.#onFull.has(node)) agent.input({ type: 'fill', enabled: true });
  }

  onOriginStopped(): void {
    this.origin.stop();
  }

  #holders(): Holder[] {
    const { plan } = this.world;
    const all: Holder[] = [{ host: this.world.origin, ledger: undefined }];
    for (const [index, agent] of this.agents.entries()) {
      const kind = plan.of(index)?.kind;
      if (agent === undefined || kind === 'poisoner' || kind === 'liar') continue;
      all.push({ host: agent.host, ledger: agent.ledger });
    }
    return all;
  }

  #startAgent(node: number, have: Bitfield, host: Host): SimNode {
    const kind = this.world.plan.of(node)?.kind;
    const character = kind === 'poisoner' || kind === 'liar' ? kind : 'honest';
    const agent = this.#start(host, have.clone(), character, () => this.#onFull.get(node)?.());
    this.#everyAgent.push(agent);
    return agent;
  }

  #start(
    host: Host,
    have: Bitfield,
    character: 'honest' | 'poisoner' | 'liar' = 'honest',
    onFull?: () => void,
  ): SimNode {
    const { options, clock, network, pieces, costs, checker } = this.world;
    const { pieceCount, pieceLength, length } = pieces;
    const { name, zone, rack } = host;
    const isFirstSeeder = host === this.world.origin;
    const {
      isOriginSpecial,
      isOpenAtOnce,
      peersMax = isFirstSeeder ? ORIGIN_PEERS_MAX : undefined,
    } = this.#options;
    const limits = { ...options.limits, ...(peersMax !== undefined && { peersMax }) };
    const ledger = new NodeLedger({
      name,
      run: checker,
      have,
      pieceLength,
      limits: { ...DEFAULT_LIMITS, ...limits },
      onFull,
    });
    return new SimNode({
      clock,
      network,
      host,
      process: new SimProcess(network, host),
      swarm: 'image',
      isOpen: isFirstSeeder || isOpenAtOnce,
      name,
      zone,
      rack,
      isOrigin: isFirstSeeder && isOriginSpecial,
      shape: { pieceCount, pieceLength, length },
      have,
      random: this.world.nextRandom(),
      costs,
      limits,
      character,
      ledger,
    });
  }
}
