/** The tracker and the origin are killed, one or both: reads wait, never fail, and all finds together again. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ImageStatus } from '@bootswarm/agent';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { RawClient } from '../../apps/agent/test/nbd/raw-client.ts';
import { CMD, request } from '../../packages/nbd-proto/test/wire.ts';
import { Cluster, run, type TestAgent, until } from '../cluster.ts';
import { makeTestImage } from '../test-image.ts';
import { isRunning, readHead } from './refusal.ts';

const MIB = 1024 * 1024;
const LENGTH = 32 * MIB;
const READ_LENGTH = 4096;
const SIMPLE_REPLY_LENGTH = 16;

let cluster: Cluster;
let first: TestAgent;
let second: TestAgent;
let source: string;
let image: string;

beforeEach(async () => {
  cluster = await Cluster.start(2);
  [first, second] = cluster.agents;
  source = join(cluster.directory, 'source.raw');
  makeTestImage(source, LENGTH);
  image = await cluster.publish(source, 'image');
  await first.attach(image);
  await second.attach(image);
});

afterEach(async () => {
  // One that a failed test has left dead would leave its origin alive.
  if (!cluster.tracker.isRunning) await cluster.restartTracker();
  await cluster.stop();
});

async function statusOf(agent: TestAgent): Promise<ImageStatus> {
  return (await agent.status()).images.find(({ id }) => id === image)!;
}

async function expectRightBytes(agent: TestAgent, original = source, id = image): Promise<void> {
  const { uri } = await agent.attach(id);
  const copy = join(cluster.directory, `${agent.node}.raw`);
  expect(await run('nbdcopy', [uri, copy])).toMatchObject({ code: 0 });
  expect(await run('cmp', [original, copy])).toMatchObject({ code: 0 });
}

/** A read of a piece that nobody on this node has read; it is on its way when this resolves. */
async function startRead(agent: TestAgent, offset: number) {
  const client = await RawClient.open(join(agent.runDir, 'nbd.sock'), image);
  client.send(request(CMD.read, offset, READ_LENGTH));
  let isAnswered = false;
  const answer = client.receive(SIMPLE_REPLY_LENGTH + READ_LENGTH).then((reply) => {
    isAnswered = true;
    client.socket.destroy();
    return reply;
  });
  await until('the read waits', async () => (await statusOf(agent)).readsWaiting === 1);
  return {
    answer,
    isOpen: () => !isAnswered && !client.socket.destroyed,
  };
}

async function expectRightReply(answer: Promise<Buffer>, offset: number): Promise<void> {
  const reply = await answer;
  expect(reply.readUInt32BE(4), 'NBD error').toBe(0);
  const original = readFileSync(source).subarray(offset, offset + READ_LENGTH);
  expect(original.equals(reply.subarray(SIMPLE_REPLY_LENGTH))).toBe(true);
}

test('the tracker starts another origin when one is killed, and waiting reads get their bytes', async () => {
  await readHead(first, image, READ_LENGTH);
  const killed = cluster.originPid;
  process.kill(killed, 'SIGKILL');
  await Promise.all([expectRightBytes(first), expectRightBytes(second)]);
  expect(cluster.originPid).not.toBe(killed);
  expect(isRunning(cluster.originPid)).toBe(true);
  expect((await cluster.swarm(image)).members.map(({ node }) => node).sort()).toEqual([
    'node1',
    'node2',
  ]);
});

test('a read waits without an error while there is no source, and is answered by the next origin', async () => {
  await until('the swarm is told of its origin', async () => (await statusOf(first)).peers > 0);
  await cluster.tracker.kill('SIGKILL');
  process.kill(cluster.originPid, 'SIGKILL');
  const read = await startRead(first, 9 * MIB);
  await until('it has waited for more than 2 s', async () => {
    const { readsWaiting, oldestReadWaitMs } = await statusOf(first);
    expect(readsWaiting).toBe(1);
    return oldestReadWaitMs > 2_000;
  });
  expect(read.isOpen()).toBe(true);
  await cluster.restartTracker();
  await expectRightReply(read.answer, 9 * MIB);
  expect(await statusOf(first)).toMatchObject({ readsWaiting: 0, oldestReadWaitMs: 0 });
  await expectRightBytes(second);
});

test('a tracker that is killed finds its origin, its agents and its swarms again, and publishes', async () => {
  const origin = cluster.originPid;
  await until('the swarm is told of its origin', async () => (await statusOf(first)).peers > 0);
  await cluster.tracker.kill('SIGKILL');
  // Without it, all that is known goes on.
  await expectRightBytes(first);
  await until('the agent misses it', async () => !(await first.status()).tracker.isConnected);
  expect(isRunning(origin)).toBe(true);

  await cluster.restartTracker();
  await until('the swarm is whole again', async () => {
    const swarm = await cluster.swarm(image);
    return swarm?.members.length === 2;
  });
  expect(cluster.originPid).toBe(origin);
  expect(await first.status()).toMatchObject({ tracker: { isConnected: true } });
  await until('progress is reported again', async () => {
    const { members } = await cluster.swarm(image);
    return members.some(({ node, piecesHad }) => node === 'node1' && piecesHad === LENGTH / 65_536);
  });
  const other = join(cluster.directory, 'other.raw');
  makeTestImage(other, 4 * MIB, 2);
  const published = await cluster.publish(other, 'other');
  await expectRightBytes(second, other, published);
  await expectRightBytes(second);
});

test('an agent that starts while there is no tracker serves its cache, and joins when one is there', async () => {
  await expectRightBytes(first);
  // A guest has a piece a moment before the cache has it.
  await until('its cache has all of it', async () => {
    const { piecesHad, pieceCount } = (await first.status()).images[0];
    return piecesHad === pieceCount;
  });
  await cluster.tracker.kill('SIGKILL');
  process.kill(cluster.originPid, 'SIGKILL');
  await first.kill('SIGKILL');
  await first.start();
  await expectRightBytes(first);
  expect((await first.status()).tracker.isConnected).toBe(false);
  await cluster.restartTracker();
  await until('both are back', async () => (await cluster.swarm(image))?.members.length === 2);
  await expectRightBytes(second);
});
