/** What an agent may take of a compute node's memory, which is for VMs. */
import { randomFillSync } from 'node:crypto';
import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Cluster, type TestAgent, until } from '../cluster.ts';
import { peakResidentBytes } from '../process-usage.ts';

const MIB = 1024 * 1024;
const LENGTH = 1024 * MIB;
const HOT_BYTES = 64 * MIB;
/** Beside hot pieces: Node itself, pieces in flight, being verified and written, and garbage of them. Measured: 178 MiB. */
const BYTES_MAX = 256 * MIB;

let cluster: Cluster;
let agent: TestAgent;

beforeAll(async () => {
  cluster = await Cluster.start(1, ['--hot', '64M', '--fill', 'always']);
  [agent] = cluster.agents;
});

afterAll(() => cluster.stop());

/** No two pieces are the same, and none is zero. */
function makeRandomImage(path: string): void {
  const file = openSync(path, 'w');
  const bytes = Buffer.allocUnsafeSlow(64 * MIB);
  for (let at = 0; at < LENGTH; at += bytes.length) writeSync(file, randomFillSync(bytes));
  closeSync(file);
}

test('an agent that fills its cache with 1 GiB stays within 256 MiB and its hot pieces', async () => {
  const source = join(cluster.directory, 'source.raw');
  makeRandomImage(source);
  const image = await cluster.publish(source, 'large', '--in-place');
  await agent.attach(image);
  await until(
    'the cache is full',
    async () => {
      const [{ piecesHad, pieceCount }] = (await agent.status()).images;
      return piecesHad === pieceCount;
    },
    100_000,
  );
  expect(peakResidentBytes(agent.pid)).toBeLessThan(BYTES_MAX + HOT_BYTES);
  expect(peakResidentBytes(cluster.originPid)).toBeLessThan(BYTES_MAX);
});
