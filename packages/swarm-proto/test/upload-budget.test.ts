import { Bitfield, Random } from '@bootswarm/stdx';
import { type PieceClass, SwarmEngine, type SwarmInput, TokenBucket } from '@bootswarm/swarm-proto';
import { expect, test } from 'vitest';

const PIECE = 65_536;
const PIECES = 64;

/** An origin whose uploads are done at once, and when it was given each to do. */
class LoneOrigin {
  readonly engine: SwarmEngine<string>;
  readonly uploads: { readonly at: number; readonly pieceIndex: number }[] = [];

  constructor(uploadBudget: TokenBucket) {
    this.engine = new SwarmEngine<string>({
      shape: { pieceCount: PIECES, pieceLength: PIECE, length: PIECES * PIECE },
      node: 'origin',
      isOrigin: true,
      have: Bitfield.full(PIECES),
      random: new Random(1),
      uploadBudget,
    });
    for (const peer of [1, 2]) {
      const identity = {
        kind: 'ours',
        node: `n${peer}`,
        zone: '',
        rack: '',
        isOrigin: false,
      } as const;
      this.handle({ type: 'peer-connected', peer, identity, dialled: undefined }, 0);
    }
  }

  handle(input: SwarmInput<string>, at: number): void {
    this.engine.handle(input, at);
    for (let effect = this.engine.poll(); effect; effect = this.engine.poll()) {
      if (effect.type !== 'upload') continue;
      const { peer, pieceIndex, offset, length } = effect;
      this.uploads.push({ at, pieceIndex });
      this.handle({ type: 'uploaded', peer, pieceIndex, offset, length, isSent: true }, at);
    }
  }

  ask(peer: number, pieceIndex: number, pieceClass: PieceClass, at: number): void {
    const request = { type: 'request', pieceIndex, offset: 0, length: PIECE, pieceClass } as const;
    this.handle({ type: 'message', peer, message: request }, at);
  }
}

/** Wakes whoever wants it first, until `end`. */
function pass(origins: readonly LoneOrigin[], end: number): void {
  for (;;) {
    const due = Math.min(...origins.map(({ engine }) => engine.timeout()));
    if (due > end) return;
    for (const origin of origins) {
      if (origin.engine.timeout() <= due) origin.handle({ type: 'wake' }, due);
    }
  }
}

test('no more leaves than the budget, and a demand goes before what was prefetched earlier', () => {
  // A piece in 10 ms.
  const origin = new LoneOrigin(new TokenBucket(PIECE / 10, PIECE));
  for (let index = 0; index < 30; index += 1) origin.ask(1, index, 'boot-order', 0);
  pass([origin], 101);
  const before = origin.uploads.length;
  expect(before).toBeGreaterThan(8);
  expect(before).toBeLessThanOrEqual(12);
  origin.ask(2, 40, 'demand', 101);
  pass([origin], 121);
  expect(origin.uploads[before].pieceIndex).toBe(40);
  pass([origin], 1_000);
  expect(origin.uploads).toHaveLength(31);
});

test('swarms that share a budget send no more than it together', () => {
  const budget = new TokenBucket(PIECE / 10, PIECE);
  const origins = [new LoneOrigin(budget), new LoneOrigin(budget)];
  for (const origin of origins) {
    for (let index = 0; index < 30; index += 1) origin.ask(1, index, 'boot-order', 0);
  }
  pass(origins, 101);
  const sent = origins.reduce((sum, { uploads }) => sum + uploads.length, 0);
  expect(sent).toBeGreaterThan(8);
  expect(sent).toBeLessThanOrEqual(12);
  budget.reset(Infinity, Infinity, 101);
  pass(origins, 120);
  expect(origins.map(({ uploads }) => uploads.length)).toEqual([30, 30]);
});
