import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openApiDocument, type RouteDescription, routeKey } from '@bootswarm/rest';
import { encodeAgentMessage, SIGNALLING_VERSION } from '@bootswarm/tracker-proto';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import {
  documentedMetrics,
  metricRows,
  operationsOf,
  requestPath,
  type ServedDocument,
} from '../../../packages/rest/test/documented-api.ts';
import type { NodeImageSummary, Problem } from '../src/api.ts';
import { API } from '../src/api-description.ts';
import type { Catalogue } from '../src/catalogue.ts';
import { GlanceLink } from '../src/glance/glance-link.ts';
import { HttpApi } from '../src/http-api.ts';
import type { CloudWatch } from '../src/overview/cloud-watch.ts';
import type { Overview } from '../src/overview-api.ts';
import type { PrefetchDesk } from '../src/prefetch-desk.ts';
import { STATUS } from '../src/problem.ts';
import type { Publisher } from '../src/publisher.ts';
import type { SignalServer } from '../src/signal-server.ts';
import { TrackerFixture } from './tracker-fixture.ts';

const api = new HttpApi({
  ...{ dataDir: '/', adminToken: 'x'.repeat(43), publisherKey: 'a'.repeat(64) },
  ...{ catalogue: {} as Catalogue, publisher: {} as Publisher, log: pino({ level: 'silent' }) },
  ...{ glance: new GlanceLink(undefined), openAtOrigin: async () => {}, withdraw: async () => {} },
  signals: () => ({}) as SignalServer,
  origin: () => undefined,
  watch: () => ({}) as CloudWatch,
  prefetches: () => ({}) as PrefetchDesk,
});
const { routes, metricFamilies } = api;

let fixture: TrackerFixture;
let image: string;
let agent: WebSocket;
let prefetch: string;

beforeAll(async () => {
  // A Glance that is not there: how following it goes is told all the same.
  const url = new URL('http://127.0.0.1:1');
  fixture = new TrackerFixture();
  const page = join(fixture.path, 'page');
  mkdirSync(page);
  for (const file of ['index.html', 'page.js']) writeFileSync(join(page, file), file);
  await fixture.start({ page, glance: { url, selection: 'none', pollMs: 60_000 } });
  image = await fixture.published({ source: fixture.image('small.raw', [7]), name: 'small' });
  agent = new WebSocket(`${fixture.tracker.url.replace('http', 'ws')}/v1/signal`);
  await once(agent, 'open');
  const address = { host: '10.0.0.9', port: 1 };
  const names = { node: 'n1', zone: 'z1', rack: 'r1' };
  agent.send(encodeAgentMessage({ type: 'hello', version: SIGNALLING_VERSION, ...names, address }));
  agent.send(encodeAgentMessage({ type: 'join', image, piecesHad: 0 }));
  const since = '2026-01-02T03:04:05.678Z';
  const alarm = { code: 'read-waiting', subject: 'small', reason: 'r', hint: 'h', since } as const;
  const report = {
    ...{ intervalMs: 1_000, vmsBooting: 2, vmsConnected: 2, readCache: 1, readPeers: 2 },
    ...{ readOrigin: 3, receivedPeers: 4, receivedOrigin: 5, cacheBytes: 6, cacheBytesMax: 7 },
    ...{ originReads: [{ image, reason: 'tree-root', pieces: 8 }], alarms: [alarm] },
  };
  agent.send(encodeAgentMessage({ type: 'stats', report }));
  // Handled in order: with the answer to this, all of the above has been.
  const answered = once(agent, 'pong');
  agent.ping();
  await answered;
  const order = { method: 'POST', path: '/v1/prefetches', access: 'admin' } as const;
  const ordered = await ask(order, '', JSON.stringify({ image, nodes: ['n1'] }));
  prefetch = ((await ordered.json()) as { id: string }).id;
});

afterAll(async () => {
  agent.terminate();
  await fixture.end();
});

const descriptionOf = (route: (typeof routes)[number]): RouteDescription =>
  API.routes[routeKey(route)];

/** What stands for the braces of its path. */
function keyOf({ path }: (typeof routes)[number]): string {
  if (path.includes('{node}')) return 'n1';
  if (path.includes('{prefetch}')) return prefetch;
  return path.includes('{file}') ? 'page.js' : image;
}

const isPrefetch = ({ path }: (typeof routes)[number]): boolean => path === '/v1/prefetches';

async function ask(route: (typeof routes)[number], key = image, body?: unknown) {
  const headers = {
    authorization: `Bearer ${fixture.tracker.adminToken}`,
    ...(body !== undefined && { 'content-type': 'application/json' }),
  };
  return fixture.fetch(requestPath(route, key), {
    method: route.method,
    headers,
    body: body as string,
  });
}

async function problemCode(response: Response): Promise<string> {
  expect(response.headers.get('content-type')).toBe('application/problem+json');
  const { code, status, detail, hint } = (await response.json()) as Problem;
  expect([detail, hint].every((text) => /\w/.test(text))).toBe(true);
  expect([code, status]).toEqual([code, STATUS[code]]);
  expect(response.status).toBe(status);
  return code;
}

test('the document that is served has every route and nothing else', async () => {
  const served = await fixture.json<ServedDocument>('/v1/openapi.json');
  expect(served).toEqual(JSON.parse(JSON.stringify(openApiDocument(routes, API))));
  expect(served.openapi).toBe('3.1.0');
  expect(operationsOf(served)).toEqual(routes.map(routeKey).sort());
});

test.each(routes.filter((route) => descriptionOf(route).key !== undefined))(
  '$method $path says what is wrong with its path',
  async (route) => {
    expect(await problemCode(await ask(route, 'nothing'))).toMatch(/-not-found$/);
    expect(await problemCode(await ask(route, '%ff'))).toBe('path-malformed');
  },
);

test.each(routes.filter((route) => descriptionOf(route).body !== undefined))(
  '$method $path says what is wrong with its body, or that it is missing',
  async (route) => {
    expect(await problemCode(await ask(route))).toBe('content-type');
    expect(await problemCode(await ask(route, '', ''))).toBe('body-missing');
    expect(await problemCode(await ask(route, '', '{'))).toBe('body-malformed');
    const wrong = isPrefetch(route) ? '{"image":1}' : '{"source":1}';
    expect(await problemCode(await ask(route, '', wrong))).toBe('field-invalid');
    expect(await problemCode(await ask(route, '', '{"sorce":"/x"}'))).toBe('field-unknown');
    const tooLong = ' '.repeat(isPrefetch(route) ? 2 * 1024 * 1024 + 1 : 40_000);
    expect(await problemCode(await ask(route, '', tooLong))).toBe('body-too-long');
  },
);

/** The last withdraws. */
describe.each(
  routes.toSorted((a, b) => (b.method === 'DELETE' ? -1 : a.method === 'DELETE' ? 1 : 0)),
)('$method $path', (route) => {
  const { body, type = 'application/json', answer, status = 200 } = descriptionOf(route);

  test('refuses a query', async () => {
    const asked = { ...route, path: `${route.path}?x=1` };
    expect(await problemCode(await ask(asked))).toBe('query-unexpected');
  });

  test('answers as it is described', async () => {
    const source = fixture.image('more.raw', [3]);
    const given = isPrefetch(route) ? { image, percent: 100 } : { source, prejoin: 'none' };
    const response = await ask(route, keyOf(route), body && JSON.stringify(given));
    expect(response.status).toBe(status);
    if (status === 204) return;
    if (type !== '*/*') expect(response.headers.get('content-type')).toBe(type);
    if (answer === undefined) return void (await response.body?.cancel());
    for (const text of await documentsOf(response, type)) answer.parse(JSON.parse(text));
  });
});

/** Of JSON one, of lines each, of events the first. */
async function documentsOf(response: Response, type: string): Promise<string[]> {
  if (type !== 'text/event-stream') return (await response.text()).trim().split('\n');
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of response.body!) {
    text += decoder.decode(chunk, { stream: true });
    const data = /^data: (.*)$/m.exec(text.slice(0, text.indexOf('\n\n')))?.[1];
    if (text.includes('\n\n')) return [data!];
  }
  return [];
}

test('what a node reports is in the overview, the alarms and the metrics', async () => {
  // It is withdrawn by now, and may have been private for what others may know.
  const seen = await ask({ method: 'GET', path: '/v1/overview', access: 'open' });
  const overview = (await seen.json()) as Overview;
  expect(overview.nodes).toMatchObject([
    { node: 'n1', state: 'alarm', vmsBooting: 2, read: { cache: 1 }, received: { origin: 5 } },
  ]);
  expect(overview).toMatchObject({
    ...{ storm: { vmsBootingMax: 2, endedAt: null }, originReasons: { 'tree-root': 8 } },
    originReads: [{ node: 'n1', reason: 'tree-root', pieces: 8 }],
  });
  const { alarms } = await fixture.json<{ alarms: object[] }>('/v1/alarms');
  expect(alarms).toMatchObject([{ code: 'read-waiting', node: 'n1', subject: 'small' }]);
  const text = await (await fixture.fetch('/metrics')).text();
  expect(text).toContain('\nbootswarm_nodes_received_bytes_total{source="peers"} 4\n');
  expect(text).toContain('\nbootswarm_nodes_origin_requests_total{reason="tree-root"} 8\n');
  expect(text).toContain('\nbootswarm_alarms{code="read-waiting"} 1\n');
  expect(text).toContain('\nbootswarm_tracker_errors_total{part="api",code="query-unexpected"} ');
});

test('of an image a node holds nothing that has only its zeros', async () => {
  const blocks = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2];
  const sparse = await fixture.published({ source: fixture.image('sparse.raw', blocks) });
  const fractionWith = async (piecesHad: number) => {
    agent.send(encodeAgentMessage({ type: 'join', image: sparse, piecesHad }));
    const answered = once(agent, 'pong');
    agent.ping();
    await answered;
    const { images } = await fixture.json<{ images: NodeImageSummary[] }>('/v1/nodes/n1/images');
    agent.send(encodeAgentMessage({ type: 'leave', image: sparse }));
    return images.find((each) => each.image === sparse)?.cachedFraction;
  };
  expect([await fractionWith(0), await fractionWith(1)]).toEqual([0, 0]);
  expect([await fractionWith(2), await fractionWith(3)]).toEqual([0.5, 1]);
});

test('the metrics that are documented are those that there are', () => {
  expect(documentedMetrics('Of the tracker', 'Of both')).toEqual(metricRows(metricFamilies));
});
