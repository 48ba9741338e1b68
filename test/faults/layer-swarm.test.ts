/** A piece layer that travels in a swarm of its own, between real agents: who sends it how often, and who may die meanwhile. */
import { closeSync, existsSync, ftruncateSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { packedLayerLength } from '@bootswarm/metainfo';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Cluster, run, type TestAgent, until } from '../cluster.ts';

const PIECE_LENGTH = 65_536;
const PIECES = 1_000;
/** Two pieces of 16 KiB. */
const PACKED = packedLayerLength(PIECES, 0);

let cluster: Cluster;
let source: string;
let image: string;

beforeEach(async () => {
  cluster = await Cluster.start(1);
  source = join(cluster.directory, 'image.raw');
  const file = openSync(source, 'w');
  const word = Buffer.alloc(4);
  for (let index = 0; index < PIECES; index += 1) {
    word.writeUInt32LE(index + 1);
    writeSync(file, word, 0, 4, index * PIECE_LENGTH);
  }
  ftruncateSync(file, PIECES * PIECE_LENGTH);
  closeSync(file);
  image = await cluster.publish(source, 'image', '--in-place');
});

afterEach(() => cluster.stop());

const addAgents = (...names: string[]): Promise<TestAgent[]> =>
  Promise.all(names.map((name) => cluster.addAgent(name)));

async function layerOf(agent: TestAgent) {
  return (await agent.status()).images.find(({ id }) => id === image)?.layer;
}

const cached = ({ cacheDir }: TestAgent, name: string) => join(cacheDir, image, name);

/** What the guest of this agent reads is the image. */
async function expectRightBytes(agent: TestAgent): Promise<void> {
  const { uri } = await agent.attach('image');
  const copy = join(cluster.directory, `${agent.node}.copy`);
  expect(await run('nbdcopy', [uri, copy])).toMatchObject({ code: 0 });
  expect(await run('cmp', [source, copy])).toMatchObject({ code: 0 });
}

test('the origin sends the layer once, and the agents that come later get it from those that have it', async () => {
  const [first] = cluster.agents;
  await first.attach('image');
  expect(await layerOf(first)).toMatchObject({ from: 'swarm', bytesFromOrigin: PACKED });
  const later = await addAgents('node2', 'node3', 'node4', 'node5');
  await Promise.all(later.map((agent) => agent.attach('image')));
  for (const agent of later) {
    const layer = await layerOf(agent);
    expect(layer).toMatchObject({ from: 'swarm' });
    expect(layer?.bytesFromPeers).toBeGreaterThan(0);
  }
  const { origin } = await cluster.swarm(image);
  // As often as once more if a peer was slow to answer on a busy machine; five times without the swarm.
  expect(origin.layerBytesSent).toBeLessThanOrEqual(2 * PACKED);
  await Promise.all([first, ...later].map(expectRightBytes));
});

test('an agent that is killed while it waits for the layer opens the image when it is back', async () => {
  const [agent] = cluster.agents;
  process.kill(cluster.originPid, 'SIGSTOP');
  const attached = agent.attach('image').catch((error: Error) => error);
  await until('it knows the swarm', () => existsSync(cached(agent, 'members')));
  await agent.kill('SIGKILL');
  expect(await attached).toBeInstanceOf(Error);
  expect(existsSync(cached(agent, 'packed-layer'))).toBe(false);
  process.kill(cluster.originPid, 'SIGCONT');
  await agent.start();
  await until('the image is open', async () => (await layerOf(agent)) !== undefined);
  expect(await layerOf(agent)).toMatchObject({ from: 'swarm' });
  await expectRightBytes(agent);
});

test('with tracker and origin dead, who knows the members gets the layer from them, and others are told why not', async () => {
  const [first] = cluster.agents;
  const [second, stranger] = await addAgents('node2', 'stranger');
  await first.attach('image');
  await second.attach('image');
  const knowsBoth = async (agent: TestAgent) => existsSync(cached(agent, 'members'));
  await until('the members are kept', () => knowsBoth(second));
  await second.kill('SIGKILL');
  rmSync(cached(second, 'packed-layer'));
  const { originPid } = cluster;
  await cluster.tracker.kill('SIGKILL');
  process.kill(originPid, 'SIGKILL');
  await second.start();
  await until('the image is open', async () => (await layerOf(second)) !== undefined);
  expect(await layerOf(second)).toMatchObject({
    ...{ from: 'swarm', bytesFromPeers: PACKED, bytesFromOrigin: 0 },
  });
  await expect(stranger.attach('image')).rejects.toThrow(/tracker-unreachable/);
});

test('an agent that the swarm gives nothing asks the tracker, and says so', async () => {
  const [agent] = cluster.agents;
  process.kill(cluster.originPid, 'SIGSTOP');
  try {
    await agent.attach('image');
    expect(await layerOf(agent)).toMatchObject({ from: 'tracker', fallback: 'no-progress' });
    expect(agent.log).toContain('layer asked of the tracker');
  } finally {
    process.kill(cluster.originPid, 'SIGCONT');
  }
  await expectRightBytes(agent);
});
