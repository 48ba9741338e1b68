import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Random } from '../src/index.ts';

const seed = fc.integer({ min: 0, max: 0xffff_ffff });
const take = (random: Random, count: number) =>
  Array.from({ length: count }, () => random.uint32());

test('gives the same numbers for the same seed, for ever', () => {
  // Simulated runs are named by their seed: a change of these numbers renames them all.
  expect(take(new Random(1), 4)).toEqual([
    ...[2_442_144_158, 3_238_099_751, 3_819_917_871, 2_104_621_829],
  ]);
  fc.assert(
    fc.property(seed, (value) => {
      expect(take(new Random(value), 20)).toEqual(take(new Random(value), 20));
    }),
  );
});

test('gives other numbers for another seed, 0 included', () => {
  const firsts = Array.from({ length: 2_000 }, (_, value) => take(new Random(value), 2).join());
  expect(new Set(firsts).size).toBe(2_000);
});

test('stays within its bounds', () => {
  fc.assert(
    fc.property(seed, fc.integer({ min: 1, max: 2 ** 32 }), (value, bound) => {
      const random = new Random(value);
      for (let turn = 0; turn < 20; turn += 1) {
        const float = random.float();
        expect(float >= 0 && float < 1).toBe(true);
        const below = random.below(bound);
        expect(Number.isInteger(below) && below >= 0 && below < bound).toBe(true);
      }
    }),
  );
});

test('takes every value of a small range about as often', () => {
  const random = new Random(7);
  const counts = new Array<number>(10).fill(0);
  for (let turn = 0; turn < 10_000; turn += 1) counts[random.below(10)] += 1;
  // 1,000 each, with a standard deviation of 30.
  for (const count of counts) expect(Math.abs(count - 1_000)).toBeLessThan(150);
});

test('shuffles in place: every item stays, every order comes up', () => {
  const random = new Random(3);
  const counts = new Map<string, number>();
  for (let turn = 0; turn < 6_000; turn += 1) {
    const items = ['a', 'b', 'c'];
    expect(random.shuffle(items)).toBe(items);
    const order = items.join('');
    counts.set(order, (counts.get(order) ?? 0) + 1);
  }
  expect([...counts.keys()].sort()).toEqual(['abc', 'acb', 'bac', 'bca', 'cab', 'cba']);
  for (const count of counts.values()) expect(Math.abs(count - 1_000)).toBeLessThan(150);
  expect(random.shuffle([])).toEqual([]);
});
