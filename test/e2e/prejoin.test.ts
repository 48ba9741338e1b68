import { statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { Cluster, type TestAgent, until } from '../cluster.ts';
import { makeTestImage } from '../test-image.ts';

const MIB = 1024 * 1024;
const LENGTH = 16 * MIB;

let cluster: Cluster;

afterEach(() => cluster.stop());

async function publish(name: string, seed: number, ...extra: string[]): Promise<string> {
  const source = join(cluster.directory, `${name}.raw`);
  makeTestImage(source, LENGTH, seed);
  return cluster.publish(source, name, ...extra);
}

const members = async (image: string): Promise<string[]> =>
  ((await cluster.swarm(image))?.members ?? []).map(({ node }) => node).sort();

const imageOf = async (agent: TestAgent, image: string) =>
  (await agent.status()).images.find(({ id }) => id === image);

test('agents are members of a swarm before a VM wants its image, and have fetched nothing of it', async () => {
  // One that would fill, but for that.
  cluster = await Cluster.start(1, ['--fill', 'always']);
  const out = await cluster.addAgent('out', ['--prejoin', 'no']);
  const kept = await publish('kept', 1);
  const image = await publish('image', 2, '--prejoin', 'all');
  const [first] = cluster.agents;
  await until('the agent is a member', async () => (await members(image)).includes('node1'), 5_000);
  const late = await cluster.addAgent('late');
  await until('so is one that comes later', async () => (await members(image)).length === 2, 5_000);
  expect(await members(image)).toEqual(['late', 'node1']);
  expect(await members(kept)).toEqual([]);
  expect((await out.status()).images).toEqual([]);
  // A wire to the origin and to each other: they could fetch. Whether to fill is looked at every second.
  for (const agent of [first, late]) {
    await until('it has its wires', async () => (await imageOf(agent, image))?.peers === 2);
  }
  const { uptimeSeconds } = await first.status();
  await until(
    'it has had time',
    async () => (await first.status()).uptimeSeconds > uptimeSeconds + 2,
  );
  for (const agent of [first, late]) {
    const status = (await imageOf(agent, image))!;
    expect(status).toMatchObject({
      ...{ piecesHad: status.zeroPieces, bytesFromPeers: 0, bytesFromOrigin: 0 },
    });
    const { size, blocks } = statSync(join(agent.cacheDir, image, 'cache.raw'));
    expect({ size, blocks }).toEqual({ size: LENGTH, blocks: 0 });
  }
  expect((await cluster.swarm(image)).origin.bytesSent).toBe(0);

  await first.attach(image);
  await until('it fills once it is wanted', async () => {
    const { piecesHad, pieceCount } = (await imageOf(first, image))!;
    return piecesHad === pieceCount;
  });
  expect((await imageOf(late, image))?.bytesFromPeers).toBe(0);
});
