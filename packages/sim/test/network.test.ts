import { describe, expect, it } from 'vitest';
import { KIB, LATENCY_MS, LINE, numbers, RecordingEnd, sendMany, World } from './network-world.ts';

const PIECE = 64 * KIB;

describe('time', () => {
  it.each([
    ['z/r', LATENCY_MS.rack],
    ['z/other', LATENCY_MS.zone],
    ['other/r', LATENCY_MS.elsewhere],
  ])(
    'opens to %s after a round trip, at the end that listens after half of one',
    (place, latency) => {
      const world = new World();
      const near = world.dial(world.host('a'), world.host('b', { place }));
      world.run(100);
      expect(world.accepted[0].openedAt).toBeCloseTo(latency, 9);
      expect(near.openedAt).toBeCloseTo(2 * latency, 9);
    },
  );

  it.each([1, 1_000, PIECE, 10_000_000])(
    'brings %i bytes in their time at line rate plus the latency',
    (bytes) => {
      const world = new World();
      const { near, far } = world.connect(world.host('a'), world.host('b'));
      near.stream!.send('x', bytes, 1);
      expect(world.timeUntil(far, 1)).toBeCloseTo(bytes / LINE + LATENCY_MS.rack, 6);
      expect(far.bytes).toBe(bytes);
    },
  );

  it.each([
    { up: LINE / 4, down: LINE },
    { up: LINE, down: LINE / 4 },
  ])('takes the slower of uplink $up and downlink $down', ({ up, down }) => {
    const world = new World();
    const { near, far } = world.connect(world.host('a', { up }), world.host('b', { down }));
    sendMany(near, 200, PIECE);
    const expected = (200 * PIECE) / (LINE / 4) + LATENCY_MS.rack;
    expect(world.timeUntil(far, 200)).toBeCloseTo(expected, 6);
  });

  it('holds a large message up by no more than the small ones that come in between', () => {
    const world = new World();
    const receiver = world.host('c');
    const { near, far } = world.connect(world.host('a'), receiver);
    const others = numbers(3).map((index) => world.connect(world.host(`b${index}`), receiver));
    const beganAt = world.clock.now;
    near.stream!.send('large', PIECE, 1);
    for (const { near: other } of others) {
      world.run(0.1);
      other.stream!.send('small', 125, 0);
    }
    world.timeUntil(far, 1);
    const expected = (PIECE + 3 * 125) / LINE + LATENCY_MS.rack;
    expect(world.clock.now - beganAt).toBeCloseTo(expected, 6);
  });

  it('lets a small message of another stream wait for two turns at most, at a low rate too', () => {
    const world = new World();
    const sender = world.host('a', { up: LINE / 50 });
    const large = world.connect(sender, world.host('b'));
    const small = world.connect(sender, world.host('c'));
    large.near.stream!.send('large', 4 * PIECE, 1);
    world.run(5);
    const sentAt = world.clock.now;
    small.near.stream!.send('small', 100, 0);
    world.timeUntil(small.far, 1);
    // The rest of the turn under way, and the next one of 16 ms; all of the large message takes 105.
    expect(world.clock.now - sentAt).toBeLessThan(11 + 16 + 1);
    expect(large.far.messages).toEqual([]);
  });

  it('sends what was given before the stream opened when it opens', () => {
    const world = new World();
    const near = world.dial(world.host('a'), world.host('b'));
    near.stream!.send('early', 1_250, 0);
    world.run(10);
    expect(world.accepted[0].receivedAt[0]).toBeCloseTo(3 * LATENCY_MS.rack + 0.01, 9);
  });

  it('opens the dialling end before it receives what the listener sends at once', () => {
    const world = new World();
    const server = world.network.addHost({
      ...{ name: 'server', zone: 'z', rack: 'r', uplink: Infinity, downlink: LINE },
    });
    world.network.listen(server, (stream) => {
      stream.send('hello', 1, 0);
      return new RecordingEnd(world.clock);
    });
    const near = world.dial(world.host('a'), server);
    world.run(10);
    expect(near.messages).toEqual(['hello']);
    expect(near.receivedAt[0]).toBeGreaterThanOrEqual(near.openedAt!);
  });

  it('costs a small message one event on an idle network, and few in a burst', () => {
    const world = new World();
    const { near, far } = world.connect(world.host('a'), world.host('b'));
    // What the connection still has to do is not counted.
    world.run(1);
    let before = world.clock.handled;
    for (const index of numbers(100)) {
      near.stream!.send(index, 100, 0);
      world.run(1);
    }
    expect(world.clock.handled - before).toBe(100);
    before = world.clock.handled;
    sendMany(near, 1_000, 100, 0);
    world.timeUntil(far, 1_100);
    expect(world.clock.handled - before).toBeLessThan(20);
    expect(far.messages).toEqual([...numbers(100), ...numbers(1_000)]);
  });
});

describe('fairness', () => {
  /** Ends that send for ever, each in messages of its own size; a 0.2 s look at what arrived. */
  const SIZES = [300, 16 * KIB, PIECE, 1024 * KIB];

  it('shares an uplink evenly among streams, whatever the size of their messages', () => {
    const world = new World();
    const a = world.host('a');
    const streams = SIZES.map((_, index) => world.connect(a, world.host(`b${index}`)));
    for (const [index, { near }] of streams.entries()) {
      sendMany(near, Math.ceil(20_000_000 / SIZES[index]), SIZES[index]);
    }
    world.run(200);
    for (const [index, { far }] of streams.entries()) {
      expect(Math.abs(far.bytes - (LINE * 200) / 4), `${SIZES[index]}`).toBeLessThan(1_100_000);
    }
    world.run(200);
    for (const { far } of streams.slice(0, 3)) {
      expect(Math.abs(far.bytes / ((LINE * 400) / 4) - 1)).toBeLessThan(0.05);
    }
  });

  it('shares a downlink evenly among streams, whatever the size of their messages', () => {
    const world = new World();
    const a = world.host('a');
    const streams = SIZES.map((_, index) => world.connect(world.host(`b${index}`), a));
    for (const [index, { near }] of streams.entries()) {
      sendMany(near, Math.ceil(30_000_000 / SIZES[index]), SIZES[index]);
    }
    world.run(800);
    for (const { far } of streams) {
      expect(Math.abs(far.bytes / ((LINE * 800) / 4) - 1)).toBeLessThan(0.05);
    }
    expect(a.bytesReceived).toBeLessThanOrEqual(LINE * 801);
  });

  it('keeps the downlink full and evenly shared when 100 hosts send to one', () => {
    const world = new World();
    const a = world.host('a');
    const streams = numbers(100).map((index) => world.connect(world.host(`b${index}`), a));
    const before = world.clock.now;
    for (const { near } of streams) sendMany(near, 200, PIECE);
    world.run(1_000);
    expect(a.bytesReceived / (LINE * (world.clock.now - before))).toBeGreaterThan(0.999);
    const shares = streams.map(({ far }) => far.bytes);
    expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(2 * PIECE);
    world.run(100 * 200 * (PIECE / LINE));
    for (const { far } of streams) expect(far.messages).toEqual(numbers(200));
  });

  it('gives the other streams what a slow receiver does not take', () => {
    const world = new World();
    const a = world.host('a');
    const slow = world.connect(a, world.host('slow', { down: LINE / 100 }));
    const fast = world.connect(a, world.host('fast'));
    sendMany(slow.near, 1_000, PIECE);
    sendMany(fast.near, 1_000, PIECE);
    world.run(500);
    // A window of 1 MiB goes to the slow one, 8.4 ms, and then what it takes.
    expect(fast.far.bytes).toBeGreaterThan(LINE * (500 * 0.99 - 9) - PIECE);
    expect(Math.abs(slow.far.bytes / ((LINE / 100) * 500) - 1)).toBeLessThan(0.11);
  });

  it('lets streams between two zones share what lies between them, each direction apart', () => {
    const world = new World({ betweenZones: LINE / 2 });
    const [a, b] = [world.host('a'), world.host('b')];
    const [c, d] = [world.host('c', { place: 'y/r' }), world.host('d', { place: 'y/r' })];
    const across = [world.connect(a, c), world.connect(b, d)];
    const back = world.connect(c, a);
    const within = world.connect(a, b);
    for (const { near } of [...across, back, within]) sendMany(near, 2_000, PIECE);
    world.run(400);
    for (const { far } of across) {
      expect(Math.abs(far.bytes / ((LINE / 4) * 400) - 1)).toBeLessThan(0.05);
    }
    expect(Math.abs(back.far.bytes / ((LINE / 2) * 400) - 1)).toBeLessThan(0.05);
    expect(Math.abs(within.far.bytes / (LINE * 0.75 * 400) - 1)).toBeLessThan(0.05);
  });
});

describe('windows and buffers', () => {
  it('pushes back to the sender when the receiver does not keep up', () => {
    const world = new World();
    const [a, b] = [world.host('a'), world.host('b', { down: LINE / 50 })];
    const { near, far } = world.connect(a, b);
    sendMany(near, 160, PIECE);
    expect(near.stream!.isCongested).toBe(true);
    while (far.messages.length < 160) {
      world.run(1);
      expect(a.bytesSent - b.bytesReceived).toBeLessThanOrEqual(1024 * KIB);
      expect(near.drains).toBe(near.stream!.isCongested ? 0 : 1);
      expect(near.stream!.isCongested).toBe(near.stream!.queuedBytes >= 512 * KIB);
    }
    expect(far.messages).toEqual(numbers(160));
    expect(near.stream!.queuedBytes).toBe(0);
  });

  it('sends a window per round trip on a long way', () => {
    const latencyMs = { rack: 50, zone: 50, elsewhere: 50 };
    const world = new World({ latencyMs });
    const { near, far } = world.connect(world.host('a'), world.host('b'));
    sendMany(near, 320, PIECE);
    // 20 windows of 1 MiB: 19 round trips, each with the first segment's own time.
    const expected = 19 * (100 + PIECE / LINE) + 50 + (1024 * KIB) / LINE;
    expect(world.timeUntil(far, 320)).toBeCloseTo(expected, 6);
  });

  it('counts as queued what the send buffer has no room for', () => {
    const world = new World({ sendBufferBytes: 2 * PIECE });
    const { near } = world.connect(world.host('a'), world.host('b'));
    // One leaves at once, two are in the buffer.
    sendMany(near, 10, PIECE);
    expect(near.stream!.queuedBytes).toBe(7 * PIECE);
    expect(near.stream!.isCongested).toBe(false);
  });
});

describe('order', () => {
  it('holds back what is behind a large message in the same stream, and nothing in another', () => {
    const world = new World();
    const [a, b] = [world.host('a'), world.host('b')];
    const first = world.connect(a, b);
    const second = world.connect(a, b);
    first.near.stream!.send('large', 10_000_000, 2);
    first.near.stream!.send('behind', 100, 0);
    second.near.stream!.send('beside', 100, 0);
    world.run(200);
    expect(first.far.messages).toEqual(['large', 'behind']);
    expect(first.far.receivedAt[1]).toBeGreaterThan(first.far.receivedAt[0]);
    expect(second.far.receivedAt[0]).toBeLessThan(first.far.receivedAt[0] - 75);
  });

  it.each([
    [0, 1],
    [PIECE, 2],
    [4 * PIECE, 5],
  ])('lets demand overtake fill that is not in the send buffer of %i bytes', (buffer, ahead) => {
    const world = new World({ sendBufferBytes: buffer });
    const { near, far } = world.connect(world.host('a'), world.host('b'));
    sendMany(near, 20, PIECE, 2);
    near.stream!.send('demand', PIECE, 1);
    near.stream!.send('control', 20, 0);
    world.run(100);
    const fill = numbers(20);
    expect(far.messages).toEqual([
      ...fill.slice(0, ahead),
      ...['control', 'demand'],
      ...fill.slice(ahead),
    ]);
  });
});

describe('close', () => {
  it('sends what is in the send buffer, drops the rest, then tells the other end why', () => {
    const world = new World({ sendBufferBytes: 4 * PIECE });
    const [a, b] = [world.host('a'), world.host('b')];
    const { near, far } = world.connect(a, b);
    sendMany(near, 20, PIECE);
    far.stream!.send('too late', 20, 0);
    near.stream!.close('done');
    near.stream!.send('after', 20, 0);
    world.run(100);
    expect(far.messages).toEqual(numbers(5));
    expect(far.closed!.reason).toBe('done');
    expect(far.closed!.at).toBe(far.receivedAt[4]);
    far.stream!.send('after', 20, 0);
    far.stream!.close('me too');
    world.run(100);
    expect([near.messages, near.closed]).toEqual([[], undefined]);
    expect([a.flows.size, b.flows.size]).toEqual([0, 0]);
  });

  it('ends a stream that both ends close', () => {
    const world = new World();
    const [a, b] = [world.host('a'), world.host('b')];
    const { near, far } = world.connect(a, b);
    near.stream!.close('one');
    far.stream!.close('two');
    world.run(100);
    expect([near.closed, far.closed]).toEqual([undefined, undefined]);
    expect([a.flows.size, b.flows.size]).toEqual([0, 0]);
  });

  it.each([0.05, 0.15])('gives up a dial after %f ms of its round trip of 0.2', (ms) => {
    const world = new World();
    const [a, b] = [world.host('a'), world.host('b')];
    const near = world.dial(a, b);
    world.run(ms);
    near.stream!.close('never mind');
    world.run(10_000);
    expect([near.openedAt, near.closed]).toEqual([undefined, undefined]);
    const told = world.accepted.map(({ closed }) => closed?.reason);
    expect(told).toEqual(ms < LATENCY_MS.rack ? [] : ['never mind']);
    expect([a.flows.size, b.flows.size]).toEqual([0, 0]);
  });
});

it('refuses what makes no sense', () => {
  const world = new World();
  const [a, b] = [world.host('a'), world.host('b')];
  const { near } = world.connect(a, b);
  expect(() => near.stream!.send('x', 0, 0)).toThrow('0 bytes');
  expect(() => near.stream!.send('x', 1.5, 0)).toThrow('1.5 bytes');
  expect(() => near.stream!.send('x', 1, 3)).toThrow('priority 3');
  expect(() => world.dial(a, a)).toThrow('a dials a');
  expect(() => world.host('a')).toThrow('two hosts');
  expect(() => world.host('c', { up: 0 })).toThrow('no capacity');
  expect(() => new World({ windowBytes: 1 })).toThrow('window');
});
