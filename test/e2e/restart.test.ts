import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ImageStatus } from '@bootswarm/agent';
import { afterEach, expect, test } from 'vitest';
import { Cluster, type TestAgent, until } from '../cluster.ts';
import { Boot, demoImage } from './booting.ts';

let cluster: Cluster;
let boots: Boot[] = [];

afterEach(async () => {
  for (const boot of boots) boot.kill();
  boots = [];
  await cluster.stop();
});

async function imageOf(agent: TestAgent): Promise<ImageStatus> {
  return (await agent.status()).images[0];
}

test('VMs boot although the tracker and then an agent are killed, and no verified piece is fetched twice', async () => {
  const { path, sha256 } = await demoImage();
  cluster = await Cluster.start(2);
  const image = await cluster.publish(path, 'demo', '--in-place');
  const [victim, other] = cluster.agents;
  const vms = await Promise.all([victim.createVm(image, 'vm1'), other.createVm(image, 'vm2')]);
  await until('both nodes are in the swarm', async () => (await imageOf(victim)).peers >= 2);
  boots = vms.map((vm) => new Boot(vm));

  await until(
    'the first VM is in the middle of its boot',
    async () => (await imageOf(victim)).piecesTouched > 200,
    90_000,
  );
  await cluster.tracker.kill('SIGKILL');
  // Standing guests read nothing more, so that what is had can be counted on both sides of the kill.
  for (const boot of boots) boot.pause();
  const before = await imageOf(victim);
  await victim.kill('SIGKILL');
  await victim.start();
  const restarted = await until('nothing is on its way', async () => {
    const one = await imageOf(victim);
    const two = await imageOf(victim);
    return JSON.stringify(fetchedAndHad(one)) === JSON.stringify(fetchedAndHad(two)) && two;
  });
  const hadFromDisk = restarted.piecesHad - fetchedAndHad(restarted).fetched;
  expect(hadFromDisk).toBeGreaterThanOrEqual(before.piecesHad);
  for (const boot of boots) boot.resume();

  await until('both VMs have booted', () => boots.every(({ isReady }) => isReady), 150_000).catch(
    (error) => {
      throw new Error(
        `${String(error)}\n${boots.map(({ tail }) => tail).join('\n---\n')}\n${victim.log.slice(-2_000)}`,
      );
    },
  );
  expect(boots.map((boot) => boot.sha256)).toEqual([sha256, sha256]);

  // A piece counts as fetched a moment before it counts as had.
  const after = await until('every fetched piece is stored, once', async () => {
    const now = await imageOf(victim);
    const { fetched, had } = fetchedAndHad(now);
    return fetched + hadFromDisk === had && now;
  });
  // Only a piece that was late and asked of a second source can have come twice.
  expect(after.bytesWasted).toBeLessThanOrEqual(after.hedges * after.pieceLength);
  killOrigin();
});

/** In pieces, since the agent's start. */
function fetchedAndHad(image: ImageStatus): { fetched: number; had: number } {
  const { bytesFromPeers, bytesFromOrigin, pieceLength, piecesHad } = image;
  return { fetched: (bytesFromPeers + bytesFromOrigin) / pieceLength, had: piecesHad };
}

/** It outlives its tracker on purpose; this one has none to stop it. */
function killOrigin(): void {
  const log = readFileSync(join(cluster.dataDir, 'origin.log'), 'utf8');
  process.kill((JSON.parse(log.split('\n')[0]) as { pid: number }).pid, 'SIGTERM');
}
