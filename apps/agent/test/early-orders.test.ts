import { Bitfield } from '@bootswarm/stdx';
import { BootWatch } from '@bootswarm/swarm-proto';
import { expect, test } from 'vitest';
import { type BootOrderTold, EarlyOrders } from '../src/early-orders.ts';

const IMAGE = 'ab'.repeat(20);
const OTHER = 'cd'.repeat(20);

/** One kind of VM that touches `pieces` pieces, from the one at `from` on. */
function told(revision: number, isFull: boolean, from: number, pieces: number): BootOrderTold {
  const pieceIndexes = Uint32Array.from({ length: pieces }, (_, index) => from + index);
  return { revision, isFull, kinds: [{ kind: 1, from, pieceIndexes }] };
}

function newWatch(): BootWatch {
  return new BootWatch(100, new Bitfield(100));
}

test('what was told before the image was open is known then, changes included', () => {
  const orders = new EarlyOrders();
  orders.add(IMAGE, told(7, true, 0, 9));
  orders.add(IMAGE, told(3, true, 0, 4));
  orders.add(OTHER, told(1, true, 0, 1));
  orders.add(IMAGE, told(4, false, 4, 2));
  const watch = newWatch();
  orders.tell(IMAGE, watch);
  expect(watch.kinds).toEqual([{ kind: 1, pieces: 6 }]);
  expect(watch.applyOrder(5, false, told(5, false, 6, 1).kinds)).toBe(true);
  // Told once.
  const second = newWatch();
  orders.tell(IMAGE, second);
  expect(second.kinds).toEqual([]);
});

test('what was told before the swarm was joined again is not', () => {
  const orders = new EarlyOrders();
  orders.add(IMAGE, told(3, true, 0, 4));
  orders.drop(IMAGE);
  const watch = newWatch();
  orders.tell(IMAGE, watch);
  expect(watch.kinds).toEqual([]);
});

test('one change too many has the swarm joined again, and what is told then is known', () => {
  const orders = new EarlyOrders();
  expect(orders.add(IMAGE, told(1, true, 0, 1))).toBe(true);
  for (let revision = 2; revision <= 64; revision += 1) {
    expect(orders.add(IMAGE, told(revision, false, revision - 1, 1))).toBe(true);
  }
  expect(orders.add(IMAGE, told(65, false, 64, 1))).toBe(false);
  // Nor does what follows on it stand alone.
  expect(orders.add(IMAGE, told(66, false, 65, 1))).toBe(false);
  expect(orders.add(IMAGE, told(66, true, 0, 66))).toBe(true);
  const watch = newWatch();
  expect(orders.tell(IMAGE, watch)).toBe(true);
  expect(watch.kinds).toEqual([{ kind: 1, pieces: 66 }]);
});

test('a change that follows on nothing has the swarm joined again, the first one does not', () => {
  const orders = new EarlyOrders();
  expect(orders.add(IMAGE, told(2, false, 0, 1))).toBe(false);
  expect(orders.add(IMAGE, told(1, false, 0, 1))).toBe(true);
  expect(orders.add(IMAGE, told(3, false, 1, 1))).toBe(false);
});

test('it is said when what was told does not fit the image', () => {
  const orders = new EarlyOrders();
  orders.add(IMAGE, told(1, true, 5, 1));
  expect(orders.tell(IMAGE, newWatch())).toBe(false);
});
