import { describe, expect, test } from 'vitest';
import { LoneEngine } from './lone-engine.ts';

const FOREIGN = { kind: 'foreign', client: 'x', requestsInFlightMax: 4 } as const;

describe('a peer that gives nothing', () => {
  test('a foreign one is left although it chatters, and tried again with one piece', () => {
    const engine = new LoneEngine(8);
    engine.connect(1, FOREIGN);
    engine.hear(1, { type: 'have-all' });
    engine.demand(0);
    engine.demand(1);
    expect(engine.asked(1)).toEqual([0, 1]);
    engine.connectNode(2, 'other');
    for (let ms = 0; ms < 3_500; ms += 100) {
      engine.pass(100);
      engine.hear(1, { type: 'interested' });
    }
    expect(engine.take(1).filter(({ type }) => type === 'cancel')).toHaveLength(2);
    // Somebody else has them now: the one that gave nothing is not trusted with them again.
    engine.hear(2, { type: 'have', pieceIndexes: [0, 1, 2, 3] });
    engine.demand(2);
    engine.pass(300);
    expect(engine.asked(2)).toEqual(expect.arrayContaining([0, 1, 2]));
    expect(engine.asked(1)).toEqual([]);
    for (const pieceIndex of [0, 1, 2]) engine.give(2, pieceIndex);
    engine.pass(1_000);
    engine.hear(2, { type: 'have', pieceIndexes: [5] });
    engine.demand(4);
    engine.demand(5);
    expect(engine.asked(1)).toEqual([4]);
    expect(engine.asked(2)).toEqual([5]);
    engine.give(1, 4);
    engine.demand(6);
    engine.demand(7);
    expect(engine.asked(1)).toEqual([6, 7]);
  });

  test('one of ours that rejects what it says it has is left for a while, whatever else it says', () => {
    const engine = new LoneEngine(32);
    engine.connectNode(1, 'liar');
    engine.hear(1, { type: 'have-all' });
    for (let pieceIndex = 0; pieceIndex < 8; pieceIndex += 1) engine.demand(pieceIndex);
    expect(engine.asked(1)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    engine.connectNode(2, 'other');
    engine.hear(2, { type: 'have-all' });
    for (let pieceIndex = 0; pieceIndex < 8; pieceIndex += 1) {
      engine.hear(1, { type: 'reject', pieceIndex, offset: 0, length: 65_536 });
    }
    engine.hear(1, { type: 'have', pieceIndexes: [0] });
    engine.asked(2);
    for (let pieceIndex = 8; pieceIndex < 16; pieceIndex += 1) engine.demand(pieceIndex);
    expect(engine.asked(1)).toEqual([]);
    expect(engine.asked(2)).toEqual([8, 9, 10, 11, 12, 13, 14, 15]);
  });
});
