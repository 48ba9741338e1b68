import { describe, expect, it } from 'vitest';
import { KIB, LATENCY_MS, LINE, numbers, sendMany, World } from './network-world.ts';

const PIECE = 64 * KIB;

function pair() {
  const world = new World();
  const a = world.host('a');
  const b = world.host('b');
  return { world, a, b, ...world.connect(a, b) };
}

describe('a crash', () => {
  it('tells the other end a latency later, and refuses dials after a round trip', () => {
    const { world, a, b, near } = pair();
    const at = world.clock.now;
    world.network.crash(b);
    world.run(10);
    expect(near.closed).toMatchObject({ reason: 'reset' });
    expect(near.closed!.at - at).toBeCloseTo(LATENCY_MS.rack);
    const dialledAt = world.clock.now;
    const again = world.dial(a, b);
    world.run(10);
    expect(again.closed).toMatchObject({ reason: 'refused' });
    expect(again.closed!.at - dialledAt).toBeCloseTo(2 * LATENCY_MS.rack);
  });

  it('leaves the host ready to listen again after a restart', () => {
    const { world, a, b } = pair();
    world.network.crash(b);
    world.run(10);
    world.network.restart(b);
    world.listen(b);
    const { near, far } = world.connect(a, b);
    near.stream!.send('hello', 100, 0);
    world.run(10);
    expect(far.messages).toEqual(['hello']);
  });
});

describe('a host that vanishes', () => {
  it('leaves its streams open and silent, and dials unreachable after 5 s', () => {
    const { world, a, b, near } = pair();
    world.network.vanish(b);
    sendMany(near, 100, PIECE);
    const at = world.clock.now;
    const again = world.dial(a, b);
    world.run(20_000);
    expect(near.closed).toBeUndefined();
    expect(near.stream!.queuedBytes).toBeGreaterThan(0);
    expect(again.closed).toMatchObject({ reason: 'unreachable' });
    expect(again.closed!.at - at).toBeCloseTo(5_000);
  });
});

describe('a frozen host', () => {
  it('takes nothing in until it thaws, and then everything, in order', () => {
    const { world, b, near, far } = pair();
    world.network.freeze(b);
    sendMany(near, 40, PIECE);
    world.run(5_000);
    expect(far.messages).toEqual([]);
    world.network.thaw(b);
    world.run(5_000);
    expect(far.messages).toEqual(numbers(40));
  });

  it('lets nothing out, its window filling the sender', () => {
    const { world, a, near, far } = pair();
    sendMany(near, 1_000, PIECE);
    world.run(10);
    world.network.freeze(a);
    world.run(1);
    const { length } = far.messages;
    world.run(5_000);
    expect(far.messages.length).toBeLessThanOrEqual(length + 1);
  });
});

describe('a partition', () => {
  it('stops both directions and loses nothing', () => {
    const { world, a, b, near, far } = pair();
    world.network.partition(a, b);
    near.stream!.send('there', 100, 0);
    far.stream!.send('back', 100, 0);
    world.run(5_000);
    expect([near.messages, far.messages]).toEqual([[], []]);
    world.network.heal(a, b);
    world.run(10);
    expect([near.messages, far.messages]).toEqual([['back'], ['there']]);
  });

  it('one way lets the other direction pass', () => {
    const { world, a, b, near, far } = pair();
    world.network.partition(a, b, { oneWay: true });
    near.stream!.send('there', 100, 0);
    far.stream!.send('back', 100, 0);
    world.run(5_000);
    expect([near.messages, far.messages]).toEqual([['back'], []]);
  });

  it('concerns no third host', () => {
    const { world, a, b } = pair();
    const other = world.connect(a, world.host('c'));
    world.network.partition(a, b);
    other.near.stream!.send('there', 100, 0);
    world.run(10);
    expect(other.far.messages).toEqual(['there']);
  });
});

it('a clogged path delivers when the clog ends, not before', () => {
  const { world, a, b, near, far } = pair();
  world.network.clog(a, b, 500);
  near.stream!.send('late', 100, 0);
  world.run(499);
  expect(far.messages).toEqual([]);
  world.run(2);
  expect(far.messages).toEqual(['late']);
});

it('a slowed uplink carries what its new rate allows', () => {
  const { world, a, near, far } = pair();
  world.network.setRates(a, LINE / 100, LINE);
  sendMany(near, 20, PIECE);
  const tookMs = world.timeUntil(far, 20);
  const expectedMs = (20 * PIECE) / (LINE / 100);
  expect(Math.abs(tookMs - expectedMs) / expectedMs).toBeLessThan(0.05);
});
