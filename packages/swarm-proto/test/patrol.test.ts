/** The patrol as others see it: through an engine, by what it asks of whom and whom it leaves. */
import type { PeerMessage, SwarmLimits } from '@bootswarm/swarm-proto';
import { describe, expect, test } from 'vitest';
import { LoneEngine } from './lone-engine.ts';

const PIECES = 16;
const PARENT = 1;
const OTHER = 2;
const ORIGIN = 9;
const FOREIGN = { kind: 'foreign', client: 'x', requestsInFlightMax: 64 } as const;

function count(said: readonly PeerMessage<string>[], type: PeerMessage<string>['type']): number {
  return said.filter((each) => each.type === type).length;
}

/** Wires to these nodes, and no member order: whoever has a piece may be asked. */
function engineWith(peers: readonly number[], limits: Partial<SwarmLimits> = {}): LoneEngine {
  const engine = new LoneEngine(PIECES, 'self', undefined, limits);
  for (const peer of peers) engine.connectNode(peer, `n${peer}`);
  return engine;
}

/** PARENT is asked for pieces with even indexes first, OTHER when that one is not to be had. */
function engineBelowParent(): LoneEngine {
  const engine = engineWith([PARENT, OTHER]);
  engine.tellMembers({ z: ['n1', 'self', 'n2'] });
  engine.hear(PARENT, { type: 'have-all' });
  engine.hear(OTHER, { type: 'have-all' });
  return engine;
}

/** PARENT alone has it and is asked; then OTHER has everything too. */
function askThenOffer(engine: LoneEngine, pieces: readonly number[]): void {
  engine.hear(PARENT, { type: 'have-all' });
  for (const pieceIndex of pieces) engine.demand(pieceIndex);
  expect(engine.asked(PARENT)).toEqual(pieces);
  engine.hear(OTHER, { type: 'have-all' });
}

describe('one of ours that owes us pieces', () => {
  test('is asked once whether it is there when it has been silent for a while', () => {
    const engine = engineWith([PARENT]);
    engine.hear(PARENT, { type: 'have-all' });
    engine.demand(0);
    engine.pass(90);
    expect(count(engine.take(PARENT), 'ping')).toBe(0);
    engine.pass(60);
    expect(count(engine.take(PARENT), 'ping')).toBe(1);
    engine.pass(5_000);
    expect(count(engine.take(PARENT), 'ping')).toBe(0);
  });

  test('is not judged for a time in which we stood still ourselves', () => {
    const engine = engineBelowParent();
    engine.demand(0);
    expect(engine.asked(PARENT)).toEqual([0]);
    engine.pass(20);
    engine.now += 5_000;
    engine.handle({ type: 'wake' });
    engine.pass(60);
    expect(count(engine.take(PARENT), 'cancel')).toBe(0);
    expect(engine.suspected).toEqual([]);
    // From now on it is.
    engine.pass(2_000);
    expect(count(engine.take(PARENT), 'cancel')).toBeGreaterThan(0);
    expect(engine.suspected).toContain('n1');
  });

  test('is not asked while it says anything', () => {
    const engine = engineWith([PARENT]);
    engine.hear(PARENT, { type: 'have-all' });
    engine.demand(0);
    engine.passHearing(900, [PARENT]);
    expect(count(engine.take(PARENT), 'ping')).toBe(0);
  });

  test('is waited for as long as it answers and does not have them itself', () => {
    const engine = engineWith([PARENT]);
    engine.tellMembers({ z: ['n1', 'self'] });
    engine.demand(0);
    expect(engine.asked(PARENT)).toEqual([0]);
    engine.passHearing(60_000, [PARENT]);
    expect(count(engine.take(PARENT), 'cancel')).toBe(0);
    expect([engine.suspected, engine.closed]).toEqual([[], []]);
  });

  test('is left with all of them and reported when it does not answer', () => {
    const engine = engineBelowParent();
    engine.demand(0);
    engine.demand(2);
    expect(engine.asked(PARENT)).toEqual([0, 2]);
    engine.passHearing(200, [OTHER]);
    expect([count(engine.take(PARENT), 'cancel'), engine.suspected]).toEqual([0, []]);
    engine.passHearing(100, [OTHER]);
    expect(count(engine.take(PARENT), 'cancel')).toBe(2);
    expect(engine.suspected).toEqual(['n1']);
    expect(engine.asked(OTHER)).toEqual(expect.arrayContaining([0, 2]));
  });

  test('is asked for nothing until it is heard again, and then for one piece first', () => {
    const engine = engineBelowParent();
    engine.demand(0);
    engine.passHearing(300, [OTHER]);
    engine.give(OTHER, 0);
    engine.pass(10_000);
    engine.asked(PARENT);
    engine.demand(2);
    expect([engine.asked(PARENT), engine.asked(OTHER)]).toEqual([[], [0, 2]]);
    engine.hear(PARENT, { type: 'interested' });
    engine.demand(4);
    engine.demand(6);
    expect([engine.asked(PARENT), engine.asked(OTHER)]).toEqual([[4], [6]]);
  });

  test('is left when it sends none of those it has, although it answers', () => {
    const engine = engineBelowParent();
    engine.demand(0);
    engine.passHearing(1_000, [PARENT, OTHER]);
    expect(count(engine.take(PARENT), 'cancel')).toBe(0);
    engine.passHearing(100, [PARENT, OTHER]);
    expect(count(engine.take(PARENT), 'cancel')).toBe(1);
    expect(engine.suspected).toEqual(['n1']);
  });

  test('is not left for one piece that does not come while others do', () => {
    const engine = engineWith([PARENT]);
    engine.hear(PARENT, { type: 'have-all' });
    for (let pieceIndex = 0; pieceIndex < 8; pieceIndex += 1) engine.demand(pieceIndex);
    for (let pieceIndex = 7; pieceIndex > 0; pieceIndex -= 1) {
      engine.passHearing(900, [PARENT]);
      engine.give(PARENT, pieceIndex);
    }
    expect(count(engine.take(PARENT), 'cancel')).toBe(0);
  });

  test('is disconnected when it has not been heard for long', () => {
    const engine = engineWith([PARENT]);
    engine.hear(PARENT, { type: 'have-all' });
    engine.demand(0);
    engine.pass(30_000);
    expect(engine.closed).toEqual([]);
    engine.pass(200);
    expect(engine.closed).toEqual([{ peer: PARENT, code: 'no-progress' }]);
  });

  test('is left for as long as it says when it is busy, and reported', () => {
    const engine = engineBelowParent();
    engine.demand(0);
    engine.hear(PARENT, { type: 'busy' });
    expect(count(engine.take(PARENT), 'cancel')).toBe(1);
    expect([engine.asked(OTHER), engine.suspected]).toEqual([[0], ['n1']]);
    engine.give(OTHER, 0);
    engine.pass(9_900);
    engine.demand(2);
    expect([engine.asked(PARENT), engine.asked(OTHER)]).toEqual([[], [2]]);
    engine.pass(100);
    engine.demand(4);
    expect(engine.asked(PARENT)).toEqual([4]);
  });
});

test('the origin is not left although it says it is busy: nobody is in its place', () => {
  const engine = engineWith([]);
  engine.connectNode(ORIGIN, 'origin', true);
  engine.demand(0);
  engine.hear(ORIGIN, { type: 'busy' });
  engine.demand(1);
  expect(engine.take(ORIGIN)).toMatchObject([
    { type: 'unchoke' },
    { type: 'request', pieceIndex: 0 },
    { type: 'request', pieceIndex: 1 },
  ]);
});

test('a foreign peer is left with all it owes when it has sent none of it for long', () => {
  const engine = engineWith([]);
  engine.connect(PARENT, FOREIGN);
  engine.hear(PARENT, { type: 'have-all' });
  engine.demand(0);
  engine.demand(1);
  engine.passHearing(3_000, [PARENT]);
  expect(count(engine.take(PARENT), 'cancel')).toBe(0);
  engine.passHearing(100, [PARENT]);
  expect(count(engine.take(PARENT), 'cancel')).toBe(2);
});

test('a foreign peer is not disconnected because we stood still ourselves', () => {
  const engine = engineWith([]);
  engine.connect(PARENT, FOREIGN);
  engine.hear(PARENT, { type: 'have-all' });
  engine.demand(0);
  engine.now += 60_000;
  engine.handle({ type: 'wake' });
  expect(engine.closed).toEqual([]);
});

describe('a demand piece that is late', () => {
  test('is asked of a second source', () => {
    const engine = engineWith([PARENT, OTHER]);
    askThenOffer(engine, [0]);
    engine.passHearing(100, [PARENT, OTHER]);
    expect(engine.asked(OTHER)).toEqual([]);
    engine.passHearing(50, [PARENT, OTHER]);
    expect(engine.asked(OTHER)).toEqual([0]);
    expect(engine.engine.snapshot().stats.hedges).toBe(1);
    expect(count(engine.take(PARENT), 'cancel')).toBe(0);
  });

  test('is asked sooner of one who has shown that he would have brought it several times over', () => {
    const engine = engineWith([PARENT, OTHER]);
    engine.hear(OTHER, { type: 'have', pieceIndexes: [1] });
    engine.demand(1);
    engine.pass(2);
    engine.give(OTHER, 1);
    engine.take(OTHER);
    askThenOffer(engine, [0]);
    engine.passHearing(50, [PARENT, OTHER]);
    expect(engine.asked(OTHER)).toEqual([0]);
    expect(engine.engine.snapshot().stats.hedges).toBe(1);
  });

  test('is late from when a guest waits for it, not from when it was prefetched', () => {
    const engine = engineWith([PARENT, OTHER]);
    engine.hear(PARENT, { type: 'have-all' });
    engine.handle({ type: 'prefetch', pieceIndexes: [0] });
    engine.hear(OTHER, { type: 'have-all' });
    engine.passHearing(500, [PARENT, OTHER]);
    engine.demand(0);
    engine.passHearing(100, [PARENT, OTHER]);
    expect(engine.asked(OTHER)).toEqual([]);
    engine.passHearing(50, [PARENT, OTHER]);
    expect(engine.asked(OTHER)).toEqual([0]);
  });

  test('is late the later, the longer pieces usually take', () => {
    const engine = engineWith([PARENT, OTHER]);
    engine.hear(PARENT, { type: 'have-all' });
    for (let pieceIndex = 0; pieceIndex < 12; pieceIndex += 1) {
      engine.demand(pieceIndex);
      engine.passHearing(90, [PARENT]);
      engine.give(PARENT, pieceIndex);
    }
    engine.take(PARENT);
    askThenOffer(engine, [12]);
    engine.passHearing(150, [PARENT, OTHER]);
    expect(engine.asked(OTHER)).toEqual([]);
    engine.passHearing(250, [PARENT, OTHER]);
    expect(engine.asked(OTHER)).toEqual([12]);
  });

  test('is asked of three at most', () => {
    const peers = [1, 2, 3, 4, 5];
    const engine = engineWith(peers);
    engine.hear(PARENT, { type: 'have-all' });
    engine.demand(0);
    for (const peer of peers) engine.hear(peer, { type: 'have-all' });
    engine.passHearing(900, peers);
    expect(peers.flatMap((peer) => engine.asked(peer))).toEqual([0, 0, 0]);
  });

  test('is asked of the origin only after longer', () => {
    const engine = engineWith([PARENT]);
    engine.connectNode(ORIGIN, 'origin', true);
    engine.hear(PARENT, { type: 'have-all' });
    engine.demand(0);
    engine.passHearing(300, [PARENT, ORIGIN]);
    expect(engine.asked(ORIGIN)).toEqual([]);
    engine.passHearing(50, [PARENT, ORIGIN]);
    expect(engine.asked(ORIGIN)).toEqual([0]);
    expect(engine.engine.snapshot().stats.originRequests['holder-late']).toBe(1);
  });

  test('waits when too many were asked twice, until pieces come', () => {
    const limits = { hedgesBurst: 2, hedgesPerSecond: 0, hedgesPerPiece: 1 };
    const engine = engineWith([PARENT, OTHER], limits);
    askThenOffer(engine, [0, 1, 2, 3, 4]);
    engine.passHearing(500, [PARENT, OTHER]);
    expect(engine.asked(OTHER)).toEqual([0, 1]);
    engine.give(PARENT, 4);
    engine.passHearing(100, [PARENT, OTHER]);
    expect(engine.asked(OTHER)).toEqual([2]);
  });

  test('is asked again the sooner the longer ago the last burst was', () => {
    const limits = { hedgesBurst: 1, hedgesPerSecond: 10, hedgesPerPiece: 0 };
    const engine = engineWith([PARENT, OTHER], limits);
    askThenOffer(engine, [0, 1, 2]);
    engine.passHearing(200, [PARENT, OTHER]);
    expect(engine.asked(OTHER).length).toBeLessThan(3);
    engine.passHearing(400, [PARENT, OTHER]);
    expect(engine.engine.snapshot().stats.hedges).toBe(3);
  });
});

describe('a parent that is slower than the second source', () => {
  /** PARENT is asked for a piece first, OTHER when it is late, and gives it. */
  function loseRace(engine: LoneEngine, pieceIndex: number): void {
    engine.demand(pieceIndex);
    expect(engine.asked(PARENT)).toEqual([pieceIndex]);
    for (let ms = 0; ms < 500 && engine.asked(OTHER).length === 0; ms += 50) {
      engine.passHearing(50, [PARENT, OTHER]);
    }
    engine.give(OTHER, pieceIndex);
    engine.take(PARENT);
  }

  test('is left and reported when that happens twice', () => {
    const engine = engineBelowParent();
    loseRace(engine, 0);
    expect(engine.suspected).toEqual([]);
    loseRace(engine, 2);
    expect(engine.suspected).toEqual(['n1']);
    engine.demand(4);
    expect([engine.asked(PARENT), engine.asked(OTHER)]).toEqual([[], [4]]);
  });

  test('is left again only when it happens twice again', () => {
    const engine = engineBelowParent();
    loseRace(engine, 0);
    loseRace(engine, 2);
    engine.pass(1_000);
    loseRace(engine, 4);
    engine.demand(6);
    expect(engine.asked(PARENT)).toEqual([6]);
  });

  test('is kept when it was first in between', () => {
    const engine = engineBelowParent();
    loseRace(engine, 0);
    engine.demand(2);
    engine.give(PARENT, 2);
    engine.take(PARENT);
    loseRace(engine, 4);
    expect(engine.suspected).toEqual([]);
  });
});

describe('what is only filled', () => {
  test('is asked of one source until it is late', () => {
    const engine = engineWith([1, 2], { requestsInFlightMin: PIECES });
    engine.hear(1, { type: 'have-all' });
    engine.handle({ type: 'fill', enabled: true });
    engine.hear(2, { type: 'have-all' });
    expect(engine.asked(1)).toHaveLength(PIECES);
    engine.passHearing(100, [1, 2]);
    expect(engine.asked(2)).toEqual([]);
    engine.passHearing(50, [1, 2]);
    expect(engine.asked(2)).toHaveLength(PIECES);
  });

  test('is asked of another source when it is late and everything has been asked for', () => {
    const engine = engineWith([1, 2, 3]);
    engine.hear(1, { type: 'have-all' });
    engine.handle({ type: 'fill', enabled: true });
    const asked = engine.asked(1);
    expect(asked).toHaveLength(4);
    engine.hear(2, { type: 'have', pieceIndexes: asked });
    engine.passHearing(400, [1, 2, 3]);
    expect(engine.asked(2)).toEqual([]);
    for (let pieceIndex = 0; pieceIndex < PIECES; pieceIndex += 1) {
      if (!asked.includes(pieceIndex))
        engine.handle({ type: 'prefetch', pieceIndexes: [pieceIndex] });
    }
    engine.passHearing(100, [1, 2, 3]);
    expect(engine.asked(2).toSorted()).toEqual(asked.toSorted());
    expect(engine.engine.snapshot().stats.hedges).toBe(0);
  });
});
