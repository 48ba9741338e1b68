import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  chooseNodes,
  decodeAgentMessage,
  decodeTrackerMessage,
  encodeAgentMessage,
  encodeTrackerMessage,
  type NodePrefetch,
  type PrefetchEffect,
  PrefetchOrderBook,
  type PrefetchSpec,
} from '../src/index.ts';

const IMAGE = 'a'.repeat(40);
const ID = '0123456789abcdef';
const DONE: NodePrefetch = { state: 'done', piecesHad: 5, piecesWanted: 5, code: '' };
const FAILED: NodePrefetch = { ...DONE, state: 'failed', code: 'cache-full' };
const GONE_MS = 120_000;

function specOf(spec: Partial<PrefetchSpec> = {}): PrefetchSpec {
  return {
    ...{ id: ID, image: IMAGE, percent: 100, minCopies: 0, bootOrderOnly: false },
    ...{ priority: 5, isPinned: false, createdAtMs: 0 },
    ...spec,
  };
}

function drain(book: PrefetchOrderBook): PrefetchEffect[] {
  const effects: PrefetchEffect[] = [];
  for (let each = book.poll(); each; each = book.poll()) effects.push(each);
  return effects;
}

const told = (book: PrefetchOrderBook): [string, string[]][] =>
  drain(book).flatMap((each) =>
    each.type === 'tell' ? [[each.node, each.tasks.map(({ id }) => id)]] : [],
  );

/** Of a cloud of nodes: az1 has a0, a1, …, az2 has b0, … */
function bookWith(a: number, b = 0): PrefetchOrderBook {
  const book = new PrefetchOrderBook([], 0);
  for (let at = 0; at < a; at += 1) book.nodeConnected({ node: `a${at}`, zone: 'az1' }, 0);
  for (let at = 0; at < b; at += 1) book.nodeConnected({ node: `b${at}`, zone: 'az2' }, 0);
  return book;
}

const nodesOf = (book: PrefetchOrderBook): string[] => book.get(ID)!.nodes.map(([node]) => node);

const clouds = fc.uniqueArray(
  fc.record({
    node: fc.string({ minLength: 1, maxLength: 6 }),
    zone: fc.constantFrom('x', 'y', 'z'),
  }),
  { selector: ({ node }) => node, maxLength: 40 },
);
const scopes = fc.record(
  {
    percent: fc.integer({ min: 0, max: 100 }),
    minCopies: fc.integer({ min: 0, max: 50 }),
    zone: fc.constantFrom('x', 'y'),
  },
  { requiredKeys: ['percent', 'minCopies'] },
);

describe('chooseNodes', () => {
  it('takes its part of each zone, and no fewer than the copies that are wanted', () => {
    fc.assert(
      fc.property(clouds, scopes, (places, scope) => {
        const chosen = chooseNodes(ID, scope, places, new Set());
        const inScope = places.filter(
          ({ zone }) => scope.zone === undefined || zone === scope.zone,
        );
        for (const zone of new Set(inScope.map((place) => place.zone))) {
          const nodes = inScope.filter((place) => place.zone === zone);
          const count = nodes.filter(({ node }) => chosen.has(node)).length;
          expect(count).toBeGreaterThanOrEqual(Math.ceil((nodes.length * scope.percent) / 100));
        }
        expect(chosen.size).toBeGreaterThanOrEqual(Math.min(scope.minCopies, inScope.length));
        for (const node of chosen) expect(inScope.map((place) => place.node)).toContain(node);
      }),
    );
  });

  it('chooses the same nodes in whatever order they came', () => {
    fc.assert(
      fc.property(clouds, scopes, fc.infiniteStream(fc.nat()), (places, scope, numbers) => {
        const shuffled = places
          .map((place) => ({ place, at: numbers.next().value as number }))
          .sort((left, right) => left.at - right.at)
          .map(({ place }) => place);
        const chosen = chooseNodes(ID, scope, places, new Set());
        expect(chooseNodes(ID, scope, shuffled, new Set())).toEqual(chosen);
        // And again once they are chosen.
        expect(chooseNodes(ID, scope, shuffled, chosen)).toEqual(chosen);
      }),
    );
  });

  it('lets nobody go when others come', () => {
    fc.assert(
      fc.property(clouds, scopes, fc.nat(40), (places, scope, cut) => {
        const before = chooseNodes(ID, scope, places.slice(0, cut), new Set());
        const after = chooseNodes(ID, scope, places, before);
        for (const node of before) expect(after.has(node)).toBe(true);
      }),
    );
  });

  it('spreads copies over zones', () => {
    const places = ['a1', 'a2', 'a3', 'b1', 'b2', 'b3'].map((node) => ({ node, zone: node[0] }));
    const chosen = [...chooseNodes(ID, { percent: 0, minCopies: 2 }, places, new Set())];
    expect(new Set(chosen.map((node) => node[0]))).toEqual(new Set(['a', 'b']));
  });
});

describe('PrefetchOrderBook', () => {
  it('tells the nodes that it chooses, and those alone', () => {
    const book = bookWith(2, 2);
    expect(book.add(specOf({ zone: 'az2' }), 1_000)).toBe(true);
    expect(told(book)).toEqual([
      ['b0', [ID]],
      ['b1', [ID]],
    ]);
  });

  it('tells a node that is named when it connects', () => {
    const book = bookWith(0);
    book.add(specOf({ nodes: ['a0', 'a9'] }), 0);
    expect(told(book)).toEqual([]);
    book.nodeConnected({ node: 'a9', zone: 'az1' }, 10);
    expect(told(book)).toEqual([['a9', [ID]]]);
    expect(nodesOf(book)).toEqual(['a0', 'a9']);
  });

  it('puts another in the place of a node that fails', () => {
    const book = bookWith(4);
    // The choice that the nodes' coming has made due, so that only a failure makes another.
    book.wake(book.timeout()!);
    book.add(specOf({ percent: 0, minCopies: 2 }), 0);
    const [first, second] = nodesOf(book);
    book.report(first, ID, FAILED, 100);
    drain(book);
    book.wake(book.timeout()!);
    const [third] = nodesOf(book).filter((node) => node !== first && node !== second);
    expect(told(book)).toEqual([[third, [ID]]]);
  });

  it('puts another in the place of a node that stays away, not of one that comes back', () => {
    const book = bookWith(3);
    book.add(specOf({ percent: 0, minCopies: 1 }), 0);
    drain(book);
    const [chosen] = nodesOf(book);
    book.nodeGone(chosen, 1_000);
    book.nodeConnected({ node: chosen, zone: 'az1' }, GONE_MS);
    book.wake(2 * GONE_MS);
    expect(nodesOf(book)).toEqual([chosen]);
    book.nodeGone(chosen, 2 * GONE_MS);
    for (let at = book.timeout(); at !== undefined; at = book.timeout()) book.wake(at);
    expect(nodesOf(book)).toHaveLength(1);
    expect(nodesOf(book)).not.toEqual([chosen]);
  });

  it('grows with the cloud', () => {
    const book = bookWith(1);
    book.add(specOf(), 0);
    book.nodeConnected({ node: 'a7', zone: 'az1' }, 5_000);
    drain(book);
    book.wake(book.timeout()!);
    expect(told(book)).toEqual([['a7', [ID]]]);
  });

  it('ends when its time is over, and tells that once', () => {
    const book = bookWith(1);
    book.add(specOf({ expiresAtMs: 60_000, isPinned: true }), 0);
    expect(drain(book)).toContainEqual({
      ...{ type: 'tell', node: 'a0' },
      tasks: [expect.objectContaining({ isPinned: true, expiresInMs: 60_000 })],
    });
    expect(book.timeout()).toBe(1_000);
    book.wake(59_999);
    expect(told(book)).toEqual([]);
    book.wake(60_000);
    expect(told(book)).toEqual([['a0', []]]);
    expect(book.get(ID)!.end).toBe('expired');
    expect(book.timeout()).toBeUndefined();
  });

  it('is late when its deadline passes before all are done, and only then', () => {
    const late = bookWith(1);
    late.add(specOf({ deadlineAtMs: 10_000 }), 0);
    late.wake(10_000);
    expect(drain(late)).toContainEqual({ type: 'late', id: ID });
    expect(late.get(ID)!.isLate).toBe(true);
    const done = bookWith(1);
    done.add(specOf({ deadlineAtMs: 10_000 }), 0);
    done.report('a0', ID, DONE, 9_000);
    done.wake(10_000);
    expect(drain(done)).not.toContainEqual({ type: 'late', id: ID });
    expect(done.get(ID)).toMatchObject({ isDone: true, isLate: false });
  });

  it('tells a node again what it has when it speaks of an order that is over', () => {
    const book = bookWith(1);
    book.add(specOf(), 0);
    expect(book.cancel(ID, 1)).toBe(true);
    expect(book.cancel(ID, 2)).toBe(false);
    drain(book);
    book.report('a0', ID, DONE, 3);
    expect(told(book)).toEqual([['a0', []]]);
    expect(book.get(ID)!.nodes).toEqual([['a0', expect.objectContaining({ state: 'waiting' })]]);
  });

  it('ends with its image', () => {
    const book = bookWith(1);
    book.add(specOf(), 0);
    drain(book);
    book.imageWithdrawn(IMAGE, 1);
    expect(told(book)).toEqual([['a0', []]]);
    expect(book.get(ID)!.end).toBe('withdrawn');
  });

  it('goes on after a restart with the same nodes', () => {
    const before = bookWith(4);
    before.add(specOf({ percent: 0, minCopies: 2 }), 0);
    const nodes = nodesOf(before);
    before.report(nodes[0], ID, DONE, 1);
    const book = new PrefetchOrderBook(before.records(), 1_000);
    for (const node of ['a3', 'a2', 'a1', 'a0']) book.nodeConnected({ node, zone: 'az1' }, 2_000);
    for (let at = book.timeout(); at !== undefined; at = book.timeout()) book.wake(at);
    expect(nodesOf(book)).toEqual(nodes);
    expect(book.get(ID)!.nodes[0]).toEqual([nodes[0], DONE]);
  });

  it('takes no more orders than it can keep', () => {
    const book = bookWith(1);
    const idOf = (at: number): string => at.toString(16).padStart(16, '0');
    for (let at = 0; at < 256; at += 1) expect(book.add(specOf({ id: idOf(at) }), 0)).toBe(true);
    expect(book.add(specOf({ id: idOf(256) }), 0)).toBe(false);
    book.cancel(idOf(0), 0);
    expect(book.add(specOf({ id: idOf(256) }), 0)).toBe(true);
  });
});

describe('messages about prefetch orders', () => {
  const task = {
    id: ID,
    image: IMAGE,
    bootOrderOnly: true,
    priority: 9,
    isPinned: false,
    expiresInMs: 5_000,
  };

  it('travel as they are', () => {
    const tell = { type: 'prefetch', tasks: [task] } as const;
    expect(decodeTrackerMessage(encodeTrackerMessage(tell))).toEqual(tell);
    const state = { type: 'prefetch-state', order: ID, ...FAILED } as const;
    expect(decodeAgentMessage(encodeAgentMessage(state))).toEqual(state);
    const held = { type: 'boot-held', image: IMAGE, pieces: 3, piecesHad: 2 } as const;
    expect(decodeAgentMessage(encodeAgentMessage(held))).toEqual(held);
  });

  it.each([
    { ...task, id: 'x' },
    { ...task, priority: 10 },
    { ...task, expiresInMs: -1 },
    { ...task, isPinned: 1 },
  ])('are refused with %j', (wrong) => {
    const bytes = encodeTrackerMessage({ type: 'prefetch', tasks: [wrong as never] });
    expect(() => decodeTrackerMessage(bytes)).toThrow('field-invalid');
  });
});
