import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PieceOrder, PieceSequence } from '../src/index.ts';

function orderOf(pieces: Iterable<number>): PieceOrder {
  const order = new PieceOrder();
  for (const each of pieces) order.append(each);
  return order;
}

function sequenceOf(pieces: Iterable<number>): PieceSequence {
  const sequence = new PieceSequence();
  for (const each of pieces) sequence.push(each);
  return sequence;
}

const range = (from: number, end: number) =>
  Array.from({ length: end - from }, (_, index) => from + index);

test('holds each piece once, in the order in which it came, however it is cut and extended', () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('append' as const), at: fc.nat(300) }),
    fc.record({ do: fc.constant('cut' as const), at: fc.nat(200) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400, size: 'max' }), (steps) => {
      const order = new PieceOrder();
      let model: number[] = [];
      for (const { do: what, at } of steps) {
        if (what === 'cut') {
          order.cut(at);
          model = model.slice(0, at);
        } else {
          expect(order.append(at)).toBe(!model.includes(at));
          if (!model.includes(at)) model.push(at);
        }
      }
      expect([...order.slice()]).toEqual(model);
      expect(range(0, 301).filter((each) => order.has(each))).toEqual(
        model.toSorted((a, b) => a - b),
      );
    }),
  );
});

describe('a boot follows an order', () => {
  const order = orderOf(range(0, 500));

  test('when it reads the same, behind it or ahead of it', () => {
    expect(order.followedBy(sequenceOf(range(0, 200)))).toBe(1);
    expect(order.followedBy(sequenceOf(range(0, 900)))).toBe(1);
    const early = orderOf(range(0, 40));
    expect(early.followedBy(sequenceOf([...range(0, 40), ...range(5_000, 5_500)]))).toBe(1);
  });

  test('no more once its last reads are others, although it began alike', () => {
    const strays = sequenceOf([...range(0, 300), ...range(5_000, 5_064)]);
    expect(order.followedBy(strays)).toBe(0);
    expect(order.followedBy(sequenceOf([...range(0, 300), ...range(5_000, 5_016)]))).toBe(0.75);
  });

  test('not when what it reads now stands much later in the order', () => {
    expect(order.followedBy(sequenceOf(range(400, 464)))).toBe(0);
  });

  test('and nothing is said of the first fifteen reads', () => {
    expect(order.followedBy(sequenceOf(range(9_000, 9_015)))).toBeUndefined();
    expect(orderOf(range(0, 15)).followedBy(sequenceOf(range(0, 100)))).toBeUndefined();
  });
});
