import { describe, expect, test } from 'vitest';
import { LoneEngine } from './lone-engine.ts';

const NEAR = 1;
const FAR = 2;

/** Both have everything; of two that are as near, the first to connect is asked. */
function engineBetween(): LoneEngine {
  const engine = new LoneEngine(16);
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
    const engine = new LoneEngine(16);
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
    const engine = new LoneEngine(16);
    engine.connectNode(FAR, 'far', false, 'b');
    engine.connectNode(NEAR, 'near', false, 'a');
    for (const peer of [FAR, NEAR]) engine.hear(peer, { type: 'have-all' });
    engine.tellMembers({ a: ['self'] });
    expect(askedFor(engine, 0)).toBe(NEAR);
  });
});
