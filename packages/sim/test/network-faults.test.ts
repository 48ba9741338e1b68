import { describe, expect, it } from 'vitest';
import { KIB, LATENCY_MS, LINE, numbers, sendMany, World } from './network-world.ts';

const PIECE = 64 * KIB;
const LATENCY = LATENCY_MS.rack;
const WINDOW_BYTES = 1024 * KIB;

function pair() {
  const world = new World();
  const [a, b] = [world.host('a'), world.host('b')];
  return { world, network: world.network, a, b };
}

function connectedPair() {
  const { world, network, a, b } = pair();
  return { world, network, a, b, ...world.connect(a, b) };
}

describe('dial', () => {
  it('is refused after a round trip by a host that has crashed, or listens to nothing', () => {
    const { world, network, a, b } = pair();
    network.crash(b);
    const first = world.dial(a, b);
    world.run(1);
    expect(first.closed).toEqual({ at: 2 * LATENCY, reason: 'refused' });
    network.restart(b);
    const second = world.dial(a, b);
    world.run(1);
    expect(second.closed!.reason).toBe('refused');
    expect(second.closed!.at).toBeCloseTo(1 + 2 * LATENCY, 9);
    world.listen(b);
    world.dial(a, b);
    world.run(1);
    expect(world.accepted).toHaveLength(1);
    expect(a.flows.size).toBe(1);
  });

  it.each<[string, (fault: ReturnType<typeof pair>) => void]>([
    ['has vanished', ({ network, b }) => network.vanish(b)],
    ['is frozen', ({ network, b }) => network.freeze(b)],
    ['is cut off', ({ network, a, b }) => network.partition(a, b)],
    ['cannot be reached', ({ network, a, b }) => network.partition(a, b, { oneWay: true })],
    ['cannot answer', ({ network, a, b }) => network.partition(b, a, { oneWay: true })],
    ['is behind a clog', ({ network, a, b }) => network.clog(a, b, 6_000)],
    ['answers into a clog', ({ network, a, b }) => network.clog(b, a, 6_000)],
  ])('gives up after 5 s when the host %s', (_, fault) => {
    const { world, ...rest } = pair();
    fault({ world, ...rest });
    const near = world.dial(rest.a, rest.b);
    world.run(20_000);
    expect(near.closed).toEqual({ at: 5_000, reason: 'unreachable' });
    expect([near.openedAt, world.accepted.length, rest.a.flows.size]).toEqual([undefined, 0, 0]);
  });

  it('tries again 1 s and 3 s after the first time', () => {
    const { world, network, a, b } = pair();
    network.partition(a, b);
    const near = world.dial(a, b);
    world.run(500);
    network.heal(a, b);
    world.run(1_000);
    expect(near.openedAt).toBeCloseTo(1_000 + 2 * LATENCY, 9);
    network.freeze(b);
    const later = world.dial(a, b);
    world.run(2_000);
    network.thaw(b);
    world.run(2_000);
    expect(later.openedAt).toBeCloseTo(1_500 + 3_000 + 2 * LATENCY, 9);
  });

  it('waits for a clog that ends in time', () => {
    const { world, network, a, b } = pair();
    network.clog(a, b, 300);
    const near = world.dial(a, b);
    world.run(1_000);
    expect(near.openedAt).toBeCloseTo(300 + LATENCY, 9);
  });
});

describe('crash', () => {
  it('is heard by the other ends a latency later, after what was under way', () => {
    const { world, network, b, near, far } = connectedPair();
    far.stream!.send('last word', 100, 0);
    world.run(100 / LINE);
    sendMany(far, 10, PIECE);
    const at = world.clock.now;
    network.crash(b);
    world.run(10);
    expect(near.messages).toEqual(['last word']);
    expect(near.closed!.reason).toBe('reset');
    expect(near.closed!.at).toBeCloseTo(at + LATENCY, 9);
    expect([b.state, far.closed]).toEqual(['down', undefined]);
  });

  it('is not heard through a partition, until the other end sends to the host that is back', () => {
    const { world, network, a, b, near, far } = connectedPair();
    network.partition(a, b);
    network.crash(b);
    network.restart(b);
    network.heal(a, b);
    world.run(1_000);
    expect(near.closed).toBeUndefined();
    near.stream!.send('anybody there?', 100, 0);
    world.run(10);
    expect(near.closed!.reason).toBe('reset');
    expect([far.messages, far.closed, a.flows.size]).toEqual([[], undefined, 0]);
  });

  it('leaves the host free to start anew', () => {
    const { world, network, a, b, near } = connectedPair();
    sendMany(near, 20, PIECE);
    world.run(1);
    network.crash(b);
    network.restart(b);
    expect(() => network.restart(b)).toThrow('is up');
    world.listen(b);
    const again = world.connect(a, b);
    sendMany(again.near, 20, PIECE);
    expect(world.timeUntil(again.far, 20)).toBeLessThan((21 * PIECE) / LINE + LATENCY);
    expect(again.far.messages).toEqual(numbers(20));
  });

  it('of a host that has vanished is heard by nobody: streams stall with a window under way', () => {
    const { world, network, a, b, near, far } = connectedPair();
    network.vanish(b);
    expect(() => network.crash(b)).toThrow('is vanished');
    const before = a.bytesSent;
    sendMany(near, 100, PIECE);
    world.run(60_000);
    expect([near.closed, far.messages]).toEqual([undefined, []]);
    expect(a.bytesSent - before).toBe(WINDOW_BYTES);
    const at = world.clock.now;
    network.restart(b);
    world.run(10);
    expect(near.closed!.reason).toBe('reset');
    expect(near.closed!.at).toBeCloseTo(at + LATENCY, 9);
  });

  it('of the dialling host leaves the end that listens with a reset', () => {
    const { world, network, a, b } = pair();
    const near = world.dial(a, b);
    world.run(LATENCY * 1.5);
    network.crash(a);
    world.run(10_000);
    expect([near.openedAt, near.closed]).toEqual([undefined, undefined]);
    expect(world.accepted[0].closed?.reason).toBe('reset');
  });
});

describe('freeze', () => {
  it('stops a host from receiving and sending, fills the windows of the others, and loses nothing', () => {
    const { world, network, a, b, near, far } = connectedPair();
    sendMany(near, 100, PIECE);
    sendMany(far, 100, PIECE);
    world.run(5);
    network.freeze(b);
    const [received, sent] = [b.bytesReceived, b.bytesSent];
    world.run(10_000);
    expect([b.isFrozen, b.bytesReceived, b.bytesSent]).toEqual([true, received, sent]);
    expect(a.bytesSent - received).toBeLessThanOrEqual(WINDOW_BYTES);
    expect(a.bytesReceived).toBe(sent);
    network.thaw(b);
    world.run(1_000);
    expect(b.isFrozen).toBe(false);
    expect([near.messages, far.messages]).toEqual([numbers(100), numbers(100)]);
  });

  it('keeps from its ends that others have closed, crashed, or opened', () => {
    const { world, network, a, b, near, far } = connectedPair();
    const c = world.host('c');
    const crashed = world.connect(c, b);
    const dialled = world.dial(b, a);
    near.stream!.send('goodbye', 100, 0);
    near.stream!.close('done');
    network.freeze(b);
    network.crash(c);
    world.run(100);
    expect([far.messages, far.closed]).toEqual([[], undefined]);
    expect([crashed.far.closed, dialled.openedAt]).toEqual([undefined, undefined]);
    const at = world.clock.now;
    network.thaw(b);
    world.run(100);
    expect(far.messages).toEqual(['goodbye']);
    expect(far.closed!.reason).toBe('done');
    expect(crashed.far.closed).toEqual({ at, reason: 'reset' });
    expect(dialled.openedAt).toBe(at);
  });
});

it('a slow link is slow from the next quantum on', () => {
  const { world, network, a, b, near, far } = connectedPair();
  network.setRates(a, LINE / 10, LINE);
  sendMany(near, 20, PIECE);
  expect(world.timeUntil(far, 20)).toBeCloseTo((20 * PIECE) / (LINE / 10) + LATENCY, 6);
  network.setRates(a, LINE, LINE);
  network.setRates(b, LINE, LINE / 10);
  sendMany(near, 20, PIECE);
  expect(world.timeUntil(far, 40)).toBeCloseTo((20 * PIECE) / (LINE / 10) + LATENCY, 6);
  expect(() => network.setRates(a, 0, 1)).toThrow('no capacity');
});

describe('partition', () => {
  it('stalls both directions and loses nothing', () => {
    const { world, network, a, b, near, far } = connectedPair();
    const other = world.connect(a, world.host('c'));
    sendMany(near, 100, PIECE);
    sendMany(far, 100, PIECE);
    world.run(5);
    network.partition(a, b);
    const [there, back] = [far.messages.length, near.messages.length];
    expect(there).toBeGreaterThan(0);
    sendMany(other.near, 10, PIECE);
    world.run(60_000);
    expect([far.messages.length, near.messages.length]).toEqual([there, back]);
    expect(other.far.messages).toEqual(numbers(10));
    network.heal(a, b);
    world.run(1_000);
    expect([near.messages, far.messages]).toEqual([numbers(100), numbers(100)]);
  });

  it('of one way stalls that way, and the other after a window, for want of acknowledgements', () => {
    const { world, network, a, b, near, far } = connectedPair();
    network.partition(a, b, { oneWay: true });
    sendMany(near, 100, PIECE);
    sendMany(far, 100, PIECE);
    world.run(60_000);
    expect(far.messages).toEqual([]);
    expect(near.bytes).toBe(WINDOW_BYTES);
    network.heal(a, b);
    world.run(1_000);
    expect([near.messages, far.messages]).toEqual([numbers(100), numbers(100)]);
  });
});

describe('clog', () => {
  it('holds what is under way until it ends, in order, and lets the other direction pass', () => {
    const { world, network, a, b, near, far } = connectedPair();
    const start = world.clock.now;
    near.stream!.send('held', 100, 0);
    network.clog(a, b, 200);
    network.clog(a, b, 50);
    far.stream!.send('back', 100, 0);
    world.run(199);
    near.stream!.send('behind', 100, 0);
    expect([near.messages, far.messages]).toEqual([['back'], []]);
    world.run(100);
    expect(far.messages).toEqual(['held', 'behind']);
    expect(far.receivedAt[0]).toBeCloseTo(start + 200 + 100 / LINE, 6);
  });

  it('delays the acknowledgements of the other direction', () => {
    const { world, network, a, b, far, near } = connectedPair();
    network.clog(a, b, 200);
    sendMany(far, 100, PIECE);
    world.run(199);
    expect(near.bytes).toBe(WINDOW_BYTES);
    world.run(200);
    expect(near.messages).toEqual(numbers(100));
  });
});
