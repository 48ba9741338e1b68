/** bootswarm: agents known to a tracker, which gives all of them the member order that their relay trees are computed from. */
import { Bitfield, Random } from '@bootswarm/stdx';
import { DEFAULT_LIMITS, type SwarmShape } from '@bootswarm/swarm-proto';
import { type ImageContent, imageContentOf } from '../image-content.ts';
import { NodeLedger } from '../node-ledger.ts';
import { percentile } from '../percentile.ts';
import type { RunChecker } from '../run-checker.ts';
import { type AgentFiles, SimAgent } from '../sim-agent.ts';
import { kindsLearned } from '../sim-boots.ts';
import { SimNode } from '../sim-node.ts';
import { SimTracker } from '../sim-tracker.ts';
import type { StormWorld } from '../storm-world.ts';
import type { PolicyFigures } from './policy.ts';
import { ORIGIN_PEERS_MAX, SwarmPolicy } from './swarm-policy.ts';

const IMAGE = 'ab'.repeat(20);
const NO_FILES: AgentFiles = { hasMetainfo: false, hasLayer: false };
/** As LayerSwarm of the agent has it. */
const LAYER_LIMITS = { neighboursWanted: 2 };
/** Apart from the engines of the image's swarm, whose randomness does not depend on whether there is another. */
const LAYER_STREAM = 0x165_667b1;

export class BootswarmPolicy extends SwarmPolicy {
  #tracker: SimTracker;
  readonly #content: ImageContent;
  readonly #layerRandom: Random;
  readonly #layerChecker: RunChecker;
  /** Undefined: nobody fetches the layer from a swarm. */
  readonly #layerOrigin: SimNode | undefined;
  /** By node: the agent that joined, is joining, or was there before and has left its files. */
  readonly #joined = new Map<number, SimAgent>();
  readonly #everyJoin: SimAgent[] = [];

  constructor(world: StormWorld) {
    super(world, { isOriginSpecial: true, isOpenAtOnce: false });
    const { pieces, checker, options } = world;
    this.#content = imageContentOf(pieces);
    this.#layerRandom = new Random(options.seed ^ LAYER_STREAM);
    const { layer } = this.#content;
    this.#layerChecker = checker.ofSwarm(layer?.pieceCount ?? 0);
    if (layer !== undefined && options.layerFrom !== 'tracker') {
      const limits = { ...options.limits, peersMax: ORIGIN_PEERS_MAX };
      const have = Bitfield.full(layer.pieceCount);
      this.#layerOrigin = this.#startLayerNode(this.origin, { shape: layer, have, limits });
    }
    this.#tracker = this.#startTracker();
  }

  prepare(): void {
    const { plan, hosts, options } = this.world;
    for (const [node, agent] of this.agents.entries()) {
      if (plan.of(node)?.kind === 'dead') this.#tracker.putSilent(hosts[node]);
      else if (options.isKnownBefore) this.join(node, agent!);
    }
  }

  protected join(index: number, node: SimNode): void {
    const before = this.#joined.get(index);
    if (before?.isStopped === false) return;
    const { tracker, options } = this.world;
    const limits = { ...options.limits, ...LAYER_LIMITS };
    const agent = new SimAgent({
      node,
      tracker,
      image: IMAGE,
      content: this.#content,
      layerFrom: options.layerFrom ?? 'swarm',
      files: before?.files ?? NO_FILES,
      random: this.world.nextRandom(),
      startLayerNode: (shape, have, onFull) =>
        this.#startLayerNode(node, { shape, have, limits, onFull }),
    });
    this.#joined.set(index, agent);
    this.#everyJoin.push(agent);
  }

  protected leave(node: number): void {
    this.#joined.get(node)?.stop();
  }

  protected override forget(node: number): void {
    this.#joined.delete(node);
  }

  /** The tracker tells what to fetch, and SimBoots when. */
  protected prefetch(): void {}

  nodesJoining(): number[] {
    return [...this.#joined].flatMap(([node, { joinMs }]) => (joinMs === undefined ? node : []));
  }

  override figures(): PolicyFigures {
    // Who was stopped before it had joined never will.
    const joining = this.#everyJoin.filter((each) => each.joinMs !== undefined || !each.isStopped);
    const joinsMs = joining.map(({ joinMs = Infinity }) => joinMs).sort((a, b) => a - b);
    const join = {
      joinMsP50: percentile(joinsMs, 0.5),
      joinMsMax: percentile(joinsMs, 1),
      trackerBytes: this.world.tracker.bytesSent,
      layerBytes: this.#layerOrigin?.engine.snapshot().stats.bytesSent ?? 0,
      layerBans: this.#layerChecker.bans,
    };
    return { ...super.figures(), join };
  }

  onTrackerStopped(): void {
    this.#tracker.stop();
  }

  onTrackerRestarted(): void {
    this.#tracker = this.#startTracker();
  }

  override onOriginStopped(): void {
    super.onOriginStopped();
    this.#layerOrigin?.stop();
  }

  #startTracker(): SimTracker {
    const { clock, network, costs, tracker, options, pieces } = this.world;
    return new SimTracker({
      clock,
      network,
      host: tracker,
      image: IMAGE,
      pieceCount: pieces.pieceCount,
      // It keeps them with the image: a tracker that has restarted knows them too.
      kinds: options.isLearned ? kindsLearned(pieces.pieceCount, [pieces.touched]) : [],
      origins: ['origin'],
      costs,
    });
  }

  /** In the process of `node`, and of its character; judged by itself. */
  #startLayerNode(
    node: SimNode,
    own: {
      shape: SwarmShape;
      have: Bitfield;
      limits: SimNode['options']['limits'];
      onFull?: () => void;
    },
  ): SimNode {
    const { shape, have, limits, onFull } = own;
    const ledger = new NodeLedger({
      name: `${node.name} (layer)`,
      run: this.#layerChecker,
      have,
      pieceLength: shape.pieceLength,
      limits: { ...DEFAULT_LIMITS, ...limits },
      onFull,
    });
    const random = new Random(this.#layerRandom.uint32());
    return new SimNode({
      ...node.options,
      ...{ swarm: 'layer', isOpen: true, shape, have, random, limits, ledger },
    });
  }
}
