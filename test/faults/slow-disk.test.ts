/** A cache disk that does not answer: guests go on from memory and from the swarm, and what came is kept later. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { buildShim } from '../../bench/crash/crash-run.ts';
import { Cluster, run, type TestAgent, until } from '../cluster.ts';
import { makeTestImage } from '../test-image.ts';

const LENGTH = 8 * 1024 * 1024;

let cluster: Cluster;
let agent: TestAgent;
let stall: string;

beforeEach(async () => {
  cluster = await Cluster.start(1, ['--hot', '0']);
  [agent] = cluster.agents;
  stall = join(cluster.directory, 'stall');
  agent.env = {
    LD_PRELOAD: buildShim(cluster.directory),
    DISK_FAULTS_DIR: agent.cacheDir,
    DISK_FAULTS_STALL: stall,
  };
});

afterEach(async () => {
  rmSync(stall, { force: true });
  await cluster.stop();
});

interface Published {
  readonly source: string;
  readonly uri: string;
}

async function publish(name: string, seed: number): Promise<Published> {
  const source = join(cluster.directory, `${name}.raw`);
  makeTestImage(source, LENGTH, seed);
  const { uri } = await agent.attach(await cluster.publish(source, name));
  return { source, uri };
}

async function expectRightBytes({ source, uri }: Published): Promise<void> {
  const copy = join(cluster.directory, 'copy.raw');
  expect(await run('nbdcopy', [uri, copy])).toMatchObject({ code: 0 });
  expect(await run('cmp', [source, copy])).toMatchObject({ code: 0 });
}

test('guests read what is cached, what is new, and what just came, while the disk stalls', async () => {
  const cached = await publish('cached', 1);
  await expectRightBytes(cached);
  const fresh = await publish('fresh', 2);
  await agent.kill('SIGTERM');
  await agent.start();
  await until('the tracker is there', async () => (await agent.status()).tracker.isConnected);
  writeFileSync(stall, '');
  await expectRightBytes(cached);
  await expectRightBytes(fresh);
  // From the write queue.
  await expectRightBytes(fresh);
  const { images } = await agent.status();
  expect(images.map(({ readsWaiting }) => readsWaiting)).toEqual([0, 0]);

  rmSync(stall);
  await until('all that came meanwhile is kept', async () => {
    const { images: now } = await agent.status();
    return now.every(({ piecesHad, pieceCount }) => piecesHad === pieceCount);
  });
  await agent.kill('SIGTERM');
  agent.env = {};
  await agent.start();
  for (const each of [cached, fresh]) await expectRightBytes(each);
  expect((await agent.status()).images).toMatchObject([
    { bytesFromOrigin: 0 },
    { bytesFromOrigin: 0 },
  ]);
});
