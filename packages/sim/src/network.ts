/**
 * A network of hosts with NICs in virtual time. Each host's uplink and downlink are shared fairly among the streams that have
 * something to send; a stream keeps the order of its messages (what is behind a large message waits for it, as in TCP), has a
 * bounded window of bytes under way, costs a round trip to set up, and can be slowed, cut or made to stall.
 * Here the parts are put together and faults are put in; nothing is random, so the same calls give the same order of events.
 */
import { assert } from '@bootswarm/stdx';
import { Dial } from './dial.ts';
import { Flow, type FlowContext } from './flow.ts';
import { Host } from './host.ts';
import { Link } from './link.ts';
import { Path } from './path.ts';
import { SegmentPool } from './segment.ts';
import type { Stream, StreamEnd } from './stream.ts';
import { QUANTUM_BYTES_MAX } from './turns.ts';
import type { VirtualClock } from './virtual-clock.ts';

export type { Host } from './host.ts';
export type { Stream, StreamEnd } from './stream.ts';

/** Bytes per millisecond: 125,000 is 1 Gbit/s. */
export type BytesPerMs = number;

export interface HostOptions {
  readonly name: string;
  readonly zone: string;
  readonly rack: string;
  readonly uplink: BytesPerMs;
  readonly downlink: BytesPerMs;
}

export interface NetworkOptions {
  /** One way. */
  readonly latencyMs: { readonly rack: number; readonly zone: number; readonly elsewhere: number };
  /** Shared by all streams that cross from one zone to another, per direction of a pair; Infinity: unlimited. */
  readonly betweenZones: BytesPerMs;
  /**
   * Bytes of one stream that may be under way, waiting in the receiver's NIC, or taken without the sender knowing: what TCP's
   * windows allow. At least 65 KiB.
   */
  readonly windowBytes: number;
  /** What the kernel takes of a stream beyond that, in which nothing overtakes; 0: priorities hold up to the NIC. */
  readonly sendBufferBytes?: number;
}

/** What peer-wire hands to a socket at a time. */
const SEND_BUFFER_BYTES = 256 * 1024;

export class Network<Message> {
  readonly #clock: VirtualClock;
  readonly #options: NetworkOptions;
  readonly #flowContext: FlowContext;
  readonly #hosts = new Map<string, Host>();
  /** By the names of both zones. */
  readonly #pipes = new Map<string, Link>();

  constructor(clock: VirtualClock, options: NetworkOptions) {
    assert(options.windowBytes >= QUANTUM_BYTES_MAX, `a window of ${options.windowBytes} bytes`);
    this.#clock = clock;
    this.#options = options;
    const { windowBytes, sendBufferBytes = SEND_BUFFER_BYTES } = options;
    this.#flowContext = { clock, pool: new SegmentPool(), windowBytes, sendBufferBytes };
  }

  addHost(options: HostOptions): Host {
    assert(!this.#hosts.has(options.name), `two hosts are named ${options.name}`);
    assert(options.uplink > 0 && options.downlink > 0, `${options.name} has no capacity`);
    const host = new Host(this.#clock, this.#flowContext.pool, options);
    this.#hosts.set(options.name, host);
    return host;
  }

  /** From now on `host` accepts streams; `onIncoming` gives each its end and may send at once. */
  listen(
    host: Host,
    onIncoming: (stream: Stream<Message>, remoteHost: Host) => StreamEnd<Message>,
  ): void {
    assert(host.state === 'up', `listening on ${host.name}, which is ${host.state}`);
    host.listener = onIncoming;
  }

  /**
   * Opens after a round trip. Otherwise onClose() says 'refused' after a round trip (up but not listening, or crashed) or
   * 'unreachable' after 5 s (vanished, frozen, partitioned). What is sent before it opens waits.
   */
  dial(from: Host, toName: string, end: StreamEnd<Message>): Stream<Message> {
    const to = this.#hosts.get(toName);
    assert(to !== undefined && to !== from, `${from.name} dials ${toName}`);
    assert(from.state === 'up', `${from.name} dials and is ${from.state}`);
    const paths = [this.#path(from, to), this.#path(to, from)] as const;
    const flow = new Flow(this.#flowContext, from, to, paths);
    flow.dial(end);
    new Dial(this.#clock, flow);
    return flow;
  }

  // --- faults ----------------------------------------------------------------------------------------------------------

  /** The process dies and the kernel stays: other ends of its streams hear 'reset' a latency later, dials are refused. */
  crash(host: Host): void {
    host.stop('down');
  }

  /** Power loss: nobody is told. Streams stall, dials end in 'unreachable'. */
  vanish(host: Host): void {
    host.stop('vanished');
  }

  /** After crash() or vanish(): up again, without streams, listening to nothing. */
  restart(host: Host): void {
    host.restart();
  }

  /** Nothing is sent or processed by `host` until thaw(), and its ends are told nothing; bytes for it wait at its NIC. */
  freeze(host: Host): void {
    host.freeze();
  }

  /** Goes on where it stopped. What its ends missed besides messages, they are told before this returns. */
  thaw(host: Host): void {
    host.thaw();
  }

  /** For what begins to pass from now on. */
  setRates(host: Host, uplink: BytesPerMs, downlink: BytesPerMs): void {
    assert(uplink > 0 && downlink > 0, `${host.name} is left no capacity`);
    host.uplink.rate = uplink;
    host.downlink.rate = downlink;
  }

  /** Nothing passes from `a` to `b`, nor back unless `oneWay`. Streams stall and lose nothing. */
  partition(a: Host, b: Host, { oneWay = false } = {}): void {
    this.#path(a, b).isCut = true;
    if (!oneWay) this.#path(b, a).isCut = true;
  }

  /** Ends a partition of either kind. */
  heal(a: Host, b: Host): void {
    this.#path(a, b).isCut = false;
    this.#path(b, a).isCut = false;
    this.#release(a, b);
  }

  /** What goes from `from` to `to` waits at the end of its way for `durationMs`. */
  clog(from: Host, to: Host, durationMs: number): void {
    const path = this.#path(from, to);
    const until = this.#clock.now + durationMs;
    path.cloggedUntil = Math.max(path.cloggedUntil, until);
    this.#clock.at(until, () => this.#release(from, to));
  }

  /** Both ways: what was held arrives, and who waits for an acknowledgement gets it. */
  #release(a: Host, b: Host): void {
    const between = [...a.flows, ...b.flows].filter(({ from, to }) => {
      return (from === a && to === b) || (from === b && to === a);
    });
    for (const flow of between) flow.onPassable();
  }

  #path(from: Host, to: Host): Path {
    const known = from.paths.get(to);
    if (known !== undefined) return known;
    const { rack, zone, elsewhere } = this.#options.latencyMs;
    const near = from.rack === to.rack ? rack : zone;
    const path = new Path(from.zone === to.zone ? near : elsewhere, this.#pipe(from.zone, to.zone));
    from.paths.set(to, path);
    return path;
  }

  #pipe(from: string, to: string): Link | undefined {
    const { betweenZones } = this.#options;
    if (from === to || betweenZones === Infinity) return undefined;
    const key = JSON.stringify([from, to]);
    const known = this.#pipes.get(key);
    if (known !== undefined) return known;
    const pipe = new Link(this.#clock, betweenZones, (segment) => segment.flow.onPiped(segment));
    this.#pipes.set(key, pipe);
    return pipe;
  }
}
