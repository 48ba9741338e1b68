/** A small network for the tests of network.ts: hosts by name, streams between them, and what each end was told and when. */
import { Network, type NetworkOptions, type Stream, type StreamEnd } from '../src/network.ts';
import { VirtualClock } from '../src/virtual-clock.ts';

/** 1 Gbit/s. */
export const LINE = 125_000;
export const KIB = 1024;
export const LATENCY_MS = { rack: 0.1, zone: 0.25, elsewhere: 2 };
const WINDOW_BYTES = 1024 * KIB;

export class RecordingEnd implements StreamEnd<unknown> {
  readonly #clock: VirtualClock;
  readonly messages: unknown[] = [];
  readonly receivedAt: number[] = [];
  stream: Stream<unknown> | undefined;
  bytes = 0;
  openedAt: number | undefined;
  drains = 0;
  closed: { readonly at: number; readonly reason: string } | undefined;

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  onOpen(stream: Stream<unknown>): void {
    this.stream = stream;
    this.openedAt = this.#clock.now;
  }

  onMessage(message: unknown, bytes: number): void {
    this.messages.push(message);
    this.receivedAt.push(this.#clock.now);
    this.bytes += bytes;
  }

  onDrain(): void {
    this.drains += 1;
  }

  onClose(reason: string): void {
    this.closed = { at: this.#clock.now, reason };
  }
}

export class World {
  readonly clock = new VirtualClock();
  readonly network: Network<unknown>;
  /** The listening ends, in the order of their coming. */
  readonly accepted: RecordingEnd[] = [];

  constructor(options: Partial<NetworkOptions> = {}) {
    this.network = new Network(this.clock, {
      latencyMs: LATENCY_MS,
      betweenZones: Infinity,
      windowBytes: WINDOW_BYTES,
      ...options,
    });
  }

  /** At zone/rack `place`, listening. */
  host(name: string, { place = 'z/r', up = LINE, down = LINE } = {}) {
    const [zone, rack] = place.split('/');
    const host = this.network.addHost({ name, zone, rack, uplink: up, downlink: down });
    this.listen(host);
    return host;
  }

  listen(host: ReturnType<Network<unknown>['addHost']>): void {
    this.network.listen(host, (stream) => {
      const end = new RecordingEnd(this.clock);
      end.stream = stream;
      end.openedAt = this.clock.now;
      this.accepted.push(end);
      return end;
    });
  }

  dial(from: ReturnType<World['host']>, to: ReturnType<World['host']>): RecordingEnd {
    const end = new RecordingEnd(this.clock);
    end.stream = this.network.dial(from, to.name, end);
    return end;
  }

  /** An open stream: the end that dialled and the end that listened. */
  connect(from: ReturnType<World['host']>, to: ReturnType<World['host']>) {
    const near = this.dial(from, to);
    this.clock.run(this.clock.now + 100, () => near.openedAt !== undefined);
    return { near, far: this.accepted.at(-1)! };
  }

  run(ms: number): void {
    this.clock.run(this.clock.now + ms, () => false);
  }

  /** Until `end` has received as many messages. Returns how long that took. */
  timeUntil(end: RecordingEnd, messages: number): number {
    const start = this.clock.now;
    this.clock.run(start + 600_000, () => end.messages.length >= messages);
    return this.clock.now - start;
  }
}

export function sendMany(end: RecordingEnd, count: number, bytes: number, priority = 2): void {
  for (let index = 0; index < count; index += 1) end.stream!.send(index, bytes, priority);
}

export function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}
