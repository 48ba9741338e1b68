/** bootswarm: agents known to a tracker, which gives all of them the member order that their relay trees are computed from. */

import { kindsLearned } from '../sim-boots.ts';
import type { SimNode } from '../sim-node.ts';
import { SimSignal, SimTracker } from '../sim-tracker.ts';
import type { StormWorld } from '../storm-world.ts';
import { SwarmPolicy } from './swarm-policy.ts';

const IMAGE = 'ab'.repeat(20);

export class BootswarmPolicy extends SwarmPolicy {
  #tracker: SimTracker;
  /** By node. */
  readonly #signals = new Map<number, SimSignal>();

  constructor(world: StormWorld) {
    super(world, { isOriginSpecial: true });
    this.#tracker = this.#startTracker();
  }

  prepare(): void {
    const { plan, hosts, options } = this.world;
    for (const [node, agent] of this.agents.entries()) {
      if (plan.of(node)?.kind === 'dead') this.#tracker.putSilent(hosts[node]);
      else if (options.isKnownBefore) this.join(node, agent!);
    }
  }

  protected join(node: number, agent: SimNode): void {
    if (this.#signals.has(node)) return;
    const { clock, network, tracker } = this.world;
    const random = this.world.nextRandom();
    const options = { clock, network, tracker, image: IMAGE, node: agent, random };
    this.#signals.set(node, new SimSignal(options));
  }

  protected leave(node: number): void {
    this.#signals.get(node)?.stop();
    this.#signals.delete(node);
  }

  /** The tracker tells what to fetch, and SimBoots when. */
  protected prefetch(): void {}

  onTrackerStopped(): void {
    this.#tracker.stop();
  }

  onTrackerRestarted(): void {
    this.#tracker = this.#startTracker();
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
}
