/** The figures of one storm, computed from its guests and its policy. Times are seconds from the first arrival on. */
import { percentile } from './percentile.ts';
import type { Policy, PolicyFigures } from './policies/policy.ts';
import type { PolicyName } from './storm-options.ts';
import { PREPARATION_MS, type StormWorld } from './storm-world.ts';

/** A guest, or a node that fetches the whole image. */
export interface Boot {
  readonly node: number;
  /** Virtual time. */
  readonly startAt: number;
  readonly readyAt: number | undefined;
  readonly stallsMs: readonly number[];
}

export interface GuestFigures {
  /** Guests, or nodes that fetch the whole image. */
  readonly vms: number;
  /** Infinity when one is not ready. */
  readonly lastVmSeconds: number;
  /** From each guest's own arrival on. */
  readonly meanVmSeconds: number;
  readonly p99VmSeconds: number;
  readonly p999VmSeconds: number;
  /** Of the reads that were not at hand. */
  readonly readStallMsP50: number;
  readonly readStallMsP99: number;
  readonly readStallMsP999: number;
}

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
  const figures = guestFigures(live);
  const swarm = policy.figures();
  const warmLastVmSeconds = warmLast(world, live);
  const ready = live.flatMap(({ readyAt }) => readyAt ?? []);
  return {
    policy: options.policy ?? 'bootswarm',
    ...figures,
    ...swarm,
    healthy: guestFigures(boots.filter(({ node }) => plan.isHealthy(node))),
    guestsWaiting: live.length - ready.length,
    warmLastVmSeconds,
    coldWarmRatio:
      options.fullImageBytes === undefined ? figures.lastVmSeconds / warmLastVmSeconds : Number.NaN,
    neededBytes,
    originRatio: swarm.originBytes / neededBytes,
    zoneBytesMax: zoneBytesMax(world),
    bans: checker.bans,
    fluidLimitSeconds: world.fluidLimitSeconds,
    eventLogHash: checker.logHash,
    events: world.clock.handled,
    curves: {
      vmReadySeconds: ready.map(secondsAt).sort((a, b) => a - b),
      originBytes: originCurve,
    },
  };
}

/** Of a virtual time: seconds after the first arrival. */
export function secondsAt(time: number): number {
  return (time - PREPARATION_MS) / 1_000;
}

function guestFigures(boots: readonly Boot[]): GuestFigures {
  const seconds = boots
    .map(({ readyAt = Infinity, startAt }) => (readyAt - startAt) / 1_000)
    .sort((a, b) => a - b);
  const stalls = boots.flatMap(({ stallsMs }) => stallsMs).sort((a, b) => a - b);
  const last = boots.reduce((max, { readyAt = Infinity }) => Math.max(max, readyAt), 0);
  return {
    vms: boots.length,
    lastVmSeconds: secondsAt(last),
    meanVmSeconds: seconds.reduce((sum, each) => sum + each, 0) / seconds.length,
    p99VmSeconds: percentile(seconds, 0.99),
    p999VmSeconds: percentile(seconds, 0.999),
    readStallMsP50: percentile(stalls, 0.5),
    readStallMsP99: percentile(stalls, 0.99),
    readStallMsP999: percentile(stalls, 0.999),
  };
}

function warmLast({ options, costs }: StormWorld, boots: readonly Boot[]): number {
  const { trace, thinkScale, fullImageBytes } = options;
  const thinkMs = trace.reads.reduce((sum, read) => sum + read.thinkMs, 0) * thinkScale;
  const bootMs = thinkMs + trace.reads.length * costs.readMs;
  const lastStart = boots.reduce((max, { startAt }) => Math.max(max, startAt), 0);
  return secondsAt(lastStart + (fullImageBytes === undefined ? bootMs : 0));
}

function zoneBytesMax({ hosts, origin }: StormWorld): number {
  const byZone = new Map<string, number>();
  for (const { zone, bytesFromOtherZones } of [...hosts, origin]) {
    byZone.set(zone, (byZone.get(zone) ?? 0) + bytesFromOtherZones);
  }
  return Math.max(...byZone.values());
}
