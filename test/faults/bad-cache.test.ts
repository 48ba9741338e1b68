/** A cache directory that somebody has meddled with: no wrong byte is served, and what is missing is fetched again. */
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { ImageStatus } from '@bootswarm/agent';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Cluster, run, type TestAgent, until } from '../cluster.ts';
import { makeTestImage } from '../test-image.ts';
import { expectRefusal } from './refusal.ts';

const MIB = 1024 * 1024;
const LENGTH = 8 * MIB;
const FUTURE = 2;

interface Published {
  readonly id: string;
  readonly source: string;
  readonly uri: string;
}

let cluster: Cluster;
let agent: TestAgent;
let first: Published;
let second: Published;

beforeAll(async () => {
  cluster = await Cluster.start(1);
  [agent] = cluster.agents;
  [first, second] = await Promise.all([publish('first', 1), publish('second', 2)]);
});

afterAll(() => cluster.stop());

/** Both images are in the cache, whole, and the agent is gone. */
beforeEach(async () => {
  await Promise.all([first, second].map(expectRightBytes));
  await agent.kill('SIGTERM');
});

afterEach(async () => {
  await Promise.all([first, second].map(expectRightBytes));
});

async function publish(name: string, seed: number): Promise<Published> {
  const source = join(cluster.directory, `${name}.raw`);
  makeTestImage(source, LENGTH, seed);
  const id = await cluster.publish(source, name);
  const { uri } = await agent.attach(id);
  return { id, source, uri };
}

async function expectRightBytes({ id, source, uri }: Published): Promise<void> {
  const copy = join(cluster.directory, `${id}.copy`);
  expect(await run('nbdcopy', [uri, copy])).toMatchObject({ code: 0 });
  expect(await run('cmp', [source, copy])).toMatchObject({ code: 0 });
  await until('all pieces are kept', async () => {
    const status = await statusOf(id);
    return status?.piecesHad === status?.pieceCount;
  });
}

async function statusOf(id: string): Promise<ImageStatus | undefined> {
  return (await agent.status()).images.find((image) => image.id === id);
}

/** Since the agent was started. */
async function bytesFetched(id: string): Promise<number> {
  const { bytesFromOrigin, bytesFromPeers } = (await statusOf(id))!;
  return bytesFromOrigin + bytesFromPeers;
}

function file({ id }: Published, name: string): string {
  return join(agent.cacheDir, id, name);
}

function flipByte(path: string, at: number): void {
  const bytes = readFileSync(path);
  bytes[at] ^= 0x40;
  writeFileSync(path, bytes);
}

/** Starts the agent if need be and copies `image` out of it; resolves with what it had to fetch since its start. */
async function bytesFetchedAfterRestart(image: Published): Promise<number> {
  if (!agent.isRunning) await agent.start();
  // What the cache cannot tell about an image comes from the tracker, when the agent has reached it.
  await until('the image is there', async () => (await statusOf(image.id)) !== undefined);
  await expectRightBytes(image);
  return bytesFetched(image.id);
}

/** Of data; every fourth MiB is a hole. */
const DATA_BYTES = (LENGTH / 4) * 3;

describe('after a restart an agent', () => {
  test('fetches nothing again when the cache is as it was', async () => {
    expect(await bytesFetchedAfterRestart(first)).toBe(0);
    expect(await bytesFetchedAfterRestart(second)).toBe(0);
  });

  test('fetches all when it finds data and bits of another image', async () => {
    for (const name of ['cache.raw', 'have.bits', 'have.log.0', 'have.log.1']) {
      copyFileSync(file(first, name), file(second, name));
    }
    expect(await bytesFetchedAfterRestart(second)).toBe(DATA_BYTES);
    expect(agent.log).toContain('other-image');
  });

  test('fetches all when it finds the data of another image under its own bits', async () => {
    copyFileSync(file(first, 'cache.raw'), file(second, 'cache.raw'));
    expect(await bytesFetchedAfterRestart(second)).toBe(DATA_BYTES);
    expect(await bytesFetched(first.id)).toBe(0);
  });

  test('fetches the piece in which a bit was flipped', async () => {
    flipByte(file(second, 'cache.raw'), 5 * MIB + 12_345);
    expect(await bytesFetchedAfterRestart(second)).toBe(64 * 1024);
  });

  test('fetches what lay beyond the end of a truncated file', async () => {
    truncateSync(file(second, 'cache.raw'), LENGTH / 2);
    expect(await bytesFetchedAfterRestart(second)).toBe(DATA_BYTES / 2);
    expect(statSync(file(second, 'cache.raw')).size).toBe(LENGTH);
  });

  test('fetches all when the data is gone', async () => {
    rmSync(file(second, 'cache.raw'));
    expect(await bytesFetchedAfterRestart(second)).toBe(DATA_BYTES);
  });

  test('fetches all when both slots of the bits are damaged', async () => {
    writeFileSync(file(second, 'have.bits'), Buffer.alloc(8192, 0xff));
    expect(await bytesFetchedAfterRestart(second)).toBe(DATA_BYTES);
  });

  test('fetches all when the bits are of a later version', async () => {
    const bits = readFileSync(file(second, 'have.bits'));
    for (const start of [0, bits.length / 2]) {
      const header = bits.subarray(start, start + 128);
      header.writeUInt32BE(FUTURE, 8);
      // docs/protocol/cache-file.md: the hash of the first 96 bytes stands in the last 32.
      createHash('sha256').update(header.subarray(0, 96)).digest().copy(header, 96);
    }
    writeFileSync(file(second, 'have.bits'), bits);
    expect(await bytesFetchedAfterRestart(second)).toBe(DATA_BYTES);
    expect(agent.log).toContain('unknown-version');
  });

  test('ignores a log of nonsense', async () => {
    for (const side of [0, 1]) {
      writeFileSync(file(second, `have.log.${side}`), Buffer.alloc(100_001, 0xa5));
    }
    expect(await bytesFetchedAfterRestart(second)).toBe(0);
  });

  test.each([
    ['damaged', () => flipByte(file(second, 'metainfo'), 40)],
    ['damaged in its piece layer', () => flipByte(file(second, 'metainfo'), 200)],
    ['empty', () => truncateSync(file(second, 'metainfo'), 0)],
    ['missing', () => rmSync(file(second, 'metainfo'))],
    ["another image's", () => copyFileSync(file(first, 'metainfo'), file(second, 'metainfo'))],
  ])('has metainfo that is %s sent again, and keeps the pieces', async (_, damage) => {
    damage();
    expect(await bytesFetchedAfterRestart(second)).toBe(0);
  });

  test('goes without members and attachments that make no sense', async () => {
    writeFileSync(file(second, 'members'), Buffer.alloc(1000, 0xc1));
    writeFileSync(join(agent.cacheDir, 'attached.json'), '{"images": [1, null, "../../x"]}');
    await agent.start();
    expect((await agent.status()).images.map(({ isAttached }) => isAttached)).toEqual([
      false,
      false,
    ]);
    await agent.attach(first.id);
    await agent.attach(second.id);
  });

  test('leaves a cache of a later version alone, and says so', async () => {
    const version = join(agent.cacheDir, 'version');
    const written = readFileSync(version);
    writeFileSync(version, `bootswarm-cache ${FUTURE}\n`);
    const before = readdirSync(agent.cacheDir, { recursive: true }).sort();
    const args = ['agent', '--tracker', cluster.url, '--run', agent.runDir, '--node', 'node1'];
    await expectRefusal(
      [...args, '--cache', agent.cacheDir, '--listen', '127.0.0.1:0'],
      /cache directory .* was written by another version/,
    );
    expect(readdirSync(agent.cacheDir, { recursive: true }).sort()).toEqual(before);
    writeFileSync(version, written);
    expect(await bytesFetchedAfterRestart(second)).toBe(0);
  });
});
