/** A boot storm: builds the world, starts the policy, the guests and the faults, runs until all that can boot have, reports. */
import { FaultPlayer } from './fault-player.ts';
import { hitsNodes } from './faults.ts';
import { Guest } from './guest.ts';
import type { Boot } from './guest-figures.ts';
import { POLICIES } from './policies/index.ts';
import type { Policy } from './policies/policy.ts';
import { DEMAND_BOUND_MS } from './run-checker.ts';
import type { StormOptions } from './storm-options.ts';
import { resultOf, type StormResult, secondsAt } from './storm-result.ts';
import { type Arrival, StormWorld } from './storm-world.ts';

const UNTIL_MS = 24 * 3_600_000;
/** How often the origin's curve gets a point, and how many it may have before every second one is dropped. */
const SAMPLE_MS = 10;
const SAMPLES_MAX = 1_000;
/** How often it is looked for guests that wait in vain. */
const DEMAND_CHECK_MS = 1_000;

/** Throws AssertionError, with seed and virtual time, when a checker finds a breach. */
export function runStorm(options: StormOptions): StormResult {
  return new Storm(options).run();
}

/** A node that fetches the whole image. */
class FullFetch implements Boot {
  readonly node: number;
  readonly startAt: number;
  readonly stallsMs: readonly number[] = [];
  readyAt: number | undefined;

  constructor({ node, at }: Arrival) {
    this.node = node;
    this.startAt = at;
  }
}

class Storm {
  readonly #world: StormWorld;
  readonly #policy: Policy;
  readonly #boots: Boot[] = [];
  readonly #curve: [seconds: number, bytes: number][] = [];
  #sampleMs = SAMPLE_MS;
  /** Of those that are to finish. */
  #booting = 0;

  constructor(options: StormOptions) {
    this.#world = new StormWorld(options);
    this.#policy = POLICIES[options.policy ?? 'bootswarm'](this.#world);
  }

  run(): StormResult {
    const { clock, arrivals, options, preparationMs } = this.#world;
    this.#policy.prepare();
    const begun = new Set<number>();
    for (const arrival of arrivals) {
      if (!begun.has(arrival.node)) {
        clock.at(arrival.at, () => this.#policy.begin(arrival.node));
        begun.add(arrival.node);
      }
      this.#addBoot(arrival);
    }
    this.#addFaults();
    clock.at(preparationMs, () => this.#begin());
    clock.at(preparationMs, () => this.#sample());
    clock.at(preparationMs, () => this.#checkDemand());
    const until = preparationMs + (options.untilMs ?? UNTIL_MS);
    clock.run(until, () => this.#booting === 0);
    this.#addSample();
    return resultOf(this.#world, this.#policy, this.#boots, this.#curve);
  }

  /** What is measured from here on is the storm, and not what was to be over before. */
  #begin(): void {
    const { plan, hosts, checker, options } = this.#world;
    const isDisturbed = plan.faults.some((fault) => !hitsNodes(fault.kind) && fault.atMs < 0);
    if (!options.isKnownBefore || isDisturbed) return;
    for (const node of this.#policy.nodesJoining?.() ?? []) {
      const isDue = plan.isHealthy(node);
      checker.check(
        !isDue,
        hosts[node],
        'still joins when guests arrive, and was to be known before',
      );
    }
  }

  #addBoot(arrival: Arrival): void {
    const { clock, options, pieces, costs, plan } = this.#world;
    const isAwaited = plan.isLive(arrival.node);
    if (isAwaited) this.#booting += 1;
    const onReady = (): void => {
      if (isAwaited) this.#booting -= 1;
      this.#world.checker.log('ready', arrival.node, 5);
    };
    if (options.fullImageBytes !== undefined) return this.#addFullFetch(arrival, onReady);
    const guest = new Guest({
      node: arrival.node,
      clock,
      disk: this.#policy.diskOf(arrival.node),
      reads: options.trace.reads,
      pieces,
      thinkScale: options.thinkScale,
      startAt: arrival.at,
      readMs: costs.readMs,
      onReady,
    });
    this.#boots.push(guest);
  }

  #addFullFetch(arrival: Arrival, onReady: () => void): void {
    const { clock } = this.#world;
    const boot = new FullFetch(arrival);
    this.#boots.push(boot);
    clock.at(arrival.at, () =>
      this.#policy.fetchAll!(arrival.node, () => {
        if (boot.readyAt !== undefined) return;
        boot.readyAt = clock.now;
        onReady();
      }),
    );
  }

  #addFaults(): void {
    const { clock, network, plan, hosts, tracker, origin, checker, preparationMs } = this.#world;
    const { faultTarget } = this.#policy;
    if (faultTarget === undefined) return;
    const onChange = (): void => {
      checker.disturbedAt = clock.now;
    };
    const isSpread = (): boolean => this.#world.isSpread();
    new FaultPlayer(
      { clock, network, plan, hosts, tracker, origin, target: faultTarget, onChange, isSpread },
      preparationMs,
    );
  }

  #checkDemand(): void {
    const { clock, checker, fluidLimitSeconds } = this.#world;
    const { demand } = this.#policy;
    if (demand === undefined) return;
    const boundMs = DEMAND_BOUND_MS + fluidLimitSeconds * 1_000;
    const holders = demand.holders();
    for (const disk of demand.disks) checker.checkDemand(disk, holders, boundMs);
    clock.after(DEMAND_CHECK_MS, () => this.#checkDemand());
  }

  #sample(): void {
    this.#addSample();
    if (this.#curve.length >= SAMPLES_MAX) {
      const kept = this.#curve.filter((_, index) => index % 2 === 0);
      this.#curve.splice(0, Infinity, ...kept);
      this.#sampleMs *= 2;
    }
    this.#world.clock.after(this.#sampleMs, () => this.#sample());
  }

  #addSample(): void {
    const { clock, origin } = this.#world;
    this.#curve.push([secondsAt(this.#world, clock.now), origin.bytesSent]);
  }
}
