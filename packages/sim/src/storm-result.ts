/** The figures of one storm, computed from its guests and its policy. Times are seconds from the first arrival on. */
import { type Boot, type GuestFigures, guestFigures, timesOf } from './guest-figures.ts';
import type { Policy, PolicyFigures } from './policies/policy.ts';
import type { PolicyName } from './storm-options.ts';
import type { StormWorld } from './storm-world.ts';

export interface StormCurves {
  /** When each guest was ready, ascending. */
  readonly vmReadySeconds: readonly number[];
  /** What had left the origin's NIC by then, every protocol's overhead included. */
  readonly originBytes: readonly (readonly [seconds: number, bytes: number])[];
}

/** At the top: guests on all nodes that are there in the end. */
export interface StormResult extends GuestFigures, PolicyFigures {
  readonly policy: PolicyName;
  /** Those on nodes that no fault hit. */
  readonly healthy: GuestFigures;
  /** Guests, of nodes that are there in the end, that still wait for a read. */
  readonly guestsWaiting: number;
  /** The same guests with every piece at hand; of nodes that fetch the whole image: their arrival. */
  readonly warmLastVmSeconds: number;
  /** NaN for nodes that fetch the whole image: with it at hand there is nothing to do. */
  readonly coldWarmRatio: number;
  /** Distinct pieces that guests touched, in bytes. */
  readonly neededBytes: number;
  readonly originRatio: number;
  /** The most that one zone took in from the others, all protocols included. */
  readonly zoneBytesMax: number;
  /** Wires left because of a wrong piece; a breach ends the run if one was to an honest node. */
  readonly bans: number;
  /** StormWorld.fluidLimitSeconds. */
  readonly fluidLimitSeconds: number;
  readonly eventLogHash: string;
  readonly events: number;
  readonly curves: StormCurves;
}

export function resultOf(
  world: StormWorld,
  policy: Policy,
  boots: readonly Boot[],
  originCurve: StormCurves['originBytes'],
): StormResult {
  const { options, plan, checker, neededBytes } = world;
  const live = boots.filter(({ node }) => plan.isLive(node));
  const figures = guestFigures(live, world.preparationMs);
  const swarm = policy.figures();
  const warmLastVmSeconds = warmLast(world, live);
  const ready = live.flatMap(({ readyAt }) => readyAt ?? []);
  return {
    policy: options.policy ?? 'bootswarm',
    ...figures,
    ...swarm,
    healthy: guestFigures(
      boots.filter(({ node }) => plan.isHealthy(node)),
      world.preparationMs,
    ),
    guestsWaiting: live.length - ready.length,
    warmLastVmSeconds,
    coldWarmRatio:
      options.fullImageBytes === undefined ? figures.lastVmSeconds / warmLastVmSeconds : Number.NaN,
    neededBytes,
    originRatio: timesOf(swarm.originBytes, neededBytes),
    zoneBytesMax: zoneBytesMax(world),
    bans: checker.bans,
    fluidLimitSeconds: world.fluidLimitSeconds,
    eventLogHash: checker.logHash,
    events: world.clock.handled,
    curves: {
      vmReadySeconds: ready.map((at) => secondsAt(world, at)).sort((a, b) => a - b),
      originBytes: originCurve,
    },
  };
}

/** Of a virtual time: seconds after the first arrival. */
export function secondsAt({ preparationMs }: StormWorld, time: number): number {
  return (time - preparationMs) / 1_000;
}

function warmLast(world: StormWorld, boots: readonly Boot[]): number {
  const { options, costs } = world;
  const { trace, thinkScale, fullImageBytes } = options;
  const thinkMs = trace.reads.reduce((sum, read) => sum + read.thinkMs, 0) * thinkScale;
  const bootMs = thinkMs + trace.reads.length * costs.readMs;
  const lastStart = boots.reduce((max, { startAt }) => Math.max(max, startAt), 0);
  return secondsAt(world, lastStart + (fullImageBytes === undefined ? bootMs : 0));
}

function zoneBytesMax({ hosts, origin }: StormWorld): number {
  const byZone = new Map<string, number>();
  for (const { zone, bytesFromOtherZones } of [...hosts, origin]) {
    byZone.set(zone, (byZone.get(zone) ?? 0) + bytesFromOtherZones);
  }
  return Math.max(...byZone.values());
}
