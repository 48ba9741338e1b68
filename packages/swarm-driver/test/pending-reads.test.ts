import fc from 'fast-check';
import { beforeEach, expect, test } from 'vitest';
import { type PendingRead, PendingReads } from '../src/pending-reads.ts';
import { noReadBytes } from '../src/read-bytes.ts';
import { WAIT_BOUNDS_SECONDS } from '../src/wait-histogram.ts';

const PIECE_LENGTH = 8;

let pending: PendingReads;

beforeEach(() => {
  pending = new PendingReads();
});

interface TestRead extends PendingRead {
  readonly first: number;
  timesDone: number;
}

/** A read that waits for the whole of `count` pieces from `first` on. */
function openRead(first: number, count: number, startedAt = 0): TestRead {
  const read: TestRead = {
    first,
    timesDone: 0,
    target: new Uint8Array(count * PIECE_LENGTH),
    done: () => {
      read.timesDone += 1;
    },
    counted: noReadBytes(),
    startedAt,
    partsMissing: count,
    isCancelled: false,
  };
  pending.open(read);
  for (let at = 0; at < count; at += 1) {
    const targetOffset = at * PIECE_LENGTH;
    const pieceIndex = first + at;
    pending.wait({ read, pieceIndex, offset: 0, length: PIECE_LENGTH, targetOffset });
  }
  return read;
}

const pieceOf = (index: number) => new Uint8Array(PIECE_LENGTH).fill(index + 1);

test('a read is done when its last part is there, whatever the order', () => {
  const read = openRead(0, 2);
  pending.deliver(1, pieceOf(1), 'peers');
  expect([read.timesDone, pending.size]).toEqual([0, 1]);
  pending.deliver(0, pieceOf(0), 'origin');
  expect([read.timesDone, pending.size]).toEqual([1, 0]);
  expect([...read.target]).toEqual([...pieceOf(0), ...pieceOf(1)]);
  expect(read.counted).toEqual({ cache: 0, peers: 8, origin: 8, zero: 0 });
});

test('a part is cut out of its piece and put where it belongs', () => {
  const read = { ...openRead(5, 1), target: new Uint8Array(10), partsMissing: 1 };
  pending.wait({ read, pieceIndex: 6, offset: 2, length: 3, targetOffset: 4 });
  pending.deliver(6, Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7), 'peers');
  expect([...read.target]).toEqual([0, 0, 0, 0, 2, 3, 4, 0, 0, 0]);
});

test('one piece answers all who wait for it, once', () => {
  const reads = [openRead(3, 1), openRead(3, 1)];
  pending.deliver(3, pieceOf(3), 'peers');
  pending.deliver(3, pieceOf(9), 'peers');
  expect(reads.map(({ timesDone }) => timesDone)).toEqual([1, 1]);
  expect([...reads[0].target]).toEqual([...pieceOf(3)]);
});

test('a read that another one cancels while it is answered is not answered', () => {
  const first = openRead(0, 1);
  const second = openRead(0, 1);
  const chained: TestRead = Object.assign(first, { done: () => void pending.cancel(second) });
  pending.deliver(0, pieceOf(0), 'peers');
  expect([chained.target[0], second.timesDone, second.target[0]]).toEqual([1, 0, 0]);
});

test('a cancelled read frees the pieces that nobody else waits for', () => {
  const read = openRead(0, 3);
  openRead(1, 1);
  expect(pending.cancel(read).sort()).toEqual([0, 2]);
  expect([0, 1, 2].map((index) => pending.isWaitedFor(index))).toEqual([false, true, false]);
  pending.deliver(1, pieceOf(1), 'peers');
  expect([read.timesDone, read.target.every((byte) => byte === 0)]).toEqual([0, true]);
  expect(pending.cancel(read)).toEqual([]);
});

test('tells the oldest read that waits, and how many ever waited', () => {
  expect(pending.oldestStartedAt).toBeUndefined();
  openRead(0, 1, 100);
  openRead(1, 1, 200);
  pending.deliver(0, pieceOf(0), 'peers');
  expect([pending.oldestStartedAt, pending.size, pending.openedCount]).toEqual([200, 1, 2]);
});

test('every read gets its bytes once, or is cancelled, in any order of events', () => {
  const step = fc.oneof(
    fc.record({ type: fc.constant('open'), at: fc.nat({ max: 9 }), count: fc.nat({ max: 3 }) }),
    fc.record({ type: fc.constant('deliver'), at: fc.nat({ max: 12 }), count: fc.constant(0) }),
    fc.record({ type: fc.constant('cancel'), at: fc.nat({ max: 20 }), count: fc.constant(0) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      pending = new PendingReads();
      const reads: TestRead[] = [];
      for (const { type, at, count } of steps) {
        if (type === 'open') reads.push(openRead(at, count + 1));
        else if (type === 'deliver') pending.deliver(at, pieceOf(at), 'peers');
        else if (reads[at]?.timesDone === 0) pending.cancel(reads[at]);
        const open = reads.filter((read) => read.timesDone === 0 && !read.isCancelled);
        expect(pending.size).toBe(open.length);
      }
      for (let index = 0; index < 16; index += 1) pending.deliver(index, pieceOf(index), 'origin');
      for (const { timesDone, isCancelled, target, first, counted } of reads) {
        expect(timesDone).toBe(isCancelled ? 0 : 1);
        if (isCancelled) continue;
        const expected = target.map((_, at) => first + Math.floor(at / PIECE_LENGTH) + 1);
        expect(target).toEqual(expected);
        expect(counted.peers + counted.origin).toBe(target.length);
      }
      expect(pending.size).toBe(0);
    }),
  );
});

test('counts how long reads waited that were answered, and no others', () => {
  const now = performance.now();
  openRead(0, 1, now - 7_000);
  const cancelled = openRead(1, 1, now - 7_000);
  openRead(2, 1, now - 3_600_000);
  pending.cancel(cancelled);
  for (const piece of [0, 1, 2]) pending.deliver(piece, new Uint8Array(PIECE_LENGTH), 'peers');
  const at = WAIT_BOUNDS_SECONDS.indexOf(10);
  expect(pending.waits.counts[at]).toBe(1);
  expect(pending.waits.counts.at(-1)).toBe(1);
  expect(pending.waits.counts.reduce((sum, count) => sum + count, 0)).toBe(2);
  expect(pending.waits.sumSeconds).toBeGreaterThanOrEqual(3_607);
});
