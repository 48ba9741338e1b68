import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PrefetchSummary } from '@bootswarm/tracker';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeRandomFile } from '../../bench/random-file.ts';
import { bootswarm, Cluster, run, until } from '../cluster.ts';

const ROOT = new URL('../..', import.meta.url).pathname;
const SETTLE_MS = 60_000;

describe('prefetch orders of real nodes', () => {
  let cluster: Cluster;
  let image: string;

  beforeAll(async () => {
    cluster = await Cluster.start(0);
    for (const [node, zone] of Object.entries({ a1: 'a', a2: 'a', b1: 'b' })) {
      await cluster.addAgent(node, ['--zone', zone]);
    }
    const source = join(cluster.directory, 'worker.raw');
    mkdirSync(cluster.directory, { recursive: true });
    writeRandomFile(source, 8);
    image = await cluster.publish(source, 'worker');
  });

  afterAll(() => cluster.stop());

  async function prefetch(...args: string[]): Promise<PrefetchSummary> {
    const result = await bootswarm(
      'prefetch',
      'worker',
      '--json',
      '--tracker',
      cluster.url,
      ...args,
    );
    expect(result.stderr).toBe('');
    return JSON.parse(result.stdout) as PrefetchSummary;
  }

  const orderOf = (id: string): Promise<PrefetchSummary> =>
    cluster.trackerGet(`/v1/prefetches/${id}`);

  const fractionOf = async (node: string): Promise<number | undefined> => {
    const { images } = await cluster.trackerGet<{
      images: { image: string; cachedFraction: number }[];
    }>(`/v1/nodes/${node}/images`);
    return images.find((each) => each.image === image)?.cachedFraction;
  };

  it('fills the image on the nodes of a zone, and on no other', async () => {
    const { id, nodes } = await prefetch('--zone', 'b', '--pin');
    expect(nodes.map(({ node }) => node)).toEqual(['b1']);
    await until('the order is done', async () => (await orderOf(id)).state === 'done', SETTLE_MS);
    expect(await until('the tracker knows', async () => (await fractionOf('b1')) === 1)).toBe(true);
    expect((await fractionOf('a1')) ?? 0).toBe(0);
    const b1 = cluster.agents.find(({ node }) => node === 'b1')!;
    await expect(b1.evict('worker')).rejects.toThrow('image-in-use');
  });

  it('gives a weigher in the real Nova what it needs, which does without a tracker', async () => {
    const script = join(ROOT, 'test/nova/weigher.py');
    const args = [script, join(ROOT, 'docs/nova'), cluster.url, 'worker', 'a1', 'b1', 'unknown'];
    const result = await run('/usr/bin/python3', args);
    expect(result.stderr).not.toContain('Traceback');
    const found = JSON.parse(result.stdout);
    expect(found.order[0]).toBe('b1');
    expect(found.weights).toEqual({ a1: 0, b1: 1, unknown: 0 });
    expect(found.again).toEqual(found.weights);
    expect(found.askedAgain).toEqual([]);
    expect(found.volume).toEqual([0, 0, 0]);
    expect(found.without).toEqual([0, 0, 0]);
  });

  it('keeps an order over a restart of the tracker, and the pin until it is cancelled', async () => {
    const { id } = await prefetch('--nodes', 'a1', '--pin', '--priority', '9');
    await until('the order is done', async () => (await orderOf(id)).state === 'done', SETTLE_MS);
    await cluster.tracker.kill('SIGKILL');
    const a1 = cluster.agents.find(({ node }) => node === 'a1')!;
    await a1.kill('SIGKILL');
    await a1.start();
    await expect(a1.evict('worker')).rejects.toThrow('image-in-use');
    await cluster.restartTracker();
    expect((await orderOf(id)).nodes).toMatchObject([{ node: 'a1' }]);
    await until('it is done still', async () => (await orderOf(id)).state === 'done', SETTLE_MS);
    const cancelled = await bootswarm('prefetch', 'cancel', id, '--tracker', cluster.url);
    expect(cancelled.code).toBe(0);
    await until(
      'the image may go',
      () =>
        a1.evict('worker').then(
          () => true,
          () => false,
        ),
      SETTLE_MS,
    );
    expect((await orderOf(id)).state).toBe('cancelled');
  });

  it('says what is wrong with an order', async () => {
    const token = readFileSync(join(cluster.dataDir, 'admin.token'), 'utf8').trim();
    const post = async (body: unknown): Promise<unknown> => {
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
      const answer = await fetch(`${cluster.url}/v1/prefetches`, {
        method: 'POST',
        headers,
        body: JSON.stringify(body),
      });
      return ((await answer.json()) as { code: string }).code;
    };
    expect(await post({})).toBe('field-invalid');
    expect(await post({ image: 'worker' })).toBe('scope-missing');
    expect(await post({ image: 'worker', percent: 101 })).toBe('field-invalid');
    expect(await post({ image: 'worker', percent: 50, nodes: ['a1'] })).toBe('scope-missing');
    expect(await post({ image: 'worker', percent: 50, colour: 'red' })).toBe('field-unknown');
    expect(await post({ image: 'none', percent: 50 })).toBe('image-not-found');
    await expect(orderOf('0000000000000000')).rejects.toThrow('prefetch-not-found');
    await expect(cluster.trackerGet('/v1/nodes/nobody/images')).rejects.toThrow('node-not-found');
    const wrong = await bootswarm('prefetch', 'worker', '--tracker', cluster.url);
    expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining('--percent 100') });
  });
});
