import { truncateSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { read, TestSwarm } from './test-swarm.ts';

/** So long that the eight uploads an engine has in hand are more than a wire may queue. */
const PIECE_LENGTH = 2 * 1024 * 1024;
const LENGTH = 16 * PIECE_LENGTH - 5_000;

let swarm: TestSwarm;

beforeEach(() => {
  swarm = new TestSwarm({ length: LENGTH, pieceLength: PIECE_LENGTH });
});

afterEach(() => swarm.end());

test('many large pieces that are at hand leave as the wire takes them, and it stays', async () => {
  const origin = await swarm.startOrigin();
  // The first one has the origin verify each piece; for the second one all are at hand.
  for (const name of ['a', 'b']) {
    const node = await swarm.startNode(name);
    node.driver.setMembers([node.member], [origin]);
    node.driver.handle({ type: 'fill', enabled: true });
    await expect.poll(() => node.driver.store.have.isFull, { timeout: 20_000 }).toBe(true);
    expect(node.events.map(({ type }) => type)).toEqual(['peer-connected']);
    const bytes = Buffer.alloc(LENGTH);
    for (let at = 0; at < 16; at += 1) {
      const piece = bytes.subarray(at * PIECE_LENGTH, (at + 1) * PIECE_LENGTH);
      expect(await node.driver.store.read(at, 0, piece)).toBe(true);
    }
    expect(bytes.equals(swarm.image)).toBe(true);
    await node.close();
  }
  expect(origin.driver.snapshot().stats.piecesSent).toBe(32);
}, 60_000);

test('a piece that its disk has lost is given up when a peer asks for it, and comes from elsewhere', async () => {
  const origin = await swarm.startOrigin();
  const holder = await swarm.startNode('a', { hotBytesMax: 0 });
  holder.driver.setMembers([holder.member], [origin]);
  await read(holder.reader, 0, 100);
  await expect.poll(() => holder.driver.store.have.has(0)).toBe(true);
  await holder.driver.store.commit();
  truncateSync(join(holder.directory, 'cache.raw'), 0);
  const asker = await swarm.startNode('b');
  const members = [holder.member, asker.member];
  holder.driver.setMembers(members, [origin]);
  asker.driver.setMembers(members, [origin]);
  const bytes = await read(asker.reader, 0, 100);
  expect(bytes.equals(swarm.image.subarray(0, 100))).toBe(true);
  expect(holder.driver.store.have.has(0)).toBe(false);
}, 60_000);
