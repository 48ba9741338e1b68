import { createServer } from 'node:net';
import { join } from 'node:path';
import type { Overview } from '@bootswarm/tracker';
import { afterEach, expect, test } from 'vitest';
import { Cluster, run, until } from '../cluster.ts';
import { makeTestImage } from '../test-image.ts';

const MIB = 1024 * 1024;
/** Every fourth MiB is a hole. */
const DATA_BYTES = 12 * MIB;

let cluster: Cluster;

afterEach(() => cluster.stop());

/** One that nobody listens on now. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

test('what guests read is seen in the overview and the metrics, and a read that nobody can answer as an alarm', async () => {
  cluster = await Cluster.start(1);
  const port = await freePort();
  const watched = await cluster.addAgent('watched', ['--metrics', `127.0.0.1:${port}`]);
  const source = join(cluster.directory, 'image.raw');
  makeTestImage(source, 16 * MIB);
  const image = await cluster.publish(source, 'image');
  for (const agent of cluster.agents) {
    const { uri } = await agent.attach('image');
    expect(await run('nbdcopy', [uri, 'null:'])).toMatchObject({ code: 0 });
  }
  const overview = await until('the tracker has heard of it', async () => {
    const seen = await cluster.trackerGet<Overview>('/v1/overview');
    const received = seen.nodes.map((node) => node.received.peers + node.received.origin);
    return received.every((bytes) => bytes >= DATA_BYTES) && seen;
  });
  expect(overview.images).toMatchObject([{ id: image, members: 2, complete: 2 }]);
  expect(overview.nodes.map(({ node }) => node).sort()).toEqual(['node1', 'watched']);
  const sum = (value: (sample: Overview['now']) => number) =>
    overview.samples.reduce((total, sample) => total + value(sample), 0);
  // By the second, all that nodes told.
  expect(sum(({ received }) => received.peers + received.origin)).toBe(
    overview.nodes.reduce((all, { received }) => all + received.peers + received.origin, 0),
  );
  expect(overview.originReads[0]).toMatchObject({ image, imageName: 'image' });

  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const read = (source: string) =>
    Number(new RegExp(`guest_read_bytes_total\\{source="${source}"\\} (\\d+)`).exec(text)?.[1]);
  expect(read('cache') + read('peers') + read('origin')).toBeGreaterThanOrEqual(DATA_BYTES);
  expect(text).toMatch(/^bootswarm_received_bytes_total\{source="zone",class="demand"\} [1-9]/m);
  expect(text).toMatch(/^bootswarm_guest_read_wait_seconds_count [1-9]/m);

  const other = join(cluster.directory, 'other.raw');
  makeTestImage(other, 4 * MIB, 2);
  await cluster.publish(other, 'other');
  const { uri } = await watched.attach('other');
  await cluster.tracker.kill('SIGKILL');
  process.kill(cluster.originPid, 'SIGKILL');
  const reading = run('nbdcopy', [uri, 'null:'], { timeoutMs: 60_000 }).catch(() => undefined);
  const alarm = await until('the read that waits is told', async () => {
    const { alarms } = await watched.status();
    return alarms.find(({ code }) => code === 'read-waiting');
  });
  expect(alarm).toMatchObject({ node: 'watched', subject: 'other' });
  await cluster.restartTracker();
  await reading;
  await until('it is over', async () => (await watched.status()).alarms.length === 0);
  expect(watched.log.match(/"alarm raised"/g)).toHaveLength(1);
  expect(watched.log.match(/"alarm cleared"/g)).toHaveLength(1);
});
