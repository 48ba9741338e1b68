import { parameterOf, routeKey } from '@bootswarm/rest';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  documentedMetrics,
  metricRows,
  operationsOf,
  requestPath,
  type ServedDocument,
} from '../../../packages/rest/test/documented-api.ts';
import { CONTROL_ROUTES, controlApiDocument } from '../src/control-api.ts';
import { AgentMetrics } from '../src/telemetry/agent-metrics.ts';
import { signedImage } from './catalogue-server.ts';
import { TestAgent } from './test-agent.ts';

const IMAGE = signedImage('debian-12');

let agent: TestAgent;

beforeEach(async () => {
  agent = await TestAgent.start([IMAGE]);
});

afterEach(() => agent.end());

/** Bodies that are right, by route. */
const BODIES: Readonly<Record<string, object>> = {
  'POST /v1/exports': { image: 'debian-12' },
  'POST /v1/vms': { image: 'debian-12', name: 'web-2' },
  'POST /v1/vms/{vm}/rebase': { to: 'local' },
  'POST /v1/copies': { from: 'swarm:debian-12', to: 'file:/nowhere/disk.raw' },
};
/** What cannot be had without QEMU, a successor or pieces: these answer with this problem and are good nevertheless. */
const REFUSED: Readonly<Record<string, string>> = {
  'POST /v1/vms/{vm}/pivot': 'vm-not-running',
  'POST /v1/vms/{vm}/rebase': 'image-incomplete',
  'POST /v1/upgrade': 'no-successor',
  'POST /v1/copies': 'copies-off',
  'GET /v1/copies/{copy}': 'copy-not-found',
  'DELETE /v1/copies/{copy}': 'copy-not-found',
};

test('the document that is served has every route and nothing else', async () => {
  const { body } = await agent.ask('GET', '/v1/openapi.json');
  const served = body as ServedDocument;
  expect(served).toEqual(JSON.parse(JSON.stringify(controlApiDocument(served.info.version))));
  expect(operationsOf(served)).toEqual(CONTROL_ROUTES.map(routeKey).sort());
});

const refusal = (code: string) => ({
  type: 'application/problem+json',
  body: { code, detail: expect.stringMatching(/\w/), hint: expect.stringMatching(/\w/) },
});

test.each(CONTROL_ROUTES.filter(({ key }) => key !== undefined))(
  '$method $path says what is wrong with its path',
  async (route) => {
    const ask = (key: string) =>
      agent.ask(route.method, requestPath(route, key), BODIES[routeKey(route)]);
    expect(await ask('%ff')).toMatchObject(refusal('path-malformed'));
    expect(await ask('nothing')).toMatchObject(refusal(`${parameterOf(route.path)}-not-found`));
  },
);

describe.each(CONTROL_ROUTES)('$method $path', (route) => {
  const path = requestPath(route, route.path.includes('{vm}') ? 'web-1' : 'debian-12');
  const isBodied = Object.keys(route.body.shape).length > 0;

  test('refuses a query and a body that are wrong, and a body that is missing', async () => {
    const body = BODIES[routeKey(route)];
    expect(await agent.ask(route.method, `${path}?x=1`, body)).toMatchObject(
      refusal('bad-request'),
    );
    for (const wrong of ['{', '[]', '{"extra":1}', ...(isBodied ? ['{}', ''] : [])]) {
      expect(await agent.ask(route.method, path, wrong)).toMatchObject(refusal('bad-request'));
    }
    for (const field of Object.keys(body ?? {})) {
      const changed = { ...body, [field]: [] };
      expect(await agent.ask(route.method, path, changed)).toMatchObject(refusal('bad-request'));
    }
  });

  test('answers as it is described', async () => {
    await agent.ask('POST', '/v1/exports', { image: 'debian-12' });
    await agent.ask('POST', '/v1/vms', { image: 'debian-12', name: 'web-1' });
    if (routeKey(route) === 'DELETE /v1/images/{image}') {
      await agent.ask('DELETE', '/v1/vms/web-1');
      await agent.ask('DELETE', '/v1/exports/debian-12');
    }
    const known = REFUSED[routeKey(route)];
    const { status, type, body } = await agent.ask(route.method, path, BODIES[routeKey(route)]);
    if (known !== undefined) {
      expect(route.problems).toContain(known);
      return expect(body).toMatchObject({ code: known });
    }
    expect([body, status]).toEqual([body, route.status ?? 200]);
    expect(type).toBe(status === 204 ? undefined : (route.type ?? 'application/json'));
    route.answer?.parse(body);
  });
});

test('the metrics that are documented are those that there are', () => {
  const { metrics } = new AgentMetrics({
    status: () => ({}),
    process: { families: [] },
  } as unknown as ConstructorParameters<typeof AgentMetrics>[0]);
  expect(documentedMetrics('Of the agent')).toEqual(metricRows(metrics.families));
});

test('a scrape, which may be open on TCP, has no whole id of an image that may be private in Glance', () => {
  const id = '0123456789abcdef'.repeat(3).slice(0, 40);
  const names = ['0b1c2d3e-4f50-4a6b-8c7d-9e0f1a2b3c4d', 'debian-12'];
  const images = names.map((name) => ({ id, name, piecesHad: 1, pieceCount: 2, peers: 3 }));
  const { metrics } = new AgentMetrics({
    status: () => ({ images }),
    process: { families: [] },
  } as unknown as ConstructorParameters<typeof AgentMetrics>[0]);
  const read = (name: string) => metrics.families.find((each) => each.name === name)?.read();
  for (const name of ['bootswarm_image_cached_ratio', 'bootswarm_peers']) {
    expect(read(name)).toMatchObject([
      { labels: { image: id.slice(0, 8), name: names[0] } },
      { labels: { image: id, name: names[1] } },
    ]);
  }
});

test('a scrape says how much of an image is here that had to be fetched', () => {
  const counts = [
    { piecesHad: 2, pieceCount: 6, zeroPieces: 2 },
    { piecesHad: 3, pieceCount: 6, zeroPieces: 2 },
    { piecesHad: 6, pieceCount: 6, zeroPieces: 6 },
  ];
  const images = counts.map((each) => ({ ...each, id: 'a'.repeat(40), name: 'debian-12' }));
  const { metrics } = new AgentMetrics({
    status: () => ({ images }),
    process: { families: [] },
  } as unknown as ConstructorParameters<typeof AgentMetrics>[0]);
  const { read } = metrics.families.find(({ name }) => name === 'bootswarm_image_cached_ratio')!;
  expect(read()).toMatchObject([{ value: 0 }, { value: 0.25 }, { value: 1 }]);
});
