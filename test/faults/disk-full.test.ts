/** Disks without space: an agent goes on from memory and the tracker keeps what it has; both go on when space returns. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { ImageStatus } from '@bootswarm/agent';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { bootswarm, Cluster, run, type TestAgent, until } from '../cluster.ts';
import { makeTestImage } from '../test-image.ts';
import { catalogueOf, expectRefusal } from './refusal.ts';
import { CAN_MOUNT, SmallDisk } from './small-disk.ts';

const MIB = 1024 * 1024;
/** Three quarters of it are data. */
const LENGTH = 64 * MIB;
const CACHE_MIB = 24;
/** A guest's read, and a status, must not wait for a disk. */
const ANSWER_MS_MAX = 1_000;
/** From the return of space to the first piece that is kept again. */
const RESUMED_MS_MAX = 5_000;

let cluster: Cluster;
let disk: SmallDisk | undefined;
let source: string;

beforeEach(() => {
  cluster = new Cluster();
  source = join(cluster.directory, 'source.raw');
  makeTestImage(source, LENGTH);
});

afterEach(async () => {
  disk?.unmount();
  disk = undefined;
  await cluster.stop();
});

async function expectRightBytes(uri: string): Promise<void> {
  const copy = join(cluster.directory, 'copy.raw');
  expect(await run('nbdcopy', [uri, copy])).toMatchObject({ code: 0 });
  expect(await run('cmp', [source, copy])).toMatchObject({ code: 0 });
}

describe.runIf(CAN_MOUNT)('an agent whose cache is too small for the image', () => {
  let agent: TestAgent;
  let image: string;
  let uri: string;

  beforeEach(async () => {
    await cluster.startTracker();
    disk = new SmallDisk(join(cluster.directory, 'small-cache'), CACHE_MIB);
    agent = await cluster.addAgent('small', ['--hot', '8M']);
    image = await cluster.publish(source, 'large');
    uri = (await agent.attach(image)).uri;
  });

  async function imageStatus(): Promise<ImageStatus> {
    return (await agent.status()).images[0];
  }

  test('serves right bytes and answers, and keeps pieces again once there is space', async () => {
    const slowest = watchAnswers();
    await expectRightBytes(uri);
    await expectRightBytes(uri);
    expect(await slowest()).toBeLessThan(ANSWER_MS_MAX);
    expect(agent.log).toContain('disk-full');
    const { piecesHad, pieceCount, zeroPieces, pieceLength } = await imageStatus();
    expect((piecesHad - zeroPieces) * pieceLength).toBeLessThanOrEqual(CACHE_MIB * MIB);

    disk!.resize(128);
    await until('caching goes on', () => agent.log.includes('caching-resumed'), RESUMED_MS_MAX);
    await expectRightBytes(uri);
    await until('all pieces are kept', async () => (await imageStatus()).piecesHad === pieceCount);
    // What is kept now is kept over a restart too.
    await agent.kill('SIGTERM');
    await agent.start();
    await expectRightBytes(uri);
    expect(await imageStatus()).toMatchObject({ piecesHad: pieceCount, bytesFromOrigin: 0 });
  });

  test('does not fetch over and over what it cannot keep', async () => {
    await agent.kill('SIGTERM');
    agent = await cluster.addAgent('small', ['--hot', '8M', '--fill', 'always']);
    await until('the disk is full', () => agent.log.includes('disk-full'));
    await expectRightBytes(uri);
    await expectRightBytes(uri);
    const { bytesFromOrigin, bytesFromPeers } = await imageStatus();
    // What the disk takes, what two guests read that is not there, and what was on its way when the disk was full.
    const needed = CACHE_MIB * MIB + 2 * LENGTH * 0.75;
    expect(bytesFromOrigin + bytesFromPeers).toBeLessThan(needed + 32 * MIB);
  });

  test('says why it cannot take another image or VM, and takes them once there is space', async () => {
    makeTestImage(join(cluster.directory, 'other.raw'), MIB, 2);
    await cluster.publish(join(cluster.directory, 'other.raw'), 'other');
    disk!.fill();
    const onAgent = ['--run', agent.runDir];
    await expectRefusal(['attach', 'other', ...onAgent], /No space left on the disk of the agent/);
    await expectRefusal(
      ['vm', 'create', 'large', '--name', 'vm1', ...onAgent],
      /files of VM vm1: ENOSPC/,
    );
    expect((await agent.status()).images.filter(({ isAttached }) => isAttached)).toHaveLength(1);
    await expectRightBytes(uri);
    disk!.free();
    expect(await bootswarm('attach', 'other', ...onAgent)).toMatchObject({ code: 0 });
    const vm = ['vm', 'create', 'large', '--name', 'vm1', ...onAgent];
    expect(await bootswarm(...vm)).toMatchObject({ code: 0 });
  });

  /** Asks for the status over and over; the returned function ends that and tells the longest wait in milliseconds. */
  function watchAnswers(): () => Promise<number> {
    let isOver = false;
    let slowestMs = 0;
    const watching = (async () => {
      while (!isOver) {
        const askedAt = performance.now();
        await agent.status();
        slowestMs = Math.max(slowestMs, performance.now() - askedAt);
      }
    })();
    return async () => {
      isOver = true;
      await watching;
      return slowestMs;
    };
  }
});

describe.runIf(CAN_MOUNT)('a tracker whose data directory is full', () => {
  beforeEach(async () => {
    disk = new SmallDisk(cluster.dataDir, 80);
    await cluster.startTracker();
  });

  test('refuses an image, keeps those it has, and takes it once there is space', async () => {
    const kept = join(cluster.directory, 'kept.raw');
    makeTestImage(kept, 8 * MIB, 3);
    const id = await cluster.publish(kept, 'kept');
    const before = await catalogueOf(cluster);
    const publish = ['publish', source, '--tracker', cluster.url];
    // With less and less space each step of a publish is the one that fails: the copy, the metainfo, the directory.
    for (const spare of [16 * MIB, LENGTH * 0.75 + 8192, 4096, 0]) {
      disk!.fill(spare);
      await expectRefusal(publish, /no space left in/i);
      expect(await catalogueOf(cluster)).toEqual({ ...before, staged: [] });
      disk!.free();
    }
    disk!.fillInodes();
    // More often than publishes may run at once: one that failed must not count on.
    for (let round = 0; round < 5; round += 1) await expectRefusal(publish, /no space left in/i);
    await cluster.tracker.kill('SIGKILL');
    await cluster.restartTracker();
    expect(await catalogueOf(cluster)).toEqual(before);
    disk!.free();
    expect(await bootswarm(...publish)).toMatchObject({ code: 0 });
    const agent = await cluster.addAgent('node1');
    await expectRightBytes((await agent.attach('source.raw')).uri);
    source = kept;
    await expectRightBytes((await agent.attach(id)).uri);
    expect(readdirSync(join(cluster.dataDir, 'staging'))).toEqual([]);
  });
});
