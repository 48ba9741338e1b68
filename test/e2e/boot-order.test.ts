import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Random } from '@bootswarm/stdx';
import type { BootOrderSummary } from '@bootswarm/tracker';
import { afterEach, expect, test } from 'vitest';
import { RawClient } from '../../apps/agent/test/nbd/raw-client.ts';
import { CMD, request } from '../../packages/nbd-proto/test/wire.ts';
import { bootswarm, Cluster, type TestAgent, until } from '../cluster.ts';
import { makeTestImage } from '../test-image.ts';

const MIB = 1024 * 1024;
const PIECE = 65_536;
const LENGTH = 64 * MIB;
/** The pieces that a guest reads while it boots, in its order: some 190 of those that hold data. */
const BOOT = new Random(5)
  .shuffle(Array.from({ length: LENGTH / PIECE }, (_, index) => index))
  .filter((pieceIndex) => Math.floor((pieceIndex * PIECE) / MIB) % 4 !== 3)
  .slice(0, 190);

let cluster: Cluster;
let image: string;

afterEach(() => cluster.stop());

async function publish(): Promise<void> {
  const source = join(cluster.directory, 'source.raw');
  makeTestImage(source, LENGTH);
  image = await cluster.publish(source, 'test');
}

/** A guest that reads 4 KiB of each of these pieces, one after the other. */
async function readPieces(agent: TestAgent, pieces: readonly number[]): Promise<RawClient> {
  await agent.attach(image);
  const client = await RawClient.open(join(agent.runDir, 'nbd.sock'), image);
  await readOn(client, pieces);
  return client;
}

async function readOn(client: RawClient, pieces: readonly number[]): Promise<void> {
  for (const pieceIndex of pieces) {
    client.send(request(CMD.read, pieceIndex * PIECE, 4_096));
    await client.receive(16 + 4_096);
  }
}

async function hasAhead(agent: TestAgent): Promise<number> {
  const { piecesHad, zeroPieces, piecesTouched } = (await agent.status()).images[0];
  return piecesHad - zeroPieces - piecesTouched;
}

const learned = async (): Promise<BootOrderSummary['kinds']> =>
  (await cluster.trackerGet<BootOrderSummary>(`/v1/images/${image}/boot-order`)).kinds;

test('what one guest reads a guest on another node is given ahead, also after the tracker was killed', async () => {
  cluster = await Cluster.start(2);
  await publish();
  const [first, second] = cluster.agents;
  const teacher = await readPieces(first, BOOT);
  const guest = await readPieces(second, BOOT.slice(0, 40));
  await until('what it will read next is there', async () => (await hasAhead(second)) >= 150);

  await readOn(guest, BOOT.slice(40));
  for (const { socket } of [teacher, guest]) socket.destroy();
  const before = await until('both boots were merged', async () => {
    const kinds = await learned();
    return kinds.length === 1 && kinds[0].boots === 2 && kinds;
  });
  expect(before[0].pieces).toBeGreaterThanOrEqual(150);
  const path = join(cluster.dataDir, 'images', image, 'boot-order.json');
  await until('they are kept', () => {
    if (!existsSync(path)) return false;
    const { kinds } = JSON.parse(readFileSync(path, 'utf8')) as {
      kinds: { bootsMerged: number }[];
    };
    return kinds[0].bootsMerged === 2;
  });
  await cluster.tracker.kill('SIGKILL');
  await cluster.restartTracker();
  expect(await learned()).toEqual(before);

  const late = await cluster.addAgent('late');
  const lateGuest = await readPieces(late, BOOT.slice(0, 20));
  await until('the newcomer is given it too', async () => (await hasAhead(late)) >= 100);
  lateGuest.socket.destroy();
  const shown = await bootswarm('images', 'show', 'test', '--tracker', cluster.url);
  expect(shown.stdout).toMatch(/\nboots {6}(one kind|\d kinds) of VM\n/);
});
