/** A cache with a limit: what nobody uses leaves it, guests go on, and nobody is given a hole. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { ImageStatus } from '@bootswarm/agent';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { bootswarm, Cluster, run, type TestAgent, until } from '../cluster.ts';
import { makeTestImage } from '../test-image.ts';

const MIB = 1024 * 1024;
/** Three quarters of it are data. */
const LENGTH = 8 * MIB;

let cluster: Cluster;

beforeEach(async () => {
  cluster = await Cluster.start(0);
});

afterEach(() => cluster.stop());

interface Published {
  readonly id: string;
  readonly source: string;
}

async function publish(name: string, seed: number, length = LENGTH): Promise<Published> {
  const source = join(cluster.directory, `${name}.raw`);
  makeTestImage(source, length, seed);
  return { id: await cluster.publish(source, name), source };
}

/** As a guest would that comes and goes. */
async function use(agent: TestAgent, image: Published, isKept = false): Promise<void> {
  await agent.attach(image.id);
  await expectRightBytes(agent, image);
  if (!isKept) await bootswarm('detach', image.id, '--run', agent.runDir);
}

async function expectRightBytes(agent: TestAgent, { id, source }: Published): Promise<void> {
  const { uri } = await agent.attach(id);
  const copy = join(cluster.directory, `${agent.node}-${id}`);
  expect(await run('nbdcopy', [uri, copy])).toMatchObject({ code: 0 });
  expect(await run('cmp', [source, copy])).toMatchObject({ code: 0 });
}

function isCached(agent: TestAgent, { id }: Published): boolean {
  return existsSync(join(agent.cacheDir, id, 'cache.raw'));
}

async function statusOf(agent: TestAgent, { id }: Published): Promise<ImageStatus | undefined> {
  return (await agent.status()).images.find((each) => each.id === id);
}

test('the image used longest ago leaves, one that a guest uses never, and it may come again', async () => {
  const agent = await cluster.addAgent('small', ['--cache-max', '16MiB', '--prejoin', 'no']);
  const images = [await publish('a', 1), await publish('b', 2), await publish('c', 3)];
  const [first, second, third] = images;
  await use(agent, second, true);
  await use(agent, first);
  await use(agent, third);
  // Second is the oldest, and in use.
  await until('an image is evicted', () => !isCached(agent, first), 60_000);
  expect(isCached(agent, second) && isCached(agent, third)).toBe(true);
  expect(await statusOf(agent, first)).toBeUndefined();
  await until('the status knows', async () => {
    const { cache } = await agent.status();
    return cache.bytesUsed > 12 * MIB && cache.bytesUsed <= 16 * MIB * 0.85;
  });
  await use(agent, first);
  for (const each of [first, second]) await expectRightBytes(agent, each);
});

test('a cache that may evict nothing takes nothing more, and guests go on', async () => {
  const agent = await cluster.addAgent('full', ['--cache-max', '8MiB', '--hot', '1M']);
  const [first, second] = [await publish('a', 1), await publish('b', 2)];
  await use(agent, first, true);
  await use(agent, second, true);
  await until('it is full', async () => (await agent.status()).cache.isFull);
  const third = await publish('c', 3);
  await use(agent, third, true);
  const { piecesHad, zeroPieces } = (await statusOf(agent, third))!;
  expect(piecesHad).toBe(zeroPieces);
  for (const each of [first, second, third]) await expectRightBytes(agent, each);
  // Once there is room again it takes what comes.
  for (const each of [first, second]) await bootswarm('detach', each.id, '--run', agent.runDir);
  await until('the others are gone', async () => !(await agent.status()).cache.isFull, 60_000);
  await expectRightBytes(agent, third);
  expect((await statusOf(agent, third))!.piecesHad).toBeGreaterThan(zeroPieces);
});

test('told to, an agent takes the pieces of an image in use, and its guest reads right bytes all the while', async () => {
  const options = ['--cache-max', '12MiB', '--evict-running', '--hot', '1M'];
  const agent = await cluster.addAgent('running', options);
  const image = await publish('large', 1, 64 * MIB);
  const { uri } = await agent.attach(image.id);
  const half = ['-r', '-f', 'raw', '-c', 'read 0 32M', uri];
  expect(await run('qemu-io', half)).toMatchObject({ code: 0 });
  const evicted = /pieces of an image in use evicted/;
  const reading = (async () => {
    while (!evicted.test(agent.log)) {
      expect(await run('qemu-io', half)).toMatchObject({ code: 0 });
    }
  })();
  await until('pieces are evicted', () => evicted.test(agent.log));
  await reading;
  await expectRightBytes(agent, image);
});

test('an image is evicted while another agent fetches it: that goes on elsewhere', async () => {
  const giver = await cluster.addAgent('giver');
  const image = await publish('a', 1, 64 * MIB);
  await use(giver, image);
  const taker = await cluster.addAgent('taker');
  await taker.attach(image.id);
  const [evicted] = await Promise.all([
    bootswarm('images', 'evict', 'a', '--run', giver.runDir),
    expectRightBytes(taker, image),
  ]);
  expect(evicted).toMatchObject({ code: 0 });
  expect(isCached(giver, image)).toBe(false);
  expect(taker.log).not.toContain('piece-refuted');
});
