import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Host, Stream, StreamEnd } from '../src/network.ts';
import { KIB, numbers, World } from './network-world.ts';

const HOSTS = 4;

interface Note {
  readonly from: CheckedEnd;
  readonly index: number;
  readonly bytes: number;
  readonly priority: number;
}

/** Remembers what it sent, and checks what it is told. */
class CheckedEnd implements StreamEnd<unknown> {
  readonly sent: Note[] = [];
  readonly received: Note[] = [];
  readonly host: Host;
  stream!: Stream<unknown>;
  isOpen = false;
  /** Told so, closed by itself, or gone with its host. */
  isOver = false;

  constructor(host: Host) {
    this.host = host;
  }

  send(bytes: number, priority: number): void {
    if (this.isOver) return;
    const note = { from: this, index: this.sent.length, bytes, priority };
    this.sent.push(note);
    this.stream.send(note, bytes, priority);
  }

  onOpen(): void {
    expect([this.isOpen, this.isOver]).toEqual([false, false]);
    this.isOpen = true;
  }

  onMessage(message: unknown, bytes: number): void {
    const note = message as Note;
    expect([this.isOpen, this.isOver, this.host.isFrozen]).toEqual([true, false, false]);
    expect(bytes).toBe(note.bytes);
    this.received.push(note);
  }

  onDrain(): void {
    expect([this.isOpen, this.isOver, this.host.isFrozen]).toEqual([true, false, false]);
  }

  onClose(): void {
    expect([this.isOver, this.host.isFrozen]).toEqual([false, false]);
    this.isOver = true;
  }
}

class Run {
  readonly #world: World;
  readonly #hosts: Host[];
  readonly ends: CheckedEnd[] = [];

  constructor(betweenZones: number) {
    this.#world = new World({ betweenZones });
    this.#hosts = numbers(HOSTS).map((index) =>
      this.#world.host(`h${index}`, { place: `z${index >> 1}/r` }),
    );
    for (const host of this.#hosts) this.#listen(host);
  }

  do(step: Step): void {
    const { network } = this.#world;
    const [a, b] = [this.#hosts[step.a], this.#hosts[step.b]];
    const end = this.ends[step.end % this.ends.length];
    const isUp = a.state === 'up';
    if (step.type === 'wait') this.#world.run(step.ms);
    else if (step.type === 'send') {
      for (const _ of numbers(step.count)) end?.send(step.bytes, step.priority);
    } else if (step.type === 'close' && end !== undefined) {
      end.isOver = true;
      end.stream.close('closed');
    } else if (step.type === 'freeze' && isUp) network.freeze(a);
    else if (step.type === 'thaw') network.thaw(a);
    else if (step.type === 'rates') network.setRates(a, step.up, step.down);
    else if (step.type === 'crash' || step.type === 'vanish') this.#stop(a, step.type);
    else if (step.type === 'restart') this.#restart(a);
    else if (a !== b) this.#between(a, b, step);
  }

  /** Every fault ends, and nothing more is to be expected. */
  finish(): void {
    const { network } = this.#world;
    for (const a of this.#hosts) {
      network.thaw(a);
      network.setRates(a, 125_000, 125_000);
      this.#restart(a);
      for (const b of this.#hosts) if (a !== b) network.heal(a, b);
    }
    this.#world.run(1e9);
  }

  #between(a: Host, b: Host, step: Step): void {
    const { network } = this.#world;
    if (step.type === 'cut') network.partition(a, b, { oneWay: step.isOneWay });
    else if (step.type === 'heal') network.heal(a, b);
    else if (step.type === 'clog') network.clog(a, b, step.ms);
    else if (step.type === 'dial' && a.state === 'up') {
      const end = new CheckedEnd(a);
      end.stream = network.dial(a, b.name, end);
      this.ends.push(end);
    }
  }

  #listen(host: Host): void {
    this.#world.network.listen(host, (stream) => {
      const end = new CheckedEnd(host);
      end.isOpen = true;
      end.stream = stream;
      this.ends.push(end);
      return end;
    });
  }

  #stop(host: Host, fault: 'crash' | 'vanish'): void {
    if (host.state !== 'up') return;
    for (const end of this.ends) if (end.host === host) end.isOver = true;
    this.#world.network[fault](host);
  }

  #restart(host: Host): void {
    if (host.state === 'up') return;
    this.#world.network.restart(host);
    this.#listen(host);
  }
}

const TYPES = {
  ...{ wait: 8, dial: 5, send: 20, close: 1, freeze: 2, thaw: 2, rates: 2 },
  ...{ crash: 1, vanish: 1, restart: 2, cut: 2, heal: 2, clog: 2 },
};
const rate = fc.constantFrom(1_000, 30_000, 125_000, 1_250_000, Infinity);
const step = fc.record({
  type: fc.oneof(
    ...Object.entries(TYPES).map(([type, weight]) => ({
      weight,
      arbitrary: fc.constant(type as keyof typeof TYPES),
    })),
  ),
  a: fc.nat({ max: HOSTS - 1 }),
  b: fc.nat({ max: HOSTS - 1 }),
  end: fc.nat({ max: 1_000 }),
  ms: fc.oneof(fc.double({ min: 0, max: 3, noNaN: true }), fc.integer({ min: 0, max: 4_000 })),
  bytes: fc.oneof(fc.nat({ max: 2_000 }), fc.nat({ max: 400 * KIB })).map((bytes) => bytes + 1),
  count: fc.integer({ min: 1, max: 20 }),
  priority: fc.nat({ max: 2 }),
  isOneWay: fc.boolean(),
  up: rate,
  down: rate,
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

it('delivers all that was sent, once and in order within a priority, or ends the stream', () => {
  const betweenZones = fc.constantFrom(Infinity, 20_000);
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), betweenZones, (steps, capacity) => {
      const run = new Run(capacity);
      for (const each of steps) run.do(each);
      run.finish();
      const heard = new Set<Note>();
      for (const { received } of run.ends) {
        expect(new Set(received.map(({ from }) => from)).size).toBeLessThanOrEqual(1);
        const last = [-1, -1, -1];
        for (const note of received) {
          expect(note.index).toBeGreaterThan(last[note.priority]);
          last[note.priority] = note.index;
          heard.add(note);
        }
      }
      for (const end of run.ends) {
        if (end.isOver) continue;
        expect(end.isOpen).toBe(true);
        for (const note of end.sent) expect(heard.has(note)).toBe(true);
      }
    }),
    { numRuns: 300 },
  );
});

it('gives the same events for the same calls', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const logs = [0, 1].map(() => {
        const run = new Run(20_000);
        for (const each of steps) run.do(each);
        run.finish();
        return run.ends.map(({ received }) => received.map(({ index, bytes }) => [index, bytes]));
      });
      expect(logs[0]).toEqual(logs[1]);
    }),
    { numRuns: 30 },
  );
});
