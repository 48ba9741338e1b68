import { noReadBytes } from '@bootswarm/swarm-driver';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { LENGTH, PIECE_LENGTH, read, TestSwarm } from './test-swarm.ts';

let swarm: TestSwarm;

beforeEach(() => {
  swarm = new TestSwarm();
});

afterEach(() => swarm.end());

test('nodes that read the same at once get the right bytes, and the origin sends each piece once', async () => {
  const origin = await swarm.startOrigin();
  const nodes = await Promise.all(['a', 'b', 'c'].map((node) => swarm.startNode(node)));
  for (const { driver } of nodes)
    driver.setMembers(
      nodes.map(({ member }) => member),
      [origin],
    );
  const reads = nodes.flatMap(({ reader }) =>
    [0, 5 * PIECE_LENGTH - 7, 9 * PIECE_LENGTH, LENGTH - 5_000].map(async (offset) => {
      const length = Math.min(3 * PIECE_LENGTH, LENGTH - offset);
      const bytes = await read(reader, offset, length);
      expect(bytes.equals(swarm.image.subarray(offset, offset + length))).toBe(true);
    }),
  );
  await Promise.all(reads);
  expect(nodes[0].reader.touched.count).toBeGreaterThan(7);
  // What was read, and a little that was read ahead of it; the zero pieces are held from the start.
  const isHeld = (index: number): boolean =>
    nodes.some(({ driver }) => driver.snapshot().have.has(index));
  const indexes = Array.from({ length: 40 }, (_, index) => index);
  const brought = () => indexes.filter((index) => isHeld(index) && (index < 10 || index > 19));
  const { stats } = origin.driver.snapshot();
  await expect.poll(() => brought().length).toBe(stats.piecesSent);
});

test('a second guest reads at once what the first one waited for, and it is counted as cache', async () => {
  const origin = await swarm.startOrigin();
  const node = await swarm.startNode('a');
  node.driver.setMembers([node.member], [origin]);
  const first = noReadBytes();
  const second = noReadBytes();
  await read(node.reader, 1_000, 200_000, first);
  const target = Buffer.alloc(200_000);
  expect(node.reader.guest(second).readNow(1_000, target)).toBe(true);
  expect(target.equals(swarm.image.subarray(1_000, 201_000))).toBe(true);
  expect(first).toEqual({ cache: 0, peers: 0, origin: 200_000, zero: 0 });
  expect(second).toEqual({ cache: 200_000, peers: 0, origin: 0, zero: 0 });
});

test('zero pieces are read from nowhere', async () => {
  const node = await swarm.startNode('a');
  const counted = noReadBytes();
  const target = Buffer.alloc(2 * PIECE_LENGTH, 1);
  expect(node.reader.guest(counted).readNow(12 * PIECE_LENGTH, target)).toBe(true);
  expect(target.every((byte) => byte === 0)).toBe(true);
  expect(counted.zero).toBe(2 * PIECE_LENGTH);
  expect(node.reader.touched.count).toBe(0);
});

test('a cancelled read is not answered, and its piece is not fetched for nobody', async () => {
  const node = await swarm.startNode('a');
  node.driver.setMembers([node.member], []);
  let isDone = false;
  const handle = node.reader.guest(noReadBytes()).read(0, Buffer.alloc(100), () => {
    isDone = true;
  });
  expect(node.driver.snapshot().demandsOpen).toBe(1);
  handle.cancel();
  expect(node.driver.snapshot().demandsOpen).toBe(0);
  expect(node.driver.pending.size).toBe(0);
  const origin = await swarm.startOrigin();
  node.driver.setMembers([node.member], [origin]);
  await read(node.reader, 5 * PIECE_LENGTH, 100);
  expect(isDone).toBe(false);
  expect(origin.driver.snapshot().stats.piecesSent).toBe(1);
});

test('a node fills the rest when told to', async () => {
  const origin = await swarm.startOrigin();
  const node = await swarm.startNode('a');
  node.driver.setMembers([node.member], [origin]);
  node.driver.handle({ type: 'fill', enabled: true });
  await expect.poll(() => node.driver.store.have.isFull, { timeout: 10_000 }).toBe(true);
  const target = Buffer.alloc(LENGTH);
  expect((await read(node.reader, 0, LENGTH)).equals(swarm.image)).toBe(true);
  expect(node.reader.guest(noReadBytes()).readNow(0, target)).toBe(true);
  expect(origin.driver.snapshot().stats.piecesSent).toBe(30);
});

test('an origin that may send only so much takes its time, and sends all', async () => {
  // 30 pieces at 200 a second.
  const origin = await swarm.startOrigin(200 * PIECE_LENGTH);
  const node = await swarm.startNode('a');
  node.driver.setMembers([node.member], [origin]);
  const begunAt = performance.now();
  expect((await read(node.reader, 0, LENGTH)).equals(swarm.image)).toBe(true);
  // What may leave at once is 20 ms of it, and a piece.
  expect(performance.now() - begunAt).toBeGreaterThan(((30 - 1 - 4) / 200) * 1_000);
});
