import { Metrics } from '@bootswarm/rest';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ErrorCounts } from '../../src/telemetry/error-counts.ts';
import { MetricsListener } from '../../src/telemetry/metrics-listener.ts';

let listener: MetricsListener;
let scrapes = 0;

beforeEach(async () => {
  const metrics = new Metrics([
    {
      ...{ name: 'bootswarm_scrapes_total', type: 'counter', help: 'h' },
      read: () => {
        scrapes += 1;
        return scrapes;
      },
    },
  ]);
  listener = await MetricsListener.listen({ host: '127.0.0.1', port: 0 }, () => metrics);
});

afterEach(() => listener.close());

const ask = (path: string, method = 'GET') =>
  fetch(`http://127.0.0.1:${listener.port}${path}`, { method });

test('serves metrics, read when they are asked for, and nothing else', async () => {
  const response = await ask('/metrics');
  expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  expect(await response.text()).toContain(`bootswarm_scrapes_total ${scrapes}\n`);
  expect((await ask('/v1/status')).status).toBe(404);
  expect((await ask('/metrics', 'POST')).status).toBe(405);
});

test('says what to do when it cannot listen there', async () => {
  const again = MetricsListener.listen({ host: '127.0.0.1', port: listener.port }, () => {
    throw new Error('never asked');
  });
  await expect(again).rejects.toMatchObject({
    code: 'listen',
    hint: expect.stringContaining('--metrics'),
  });
});

test('errors are counted by part and code, with a limit', () => {
  const errors = new ErrorCounts();
  for (let at = 0; at < 300; at += 1) errors.add('wire', `code-${at}`);
  errors.add('wire', 'code-0');
  const all = [...errors.all];
  expect(all.length).toBeLessThanOrEqual(129);
  expect(all[0]).toEqual({ part: 'wire', code: 'code-0', count: 2 });
  expect(all.at(-1)).toMatchObject({ code: 'other', count: 172 });
});
