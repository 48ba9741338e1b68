/** Daemons that have no file descriptor left go on with what they have, and take more when there are some again. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Cluster, run, type TestAgent, until } from '../cluster.ts';
import { descriptorCount } from '../process-usage.ts';
import { makeTestImage } from '../test-image.ts';
import { HealthyGuest } from './healthy-guest.ts';

const MIB = 1024 * 1024;
/** A process that asks for its memory, a dial or a file needs one of these. */
const FREE = 4;
/** At a time: more than are free. */
const STRANGERS = 40;

let cluster: Cluster;
let agent: TestAgent;
let image: string;
let uri: string;
let guest: HealthyGuest | undefined;
let strangers: Socket[];

beforeEach(async () => {
  strangers = [];
  cluster = await Cluster.start(1);
  [agent] = cluster.agents;
  const source = join(cluster.directory, 'source.raw');
  makeTestImage(source, 16 * MIB);
  image = await cluster.publish(source, 'base');
  ({ uri } = await agent.attach(image));
  guest = await HealthyGuest.start(agent, image, source);
  await guest.goesOn();
});

afterEach(async () => {
  for (const each of strangers) each.destroy();
  try {
    await guest?.stop();
  } finally {
    guest = undefined;
    await cluster.stop();
  }
});

/** Leaves it a few more than it has now, and uses those up by connecting to `port`. */
async function starve(pid: number, port: number): Promise<void> {
  const most = descriptorCount(pid) + FREE;
  await run('prlimit', ['--pid', String(pid), `--nofile=${most}`]);
  await until('the descriptors are used up', () => {
    for (let count = 0; count < STRANGERS; count += 1) stranger(port);
    return descriptorCount(pid) >= most;
  });
}

function stranger(port: number): void {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  strangers.push(socket);
}

async function strangersLeave(): Promise<void> {
  await Promise.all(
    strangers.splice(0).map((each) => {
      each.destroy();
      return each.closed || once(each, 'close');
    }),
  );
}

describe('without a file descriptor to spare', () => {
  test('an agent serves its guests, and takes new ones when it has some again', async () => {
    const { peerAddress } = await agent.status();
    await starve(agent.pid, Number(peerAddress.split(':')[1]));
    // Longer than an agent goes without looking at itself.
    for (const end = performance.now() + 3_000; performance.now() < end; ) await guest!.goesOn();
    await strangersLeave();
    await until('the agent answers', () => agent.status().catch(() => undefined));
    expect(await run('nbdinfo', ['--size', uri])).toMatchObject({
      code: 0,
      stdout: `${16 * MIB}\n`,
    });
    expect(agent.isRunning).toBe(true);
  });

  test('a tracker goes on, and answers when it has some again', async () => {
    await starve(cluster.tracker.pid, Number(new URL(cluster.url).port));
    for (const end = performance.now() + 3_000; performance.now() < end; ) await guest!.goesOn();
    await strangersLeave();
    const { images } = await until('the tracker answers', () =>
      cluster.trackerGet<{ images: { id: string }[] }>('/v1/images').catch(() => undefined),
    );
    expect(images.map(({ id }) => id)).toEqual([image]);
    expect(cluster.tracker.isRunning).toBe(true);
  });
});
