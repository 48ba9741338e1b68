import { describe, expect, test } from 'vitest';
import type { Prefetch, PrefetchNode } from '../src/prefetch-api.ts';
import { byConcern, prefetchProgress, scopeText } from '../src/prefetch-progress.ts';

function node(state: PrefetchNode['state'], piecesHad: number, piecesWanted: number): PrefetchNode {
  return { node: 'n', state, piecesHad, piecesWanted, code: '' };
}

function order(more: Partial<Prefetch>): Prefetch {
  return {
    ...{ id: '1', image: 'a'.repeat(40), imageName: 'debian', state: 'active', isLate: false },
    ...{ bootOrderOnly: false, priority: 5, pin: false, createdAt: '2026-03-02T10:00:00Z' },
    nodes: [],
    ...more,
  };
}

describe('the progress of an order', () => {
  test('is nothing without nodes', () => {
    expect(prefetchProgress([]).share).toBe(0);
  });

  test('counts nodes by state, and each node alike', () => {
    const nodes = [node('done', 10, 10), node('fetching', 50, 100), node('waiting', 0, 0)];
    expect(prefetchProgress([...nodes, node('failed', 0, 8)])).toEqual({
      ...{ done: 1, fetching: 1, waiting: 1, failed: 1, share: 0.375 },
    });
  });

  test('is whole when all nodes are done, whatever they count', () => {
    expect(prefetchProgress([node('done', 0, 0), node('done', 12, 10)]).share).toBe(1);
  });
});

describe('the scope of an order', () => {
  test.each<[Partial<Prefetch>, string]>([
    [{ nodesGiven: ['a'] }, '1 named node, the whole image, priority 5'],
    [
      { percent: 20, minCopies: 0, bootOrderOnly: true },
      '20 % of the nodes of each zone, boot order only, priority 5',
    ],
    [
      { percent: 100, zone: 'az1', minCopies: 3, pin: true },
      '100 % of the nodes of zone az1, at least 3 copies, the whole image, priority 5, pinned',
    ],
    [{ percent: 0, minCopies: 1 }, 'at least 1 copy, the whole image, priority 5'],
  ])('of %j in words', (more, text) => {
    expect(scopeText(order(more))).toBe(text);
  });
});

test('orders that are late come first, then those that go on, the newest first', () => {
  const orders = [
    order({ id: 'over', state: 'expired' }),
    order({ id: 'old' }),
    order({ id: 'new', createdAt: '2026-03-02T11:00:00Z' }),
    order({ id: 'late', isLate: true, createdAt: '2026-03-01T11:00:00Z' }),
  ];
  expect(orders.sort(byConcern).map(({ id }) => id)).toEqual(['late', 'new', 'old', 'over']);
});
