import { MemberDirectory, type SwarmMember } from '@bootswarm/swarm-proto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RelayTree } from '../src/relay-tree.ts';
import { STRIPES, StripeSlots } from '../src/stripe-slots.ts';

const stripes = Array.from({ length: STRIPES }, (_, stripe) => stripe);
const counts = fc.integer({ min: 1, max: 300 });
const stripe = fc.nat(STRIPES - 1);

function zone(name: string, count: number): SwarmMember[] {
  return Array.from({ length: count }, (_, place) => ({
    node: `${name}${place}`,
    zone: name,
    rack: 'r',
    place,
    host: `${name}${place}`,
    port: 1,
  }));
}

const treeOf = (members: readonly SwarmMember[], node: string) =>
  RelayTree.of(new MemberDirectory(members), node);
const treesOf = (members: readonly SwarmMember[]) => {
  const directory = new MemberDirectory(members);
  return new Map(members.map(({ node }) => [node, RelayTree.of(directory, node)!]));
};

describe('slots of a stripe', () => {
  test('each member stands in one slot, and each slot below the count is taken', () => {
    fc.assert(
      fc.property(counts, stripe, (count, each) => {
        const slots = new StripeSlots(count, each);
        const taken = Array.from({ length: count }, (_, place) => slots.slotOf(place));
        expect(taken.toSorted((a, b) => a - b)).toEqual([...taken.keys()]);
        for (const [place, slot] of taken.entries()) expect(slots.placeAt(slot)).toBe(place);
      }),
    );
  });

  test('a newcomer moves at most one other member', () => {
    fc.assert(
      fc.property(counts, stripe, (count, each) => {
        const before = new StripeSlots(count, each);
        const after = new StripeSlots(count + 1, each);
        const moved = Array.from({ length: count }, (_, place) => place).filter(
          (place) => before.slotOf(place) !== after.slotOf(place),
        );
        expect(moved.length).toBeLessThanOrEqual(1);
      }),
    );
  });

  test('slots that have children are those of the stripe’s own members', () => {
    fc.assert(
      fc.property(fc.integer({ min: STRIPES, max: 300 }), stripe, (count, each) => {
        const slots = new StripeSlots(count, each);
        for (let slot = 1; slot < count; slot += 1) {
          expect(slots.placeAt(StripeSlots.parentOf(slot)) % STRIPES).toBe(each);
        }
      }),
    );
  });
});

describe('relay tree', () => {
  test('each stripe has exactly one root, and everyone reaches it by parents without a circle', () => {
    fc.assert(
      fc.property(counts, fc.nat(40), (count, others) => {
        const members = [...zone('a', count), ...zone('b', others)];
        const trees = treesOf(members);
        for (const each of stripes) {
          expect([...trees.values()].filter((tree) => tree.isRoot(each))).toHaveLength(1);
          for (const { node } of members) {
            // Slots fill a tree of two children level by level; from the second zone's root it is one hop to the first's.
            const depth = Math.floor(Math.log2(node.startsWith('a') ? count : others));
            const hopsMax = node.startsWith('a') ? depth : depth + 1;
            let at = node;
            for (let hops = 0; !trees.get(at)!.isRoot(each); hops += 1) {
              expect(hops).toBeLessThan(hopsMax);
              const { inZone, elsewhere } = trees.get(at)!.sources[each];
              at = inZone[0] ?? elsewhere[0];
            }
          }
        }
      }),
      { numRuns: 30 },
    );
  });

  test('a node relays in one stripe only, to at most STRIPES children', () => {
    fc.assert(
      fc.property(fc.integer({ min: STRIPES, max: 300 }), (count) => {
        const children = new Map<string, number>();
        const members = zone('a', count);
        for (const tree of treesOf(members).values()) {
          for (const each of stripes) {
            const [parent] = tree.sources[each].inZone;
            if (parent === undefined) continue;
            expect(Number(parent.slice(1)) % STRIPES).toBe(each);
            children.set(`${each}:${parent}`, (children.get(`${each}:${parent}`) ?? 0) + 1);
          }
        }
        for (const number of children.values()) expect(number).toBeLessThanOrEqual(STRIPES);
      }),
      { numRuns: 30 },
    );
  });

  test('whoever is asked stands above the asker, so that no circle of askers can wait', () => {
    fc.assert(
      fc.property(counts, stripe, (count, each) => {
        const slots = new StripeSlots(count, each);
        for (const { place, node } of zone('a', count)) {
          const { inZone } = treeOf(zone('a', count), node)!.sources[each];
          expect(new Set(inZone).size).toBe(inZone.length);
          for (const source of inZone) {
            expect(slots.slotOf(Number(source.slice(1)))).toBeLessThan(slots.slotOf(place));
          }
        }
      }),
      { numRuns: 20 },
    );
  });

  test('orphans of one parent turn to different nodes beside it', () => {
    const members = zone('a', 200);
    const trees = treesOf(members);
    const seconds = new Map<string, string[]>();
    for (const tree of trees.values()) {
      const [parent, second] = tree.sources[0].inZone;
      if (second !== undefined) seconds.set(parent, [...(seconds.get(parent) ?? []), second]);
    }
    const shared = [...seconds.values()].filter((each) => new Set(each).size < each.length);
    // A depth of two slots has only one beside each.
    expect(shared.length).toBeLessThanOrEqual(2);
  });

  test('only the root of a zone is told of nodes elsewhere first, and the first zone of none', () => {
    const members = [...zone('b', 9), ...zone('a', 5), ...zone('c', 4)];
    const trees = treesOf(members);
    expect(trees.get('a0')!.isRoot(0)).toBe(true);
    expect(trees.get('b0')!.sources[0]).toEqual({
      inZone: [],
      elsewhere: ['a0', 'a2', 'a4', 'a3'],
      understudies: ['b2', 'b4'],
    });
    expect(trees.get('c1')!.sources[1].elsewhere[0]).toBe('a1');
    expect(trees.get('a3')!.sources[1].elsewhere).toEqual([]);
  });

  test('in each zone every piece has one member whose share it is', () => {
    const members = [...zone('a', 7), ...zone('b', 3)];
    const trees = [...treesOf(members)];
    for (const piece of [0, 1, 17, 1_000]) {
      const owners = trees.filter(([, tree]) => tree.isOwnShare(piece)).map(([node]) => node[0]);
      expect(owners.sort()).toEqual(['a', 'b']);
    }
  });

  test('somebody who is not a member has no tree', () => {
    expect(treeOf(zone('a', 3), 'stranger')).toBeUndefined();
  });
});
