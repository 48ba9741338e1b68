/** A host of the simulated network: its NIC, its streams and what has befallen it. */
import { assert } from '@bootswarm/stdx';
import type { Flow } from './flow.ts';
import { Link } from './link.ts';
import type { HostOptions } from './network.ts';
import type { Path } from './path.ts';
import type { SegmentPool } from './segment.ts';
import type { Stream, StreamEnd } from './stream.ts';
import { Uplink } from './uplink.ts';
import type { VirtualClock } from './virtual-clock.ts';

/** Messages are opaque within the network: Network<Message> gives them their type. */
export type Listener = (stream: Stream<unknown>, remoteHost: Host) => StreamEnd<unknown>;

/** `down`: the process has died and the kernel answers for it. `vanished`: nothing answers. */
export type HostState = 'up' | 'down' | 'vanished';

export class Host {
  readonly name: string;
  readonly zone: string;
  readonly rack: string;
  readonly uplink: Uplink;
  readonly downlink: Link;
  /** With an open end here. */
  readonly flows = new Set<Flow>();
  readonly paths = new Map<Host, Path>();
  listener: Listener | undefined = undefined;
  bytesReceived = 0;
  /** Of those, from hosts in other zones. */
  bytesFromOtherZones = 0;
  readonly #pool: SegmentPool;
  /** Flows of the time before it vanished, whose other ends do not know. */
  #lost: Flow[] = [];
  #postponed: (() => void)[] = [];
  #state: HostState = 'up';
  #isFrozen = false;

  constructor(clock: VirtualClock, pool: SegmentPool, options: HostOptions) {
    this.name = options.name;
    this.zone = options.zone;
    this.rack = options.rack;
    this.#pool = pool;
    this.uplink = new Uplink(clock, options.uplink);
    this.downlink = new Link(clock, options.downlink, (segment) => {
      this.bytesReceived += segment.bytes;
      if (segment.flow.from.zone !== this.zone) this.bytesFromOtherZones += segment.bytes;
      segment.flow.onReceived(segment);
    });
  }

  get state(): HostState {
    return this.#state;
  }

  get isFrozen(): boolean {
    return this.#isFrozen;
  }

  get bytesSent(): number {
    return this.uplink.bytesSent;
  }

  /** Runs `task` now, or when the host thaws. */
  whenAwake(task: () => void): void {
    if (this.#isFrozen) this.#postponed.push(task);
    else task();
  }

  freeze(): void {
    this.#isFrozen = true;
    this.uplink.pause();
    this.downlink.pause();
  }

  /** What was postponed runs before this returns. */
  thaw(): void {
    this.#isFrozen = false;
    while (!this.#isFrozen) {
      const task = this.#postponed.shift();
      if (task === undefined) break;
      task();
    }
    if (this.#isFrozen) return;
    this.uplink.resume();
    this.downlink.resume();
  }

  /** up → down | vanished */
  stop(state: 'down' | 'vanished'): void {
    assert(this.#state === 'up', `${this.name} stops and is ${this.#state}`);
    this.#state = state;
    this.listener = undefined;
    this.#postponed = [];
    this.downlink.clear(this.#pool);
    const flows = [...this.flows];
    for (const flow of flows) flow.abandon();
    if (state === 'vanished') this.#lost = flows;
    else for (const flow of flows) flow.resetOtherEnd();
    this.thaw();
  }

  /** down | vanished → up: listens to nothing yet. What others still send to its former self, it answers with a reset. */
  restart(): void {
    assert(this.#state !== 'up', `${this.name} restarts and is up`);
    this.#state = 'up';
    const lost = this.#lost;
    this.#lost = [];
    for (const flow of lost) flow.resetOtherEndIfSending();
  }
}
