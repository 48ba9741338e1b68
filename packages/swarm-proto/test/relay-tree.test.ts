import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RelayTree, STRIPES } from '../src/relay-tree.ts';

const stripes = Array.from({ length: STRIPES }, (_, stripe) => stripe);

describe('relay tree', () => {
  test('each stripe has exactly one root, and everyone reaches it by parents without a circle', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), (count) => {
        const trees = Array.from({ length: count }, (_, self) => new RelayTree(count, self));
        for (const stripe of stripes) {
          expect(trees.filter((tree) => tree.isRoot(stripe))).toHaveLength(1);
          for (let self = 0; self < count; self += 1) {
            let at = self;
            let hops = 0;
            while (!trees[at].isRoot(stripe)) {
              at = trees[at].sources(stripe)[0];
              hops += 1;
              expect(hops).toBeLessThanOrEqual(Math.ceil(Math.log2(count + 1)));
            }
          }
        }
      }),
      { numRuns: 40 },
    );
  });

  test('a node relays in one stripe only, to at most STRIPES children', () => {
    fc.assert(
      fc.property(fc.integer({ min: STRIPES, max: 300 }), (count) => {
        const children = new Map<string, number>();
        for (const stripe of stripes) {
          for (let self = 0; self < count; self += 1) {
            const [parent] = new RelayTree(count, self).sources(stripe);
            if (parent === undefined) continue;
            expect(parent % STRIPES).toBe(stripe);
            const key = `${stripe}:${parent}`;
            children.set(key, (children.get(key) ?? 0) + 1);
          }
        }
        for (const number of children.values()) expect(number).toBeLessThanOrEqual(STRIPES);
      }),
      { numRuns: 40 },
    );
  });

  test('names other nodes only, each once, the root last', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 200 }),
        fc.nat(),
        fc.nat(STRIPES - 1),
        (count, seed, stripe) => {
          const self = seed % count;
          const tree = new RelayTree(count, self);
          const sources = tree.sources(stripe);
          expect(new Set(sources).size).toBe(sources.length);
          expect(sources).not.toContain(self);
          if (!tree.isRoot(stripe)) {
            const root = sources[sources.length - 1];
            expect(new RelayTree(count, root).isRoot(stripe)).toBe(true);
          }
        },
      ),
    );
  });

  test('every piece has one owner for fill', () => {
    for (const piece of [0, 1, 17, 1_000]) {
      const owners = Array.from({ length: 7 }, (_, self) => new RelayTree(7, self)).filter(
        (tree) => piece % tree.fillStep === tree.self,
      );
      expect(owners).toHaveLength(1);
    }
  });
});
