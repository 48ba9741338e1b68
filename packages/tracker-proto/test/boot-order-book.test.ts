import { Random } from '@bootswarm/stdx';
import { describe, expect, test } from 'vitest';
import { BootOrderBook, KINDS_MAX } from '../src/index.ts';
import { bootOf, kindOf, PIECES, PREFIX, shareIn } from './boot-samples.ts';

const A = kindOf(0);
const B = kindOf(1);

/** Runs whole boots, one after the other, each of a node of its own. */
function learn(book: BootOrderBook, order: readonly number[], boots: number, firstSeed = 1): void {
  for (let seed = firstSeed; seed < firstSeed + boots; seed += 1) {
    book.touched(`node${seed}`, 1, bootOf(order, seed), true, seed * 1_000, 5_000);
  }
  book.flush();
}

function ordersOf(book: BootOrderBook): number[][] {
  return book.whole().map(({ pieceIndexes }) => [...pieceIndexes]);
}

/** What an agent knows that applies every change. */
class View {
  readonly orders = new Map<number, number[]>();

  apply(book: BootOrderBook): void {
    for (const { kind, from, pieceIndexes } of book.flush() ?? []) {
      const order = [...(this.orders.get(kind) ?? []).slice(0, from), ...pieceIndexes];
      if (order.length === 0) this.orders.delete(kind);
      else this.orders.set(kind, order);
    }
  }
}

/** All boots at once, in batches, each `stepOf` touches at a time; returns what a listener was told after each round. */
function runTogether(
  book: BootOrderBook,
  boots: readonly { readonly node: string; readonly touches: readonly number[]; step: number }[],
  onRound: (round: number) => void = () => {},
): void {
  const done = boots.map(() => 0);
  for (let round = 0; done.some((at, index) => at < boots[index].touches.length); round += 1) {
    for (const [index, { node, touches, step }] of boots.entries()) {
      if (done[index] >= touches.length) continue;
      const batch = touches.slice(done[index], done[index] + step);
      done[index] += batch.length;
      book.touched(node, 1, batch, done[index] >= touches.length, round * 50, 5_000);
    }
    onRound(round);
  }
}

describe('boots of one kind', () => {
  test('give one order, of what most of them touched, by mean rank', () => {
    const book = new BootOrderBook(PIECES);
    learn(book, A, 20);
    const [order, ...others] = ordersOf(book);
    expect(others).toEqual([]);
    expect(order.length).toBe(A.length);
    const misplaced = order.map((pieceIndex, rank) => Math.abs(A.indexOf(pieceIndex) - rank));
    expect(Math.max(...misplaced)).toBeLessThan(40);
  });

  test('leave out what one of them touched alone', () => {
    const book = new BootOrderBook(PIECES);
    learn(book, A, 5);
    const odd = bootOf(A, 77).flatMap((each, rank) => (rank % 3 ? [each] : [each, 15_000 + rank]));
    book.touched('odd', 1, odd, true, 9_000, 5_000);
    expect(ordersOf(book)[0].every((pieceIndex) => pieceIndex < 15_000)).toBe(true);
  });

  test('that are cut short say nothing of what comes later', () => {
    const book = new BootOrderBook(PIECES);
    learn(book, A, 4);
    const before = ordersOf(book)[0].length;
    for (let seed = 10; seed < 13; seed += 1) {
      book.touched(`node${seed}`, 1, bootOf(A, seed).slice(0, 60), true, 9_000, 5_000);
    }
    expect(ordersWhole(book)[0].length).toBeGreaterThan(before - 20);
    learn(book, A, 10, 40);
    expect(shareIn(A, ordersOf(book)[0])).toBe(1);
  });

  test('that change over time are followed: what is read no more is forgotten', () => {
    const book = new BootOrderBook(PIECES);
    learn(book, A, 10);
    // An update moves a fifth of the files.
    const updated = A.map((each, rank) => (rank % 5 === 0 ? each + 10_000 : each));
    learn(book, updated, 15, 100);
    const [order, ...others] = ordersOf(book);
    expect(others).toEqual([]);
    expect(shareIn(updated, order)).toBeGreaterThan(0.98);
    expect(shareIn(order, updated)).toBeGreaterThan(0.98);
  });

  test('teach while the first of them runs: what one touches the others are told at once', () => {
    const book = new BootOrderBook(PIECES);
    const touches = bootOf(A, 1);
    book.touched('node1', 1, touches.slice(0, 10), false, 0, 5_000);
    expect(book.flush()).toEqual([
      { kind: 1, from: 0, pieceIndexes: Uint32Array.from(touches.slice(0, 10)) },
    ]);
    book.touched('node1', 1, touches.slice(10, 15), false, 50, 5_000);
    expect(book.flush()).toEqual([
      { kind: 1, from: 10, pieceIndexes: Uint32Array.from(touches.slice(10, 15)) },
    ]);
    book.touched('node2', 1, bootOf(A, 2).slice(0, 12), false, 60, 5_000);
    expect([book.isDirty, book.flush()]).toEqual([false, undefined]);
  });

  test('are taught by another when the first stalls', () => {
    const book = new BootOrderBook(PIECES);
    book.touched('node1', 1, bootOf(A, 1).slice(0, 50), false, 0, 5_000);
    book.touched('node2', 1, bootOf(A, 2).slice(0, 300), false, 100, 5_000);
    expect(ordersWhole(book)[0].length).toBeGreaterThan(290);
  });

  test('of ten nodes that run together give one order that all of them follow', () => {
    const book = new BootOrderBook(PIECES);
    const view = new View();
    const boots = Array.from({ length: 10 }, (_, index) => ({
      node: `node${index}`,
      touches: bootOf(A, index),
      step: 8 + (index % 3),
    }));
    runTogether(book, boots, () => view.apply(book));
    expect([...view.orders.values()]).toEqual(ordersOf(book));
    expect(view.orders.size).toBe(1);
    expect(shareIn(A, [...view.orders.values()][0])).toBeGreaterThan(0.98);
  });
});

function ordersWhole(book: BootOrderBook): number[][] {
  book.flush();
  return ordersOf(book);
}

describe('boots of two kinds that begin alike', () => {
  test('give two orders, one after the other', () => {
    const book = new BootOrderBook(PIECES);
    learn(book, A, 5);
    learn(book, B, 5, 50);
    const orders = ordersOf(book);
    expect(orders.length).toBe(2);
    expect([shareIn(A, orders[0]), shareIn(B, orders[1])].every((share) => share > 0.97)).toBe(
      true,
    );
    expect(shareIn(orders[0].slice(PREFIX + 60), B)).toBeLessThan(0.15);
  });

  // A leads, B leads, in step; eight of A for two of B.
  test.each([
    ['one is ahead', 12, 5],
    ['the other is ahead', 5, 12],
    ['they are in step', 8, 8],
  ])('give two orders while they run, when %s', (_, stepOfA, stepOfB) => {
    const book = new BootOrderBook(PIECES);
    const view = new View();
    const boots = Array.from({ length: 10 }, (_unused, index) => ({
      node: `node${index}`,
      touches: bootOf(index < 8 ? A : B, index),
      step: index < 8 ? stepOfA : stepOfB,
    }));
    runTogether(book, boots, () => view.apply(book));
    const orders = [...view.orders.values()];
    expect(orders).toEqual(ordersOf(book));
    expect(orders.length).toBe(2);
    const ofA = orders.find((order) => shareIn(A, order) > 0.95)!;
    const ofB = orders.find((order) => shareIn(B, order) > 0.95)!;
    expect(shareIn(ofA, A)).toBeGreaterThan(0.97);
    expect(shareIn(ofB, B)).toBeGreaterThan(0.97);
  });

  test('are told apart before a tenth of the other kind has been mixed in', () => {
    const book = new BootOrderBook(PIECES);
    const boots = [A, B, A, B].map((order, index) => ({
      node: `node${index}`,
      touches: bootOf(order, index),
      step: 8,
    }));
    let worst = 0;
    runTogether(book, boots, () => {
      for (const order of ordersWhole(book)) {
        const strange = Math.min(1 - shareIn(order, A), 1 - shareIn(order, B)) * order.length;
        worst = Math.max(worst, strange);
      }
    });
    expect(worst).toBeLessThan(70);
  });
});

describe('a hostile agent', () => {
  const nonsense = (seed: number, length = 600): number[] => {
    const random = new Random(seed);
    return Array.from({ length }, () => 12_000 + random.below(8_000));
  };

  test('gets a kind of its own, and the order of the others stays as it was', () => {
    const book = new BootOrderBook(PIECES);
    learn(book, A, 5);
    const before = ordersOf(book)[0];
    book.touched('liar', 1, nonsense(1), true, 9_000, 5_000);
    book.touched('liar', 2, [...bootOf(A, 9).slice(0, 200), ...nonsense(2)], true, 9_000, 5_000);
    expect(ordersWhole(book)[0]).toEqual(before);
  });

  test('that floods the book with kinds displaces none that others use', () => {
    const book = new BootOrderBook(PIECES);
    learn(book, A, 5);
    learn(book, B, 3, 50);
    for (let boot = 0; boot < 200; boot += 1) {
      book.touched('liar', boot, nonsense(boot), boot % 2 === 0, 9_000, 5_000);
    }
    const orders = ordersWhole(book);
    expect(orders.length).toBeLessThanOrEqual(KINDS_MAX);
    expect(orders.some((order) => shareIn(A, order) > 0.95)).toBe(true);
    expect(orders.some((order) => shareIn(B, order) > 0.95)).toBe(true);
  });

  test('that is the first to boot does not keep honest boots from making their own order', () => {
    const book = new BootOrderBook(PIECES);
    book.touched('liar', 1, nonsense(1, 3), false, 0, 5_000);
    book.touched('liar', 2, nonsense(2), false, 0, 5_000);
    learn(book, A, 3);
    expect(ordersOf(book).some((order) => shareIn(A, order) > 0.95)).toBe(true);
  });

  test('cannot slip pieces of its own into an order that was learned, boot after boot', () => {
    const book = new BootOrderBook(PIECES);
    learn(book, A, 5);
    for (let boot = 0; boot < 3; boot += 1) {
      const touches = bootOf(A, boot).flatMap((each, rank) => [each, 12_000 + rank]);
      book.touched('liar', boot, touches, false, 9_000, 5_000);
    }
    expect(ordersWhole(book)[0].every((pieceIndex) => pieceIndex < 12_000)).toBe(true);
  });

  test('costs bounded memory: boots without end, and pieces there are not', () => {
    const book = new BootOrderBook(PIECES);
    for (let boot = 0; boot < 3_000; boot += 1) book.touched('liar', boot, [boot], false, 0, 0);
    expect(book.bootsRunning).toBe(64);
    for (let node = 0; node < 3_000; node += 1) book.touched(`n${node}`, 1, [1], false, 0, 0);
    expect(book.bootsRunning).toBe(1_024);
    book.touched('late', 1, [1], false, 30_001, 0);
    expect(book.bootsRunning).toBe(1);
    book.touched('late', 1, [PIECES, 2 ** 32 - 1], false, 30_002, 0);
    expect(
      ordersWhole(book)
        .flat()
        .every((pieceIndex) => pieceIndex < PIECES),
    ).toBe(true);
  });
});

describe('what is no boot', () => {
  test('teaches nothing: a look at the partition table, or an agent that went away', () => {
    const book = new BootOrderBook(PIECES);
    expect(book.touched('node1', 1, [0, 1, 2], true, 0, 5_000)).toBe(false);
    book.touched('node2', 1, bootOf(A, 1).slice(0, 300), false, 0, 5_000);
    book.forget('node2');
    expect(book.bootsRunning).toBe(0);
    expect(book.records()).toEqual([]);
  });
});

test('what was learned is the same after it was kept and read again', () => {
  const book = new BootOrderBook(PIECES);
  learn(book, A, 5);
  learn(book, B, 3, 50);
  const again = new BootOrderBook(PIECES, book.records());
  expect(ordersOf(again)).toEqual(ordersOf(book));
  expect(again.records().map(({ bootsMerged }) => bootsMerged)).toEqual([5, 3]);
});

test('a kind that was learned is extended by what two nodes touch, not by what one does', () => {
  const book = new BootOrderBook(PIECES);
  learn(book, A, 10);
  const withNews = (seed: number) => [...bootOf(A, seed).slice(0, 100), 15_000, 15_001];
  book.touched('one', 1, withNews(90), false, 9_000, 5_000);
  expect(book.flush()).toBe(undefined);
  book.touched('two', 1, withNews(91), false, 9_050, 5_000);
  expect(book.flush()).toMatchObject([{ pieceIndexes: Uint32Array.of(15_000, 15_001) }]);
});
