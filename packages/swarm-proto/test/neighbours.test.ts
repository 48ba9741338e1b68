import { describe, expect, test } from 'vitest';
import { LoneEngine } from './lone-engine.ts';

const PIECES = 16;
const NEAR = 1;
const FAR = 2;

/** Both have everything; of two that are as near, the first to connect is asked. */
function engineBetween(): LoneEngine {
  const engine = new LoneEngine(PIECES);
  engine.connectNode(FAR, 'far');
  engine.connectNode(NEAR, 'near');
  for (const peer of [FAR, NEAR]) engine.hear(peer, { type: 'have-all' });
  return engine;
}

/** Who is asked for a piece, which comes at once. */
function askedFor(engine: LoneEngine, pieceIndex: number): number | undefined {
  engine.demand(pieceIndex);
  const peer = [NEAR, FAR].find((each) => engine.asked(each).length > 0);
  if (peer !== undefined) engine.give(peer, pieceIndex);
  return peer;
}

describe('of two peers that have a piece', () => {
  test('either is near while no member order is known', () => {
    expect(askedFor(engineBetween(), 0)).toBe(FAR);
  });

  test('one of ours is asked before a foreign one, which may be anywhere', () => {
    const engine = new LoneEngine(PIECES);
    engine.connect(FAR, { kind: 'foreign', client: 'x', requestsInFlightMax: 4 });
    engine.connectNode(NEAR, 'near');
    for (const peer of [FAR, NEAR]) engine.hear(peer, { type: 'have-all' });
    expect(askedFor(engine, 0)).toBe(NEAR);
  });

  test('the one in our zone is asked', () => {
    const engine = engineBetween();
    engine.tellMembers({ a: ['self', 'near'], b: ['far'] });
    expect(askedFor(engine, 0)).toBe(NEAR);
  });

  test('the one in our zone is asked after we, or they, have moved to another', () => {
    const engine = engineBetween();
    engine.tellMembers({ a: ['self', 'near'], b: ['far'] });
    expect(askedFor(engine, 0)).toBe(NEAR);
    engine.tellMembers({ a: ['near'], b: ['self', 'far'] });
    expect(askedFor(engine, 2)).toBe(FAR);
    engine.tellMembers({ a: ['far'], b: ['self', 'near'] });
    expect(askedFor(engine, 4)).toBe(NEAR);
  });

  test('the one that says it is in our zone is asked when the tracker knows neither', () => {
    const engine = new LoneEngine(PIECES);
    engine.connectNode(FAR, 'far', false, 'b');
    engine.connectNode(NEAR, 'near', false, 'a');
    for (const peer of [FAR, NEAR]) engine.hear(peer, { type: 'have-all' });
    engine.tellMembers({ a: ['self'] });
    expect(askedFor(engine, 0)).toBe(NEAR);
  });
});

/** Member order of one zone; each engine finds itself in it. */
function namesUpTo(count: number): string[] {
  return Array.from({ length: count }, (_, place) => `node ${place}`);
}

function dialledBy(place: number, size: number): string[] {
  const engine = new LoneEngine(PIECES, `node ${place}`);
  engine.tellMembers({ a: namesUpTo(size) });
  return engine.dialled;
}

describe('in a swarm that grows', () => {
  test('a newcomer makes at most one other member dial anybody', () => {
    const before = namesUpTo(100).map((_, place) => new Set(dialledBy(place, 100)));
    const moved = before.filter((known, place) =>
      dialledBy(place, 101).some((key) => !known.has(key)),
    );
    expect(moved.length).toBeLessThanOrEqual(1);
  });

  test('nobody is dialled by more members than a few per doubling of the swarm', () => {
    const dials = new Map<string, number>();
    for (let place = 0; place < 500; place += 1) {
      for (const key of dialledBy(place, 500)) dials.set(key, (dials.get(key) ?? 0) + 1);
    }
    expect(Math.max(...dials.values())).toBeLessThanOrEqual(2 * Math.ceil(Math.log2(500)));
  });
});
