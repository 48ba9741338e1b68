/** Carries out the faults of a storm at their times. Which nodes are hit is the plan's, what a process then does the policy's. */
import type { Fault, FaultPlan } from './faults.ts';
import type { Host, Network } from './network.ts';
import type { SimMessage } from './sim-message.ts';
import type { VirtualClock } from './virtual-clock.ts';

/** Uplink of a slow node, of what it was. */
const SLOW_SHARE = 0.01;

/** The processes that faults end and start; hosts are stopped and restarted around it. */
export interface FaultTarget {
  onStopped(node: number): void;
  onRestarted(node: number, isCacheKept: boolean): void;
  onTrackerStopped(): void;
  onTrackerRestarted(): void;
  onOriginStopped(): void;
}

export interface FaultPlayerOptions {
  readonly clock: VirtualClock;
  readonly network: Network<SimMessage>;
  readonly plan: FaultPlan;
  readonly hosts: readonly Host[];
  readonly tracker: Host;
  readonly origin: Host;
  readonly target: FaultTarget;
  /** The world has changed: what was late before may be forgiven. */
  readonly onChange: () => void;
  /** Whether all that is needed is in the swarm. */
  readonly isSpread: () => boolean;
}

/** How often it is looked whether the swarm has everything. */
const SPREAD_CHECK_MS = 10;

export class FaultPlayer {
  readonly #options: FaultPlayerOptions;

  /** `startMs`: when the first guest arrives. */
  constructor(options: FaultPlayerOptions, startMs: number) {
    this.#options = options;
    for (const fault of options.plan.faults) {
      if (fault.kind === 'origin-dead') this.#awaitSpread(startMs + fault.atMs);
      else this.#at(Math.max(0, startMs + fault.atMs), () => this.#begin(fault));
    }
  }

  #at(time: number, act: () => void): void {
    const { clock, onChange } = this.#options;
    clock.at(time, () => {
      act();
      onChange();
    });
  }

  #awaitSpread(time: number): void {
    const { clock, network, origin, target, isSpread, onChange } = this.#options;
    clock.at(time, () => {
      if (!isSpread()) return this.#awaitSpread(time + SPREAD_CHECK_MS);
      network.crash(origin);
      target.onOriginStopped();
      onChange();
    });
  }

  #begin(fault: Fault): void {
    const { clock, plan } = this.#options;
    if (fault.kind.startsWith('tracker-')) return this.#beginTracker(fault);
    for (const node of plan.nodesHit(fault)) this.#hit(fault, node);
    if (fault.forMs === Infinity) return;
    this.#at(clock.now + fault.forMs, () => {
      for (const node of plan.nodesHit(fault)) this.#end(fault, node);
    });
  }

  #beginTracker(fault: Fault): void {
    const { clock, network, tracker, target } = this.#options;
    network.crash(tracker);
    target.onTrackerStopped();
    if (fault.kind === 'tracker-dead') return;
    this.#at(clock.now + fault.forMs, () => {
      network.restart(tracker);
      target.onTrackerRestarted();
    });
  }

  #hit({ kind, forMs }: Fault, node: number): void {
    const { network, hosts, target } = this.#options;
    const host = hosts[node];
    switch (kind) {
      case 'crash':
      case 'restart':
      case 'restart-empty':
        network.crash(host);
        return target.onStopped(node);
      case 'vanish':
        network.vanish(host);
        return target.onStopped(node);
      case 'freeze':
        return network.freeze(host);
      case 'slow':
        return network.setRates(host, host.uplink.rate * SLOW_SHARE, host.downlink.rate);
      case 'partition':
        return this.#forOthers(node, (other) => network.partition(host, other));
      case 'partition-out':
        return this.#forOthers(node, (other) => network.partition(host, other, { oneWay: true }));
      case 'clog':
        return this.#forOthers(node, (other) => network.clog(host, other, forMs));
      // The rest are so from the start.
      default:
    }
  }

  #end({ kind }: Fault, node: number): void {
    const { network, hosts, target } = this.#options;
    const host = hosts[node];
    switch (kind) {
      case 'restart':
      case 'restart-empty':
        network.restart(host);
        return target.onRestarted(node, kind === 'restart');
      case 'freeze':
        return network.thaw(host);
      case 'slow':
        return network.setRates(host, host.uplink.rate / SLOW_SHARE, host.downlink.rate);
      case 'partition':
      case 'partition-out':
        return this.#forOthers(node, (other) => network.heal(host, other));
      default:
    }
  }

  #forOthers(node: number, act: (other: Host) => void): void {
    const { hosts, tracker, origin } = this.#options;
    for (const other of [...hosts, tracker, origin]) if (other !== hosts[node]) act(other);
  }
}
