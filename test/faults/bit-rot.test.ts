/** Damage to the cache of agents that run: found without a guest's read, mended from the swarm, and never seen by anybody. */
import {
  closeSync,
  openSync,
  readSync,
  rmSync,
  truncateSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { ImageStatus } from '@bootswarm/agent';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Cluster, run, type TestAgent, until } from '../cluster.ts';
import { makeTestImage } from '../test-image.ts';

const MIB = 1024 * 1024;
const LENGTH = 8 * MIB;
const PIECE = 64 * 1024;

let cluster: Cluster;
let agent: TestAgent;
let source: string;
let image: string;
let uri: string;

beforeAll(async () => {
  cluster = await Cluster.start(1, ['--scrub', '64M', '--hot', '0']);
  [agent] = cluster.agents;
  source = join(cluster.directory, 'source.raw');
  makeTestImage(source, LENGTH);
  image = await cluster.publish(source, 'source');
  uri = (await agent.attach(image)).uri;
  await expectRightBytes(uri);
});

afterAll(() => cluster.stop());

async function expectRightBytes(from: string): Promise<void> {
  const copy = join(cluster.directory, 'copy.raw');
  expect(await run('nbdcopy', [from, copy])).toMatchObject({ code: 0 });
  expect(await run('cmp', [source, copy])).toMatchObject({ code: 0 });
}

async function statusOf(each: TestAgent): Promise<ImageStatus> {
  const found = (await each.status()).images.find(({ id }) => id === image);
  if (found === undefined) throw new Error('the image is gone');
  return found;
}

/** Changes the cache file of an agent, in place and through the page cache, as a program of the operator would. */
function change(of: TestAgent, at: number, changed: (bytes: Buffer) => Buffer, length = 1): void {
  const file = openSync(join(of.cacheDir, image, 'cache.raw'), 'r+');
  const bytes = Buffer.alloc(length);
  readSync(file, bytes, 0, length, at);
  writeSync(file, changed(bytes), 0, length, at);
  closeSync(file);
}

describe('under a running agent', () => {
  test.each([
    ['a byte flipped', 2, () => change(agent, 2 * PIECE + 77, ([byte]) => Buffer.of(byte ^ 4))],
    ['a sector zeroed', 5, () => change(agent, 5 * PIECE, () => Buffer.alloc(512), 512)],
    ['a piece misplaced', 9, () => change(agent, 8 * PIECE, (of) => misplaced(of), 2 * PIECE)],
  ])('%s is found and mended, though no guest reads it', async (_, pieceIndex, damage) => {
    const before = await statusOf(agent);
    await until('everything is on the disk', async () => {
      const { scrub, zeroPieces, pieceCount } = await statusOf(agent);
      return scrub.pieceCount === pieceCount - zeroPieces;
    });
    damage();
    const after = await until('the damage is found and mended', async () => {
      const now = await statusOf(agent);
      const isFound = now.scrub.piecesDamaged > before.scrub.piecesDamaged;
      return isFound && now.piecesHad === now.pieceCount && now;
    });
    expect(after.scrub.piecesDamaged).toBe(before.scrub.piecesDamaged + 1);
    expect(after.bytesFromOrigin).toBe(before.bytesFromOrigin + PIECE);
    expect(agent.log).toMatch(
      new RegExp(`"type":"piece-lost","pieceIndex":${pieceIndex},"reason":"wrong-hash"`),
    );
    await expectRightBytes(uri);
  });

  /** The first piece, twice. */
  function misplaced(of: Buffer): Buffer {
    return Buffer.concat([of.subarray(0, PIECE), of.subarray(0, PIECE)]);
  }
});

test('another agent is never given what has rotted while its giver was away', async () => {
  await agent.kill('SIGTERM');
  for (let pieceIndex = 0; pieceIndex < 16; pieceIndex += 2) {
    change(agent, pieceIndex * PIECE + pieceIndex, ([byte]) => Buffer.of(byte ^ 1));
  }
  await agent.start();
  const other = await cluster.addAgent('other', ['--scrub', '0']);
  await expectRightBytes((await other.attach(image)).uri);
  // A disk that verifies what it was left with may be late: then a hedge brings a piece twice.
  const { bytesWasted, hedges } = await statusOf(other);
  expect(bytesWasted).toBeLessThanOrEqual(hedges * PIECE);
  expect(other.log).not.toContain('piece-refuted');
  await until('all is mended', async () => {
    const { piecesHad, pieceCount } = await statusOf(agent);
    return piecesHad === pieceCount;
  });
});

test.each([
  ['cut short', (directory: string) => truncateSync(join(directory, 'cache.raw'), 3 * PIECE + 1)],
  ['removed', (directory: string) => unlinkSync(join(directory, 'cache.raw'))],
  ['removed with all beside it', (directory: string) => rmSync(directory, { recursive: true })],
])(
  'a cache file that is %s under a running agent costs no right byte, nor after a restart',
  async (_, damage) => {
    damage(join(agent.cacheDir, image));
    await expectRightBytes(uri);
    const other = await cluster.addAgent(`after-${cluster.agents.length}`);
    await expectRightBytes((await other.attach(image)).uri);
    await agent.kill('SIGKILL');
    await agent.start();
    await expectRightBytes((await agent.attach(image)).uri);
  },
);
