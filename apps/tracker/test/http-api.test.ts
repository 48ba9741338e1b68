import { once } from 'node:events';
import { statSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { makePieceLayer, openSignedMetainfo, parseTorrent } from '@bootswarm/metainfo';
import { errnoOf } from '@bootswarm/stdx';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ImageSummary, Problem, TrackerHealth } from '../src/api.ts';
import type { Catalogue } from '../src/catalogue.ts';
import { GlanceLink } from '../src/glance/glance-link.ts';
import { HttpApi } from '../src/http-api.ts';
import type { CloudWatch } from '../src/overview/cloud-watch.ts';
import type { PrefetchDesk } from '../src/prefetch-desk.ts';
import type { Publisher } from '../src/publisher.ts';
import type { SignalServer } from '../src/signal-server.ts';
import { VERSION } from '../src/version.ts';
import { TrackerFixture } from './tracker-fixture.ts';

let fixture: TrackerFixture;
let sparse: string;
let small: string;

beforeAll(async () => {
  fixture = await new TrackerFixture().start();
  for (const name of ['index.html', 'page.js']) writeFileSync(join(fixture.path, name), name);
  // 64 pieces of 64 KiB, mostly zeros: a layer that compresses.
  const blocks = new Array(256).fill(0);
  blocks[0] = 1;
  blocks[255] = 2;
  const source = fixture.image('sparse.raw', blocks);
  sparse = await fixture.published({ source, name: 'debian 12' });
  small = await fixture.published({ source: fixture.image('small.raw', [7]), name: 'small' });
});

afterAll(() => fixture.end());

/** Header names and bytes as they come, without what fetch() adds or undoes. */
async function raw(
  path: string,
  headers: Record<string, string> = {},
  method = 'GET',
): Promise<{ status: number; headers: Record<string, unknown>; body: Buffer }> {
  const { hostname: host, port } = new URL(fixture.tracker.url);
  const call = httpRequest({ host, port, path, method, headers, agent: false }).end();
  const [response] = await once(call, 'response');
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return { status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) };
}

/** Sends bytes and gives back all that comes until the tracker closes. */
async function rawBytes(bytes: string): Promise<string> {
  const { hostname, port } = new URL(fixture.tracker.url);
  const socket = connect(Number(port), hostname);
  socket.setEncoding('latin1');
  socket.write(bytes);
  let text = '';
  try {
    for await (const chunk of socket) text += chunk;
  } catch (error) {
    // The tracker closed with bytes of ours unread, which may cost its answer.
    if (errnoOf(error) !== 'ECONNRESET') throw error;
  }
  return text;
}

async function problemOf(response: Response): Promise<Problem> {
  expect(response.headers.get('content-type')).toBe('application/problem+json');
  const problem = (await response.json()) as Problem;
  expect(problem.status).toBe(response.status);
  for (const text of [problem.title, problem.detail, problem.hint]) expect(text).not.toBe('');
  return problem;
}

/** Where what the route's braces stand for is no image. */
const NOT_FOUND: Readonly<Record<string, string>> = {
  '/v1/nodes/{node}/images': 'node-not-found',
  '/v1/prefetches/{prefetch}': 'prefetch-not-found',
};

describe('the route table', () => {
  const api = new HttpApi({
    dataDir: '/',
    adminToken: 'x'.repeat(43),
    publisherKey: 'a'.repeat(64),
    catalogue: {} as Catalogue,
    publisher: {} as Publisher,
    glance: new GlanceLink(undefined),
    openAtOrigin: async () => {},
    withdraw: async () => {},
    log: pino({ level: 'silent' }),
    signals: () => ({}) as SignalServer,
    prefetches: () => ({}) as PrefetchDesk,
    origin: () => undefined,
    watch: () => ({}) as CloudWatch,
  });
  const { routes } = api;

  test('lists what there is, and who may use it', () => {
    expect(routes.map(({ method, path, access }) => `${method} ${path} ${access}`)).toEqual([
      'GET / open',
      'GET /ui/{file} open',
      'GET /healthz open',
      'GET /metrics open',
      'GET /v1/openapi.json open',
      'GET /v1/images open',
      'GET /v1/images/{image} open',
      'GET /v1/images/{image}/boot-order open',
      'GET /v1/images/{image}/metainfo open',
      'GET /v1/images/{image}/torrent open',
      'GET /v1/images/{image}/piece-layer open',
      'GET /v1/swarms open',
      'GET /v1/overview open',
      'GET /v1/overview/stream open',
      'GET /v1/alarms open',
      'GET /v1/nodes open',
      'GET /v1/nodes/{node}/images open',
      'GET /v1/glance admin',
      'GET /v1/prefetches open',
      'GET /v1/prefetches/{prefetch} open',
      'POST /v1/prefetches admin',
      'DELETE /v1/prefetches/{prefetch} admin',
      'POST /v1/images admin',
      'DELETE /v1/images/{image} admin',
    ]);
  });

  test.each(routes)('lets nobody use $method $path beyond its access', async (route) => {
    const path = route.path.replace('{file}', 'page.js').replace(/\{\w+\}/, small);
    const good = fixture.tracker.adminToken;
    const bad = [
      undefined,
      'Bearer',
      'Bearer ',
      `Basic ${good}`,
      `Bearer ${good}x`,
      `Bearer ${good.slice(1)}`,
    ];
    for (const authorization of [...bad, `Bearer ${'x'.repeat(43)}`, `Bearer x ${good}`]) {
      const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
      const response = await fixture.fetch(path, { method: route.method, headers });
      if (route.access === 'open') {
        expect(response.status).toBe(route.path in NOT_FOUND ? 404 : 200);
        await response.body?.cancel();
      } else {
        expect(response.headers.get('www-authenticate')).toBe('Bearer');
        expect((await problemOf(response)).code).toMatch(/^token-(missing|wrong)$/);
        expect(response.status).toBe(401);
      }
    }
    // Nothing above withdrew it.
    expect((await fixture.fetch(`/v1/images/${small}`)).status).toBe(200);
  });

  test.each(routes)(
    'answers $method $path for an unknown image, or ignores none',
    async (route) => {
      if (!route.path.includes('{image}')) return;
      const authorization = `Bearer ${fixture.tracker.adminToken}`;
      const call = { method: route.method, headers: { authorization } };
      for (const image of [
        'nothing',
        '0'.repeat(40),
        sparse.slice(0, 3),
        '%2e%2e',
        '..%2f..%2fetc%2fpasswd',
        '%00',
      ]) {
        // Not by fetch(), which resolves dots itself.
        const path = route.path.replace(/\{\w+\}/, image);
        const { body } = await raw(path, { authorization }, route.method);
        expect([image, JSON.parse(body.toString()).code]).toEqual([
          image,
          NOT_FOUND[route.path] ?? 'image-not-found',
        ]);
      }
      const response = await fixture.fetch(route.path.replace(/\{\w+\}/, '%ff'), call);
      expect((await problemOf(response)).code).toBe('path-malformed');
    },
  );

  test('refuses paths that are not in it', async () => {
    const paths = [
      '/ui',
      '/ui/',
      '/v1',
      '/v1/',
      '/v1/images/',
      '//v1/images',
      '/v1/images//metainfo',
      '/V1/images',
    ];
    paths.push(
      '/healthz/',
      '/v1/signal',
      `/v1/images/${small}/disk.raw`,
      `/v1/images/${small}/metainfo/x`,
      '/%2fhealthz',
    );
    for (const path of paths) {
      const { status, body } = await raw(path);
      expect([path, status, JSON.parse(body.toString()).code]).toEqual([
        path,
        404,
        'route-not-found',
      ]);
    }
  });

  test('refuses other methods and queries, and says which methods there are', async () => {
    for (const method of ['PUT', 'PATCH', 'TRACE', 'OPTIONS', 'DELETE']) {
      const { status, body } = await raw('/v1/images', {}, method);
      expect(status).toBe(405);
      expect(JSON.parse(body.toString()).hint).toContain('GET, POST');
    }
    const query = await raw('/v1/images?name=x');
    expect(JSON.parse(query.body.toString()).code).toBe('query-unexpected');
  });

  test('answers HEAD like GET without a body', async () => {
    for (const path of ['/healthz', `/v1/images/${sparse}/piece-layer`]) {
      const { status, headers, body } = await raw(path, {}, 'HEAD');
      expect([status, body.length]).toEqual([200, 0]);
      expect(Number(headers['content-length'])).toBeGreaterThan(0);
    }
  });
});

describe('reading', () => {
  test('tells health', async () => {
    const health = await fixture.json<TrackerHealth>('/healthz');
    const metainfo = await (await fixture.fetch(`/v1/images/${small}/metainfo`)).bytes();
    expect(health).toEqual({
      status: 'ok',
      version: VERSION,
      uptimeSeconds: expect.any(Number),
      dataDir: fixture.dataDir,
      // What an operator gives to agents is what signs.
      publisherKey: openSignedMetainfo(metainfo).publicKeyHex,
      origin: fixture.tracker.origin,
      agents: 0,
      images: 2,
    });
  });

  test('lists images by name', async () => {
    const { images } = await fixture.json<{ images: ImageSummary[] }>('/v1/images');
    expect(images.map(({ name }) => name)).toEqual(['debian 12', 'small']);
    expect(images[0]).toEqual({
      id: sparse,
      name: 'debian 12',
      length: 4 * 1024 * 1024,
      pieceLength: 65_536,
      pieceCount: 64,
      zeroPieces: 62,
      createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      source: join(fixture.path, 'sparse.raw'),
      sourceFormat: 'raw',
      prejoin: 'none',
      state: 'ready',
    });
  });

  test('finds an image by id, name and unique prefix', async () => {
    for (const key of [sparse, sparse.slice(0, 12), 'debian%2012']) {
      expect(await fixture.json(`/v1/images/${key}`)).toMatchObject({ id: sparse });
    }
  });

  test('serves metainfo that the publisher signed', async () => {
    const { body, headers } = await raw(`/v1/images/${sparse}/metainfo`);
    const { metainfo, pieceLayer } = openSignedMetainfo(body);
    expect([metainfo.imageId, metainfo.name]).toEqual([sparse, 'debian 12']);
    // A small layer travels with it.
    expect(pieceLayer?.zeroCount).toBe(62);
    expect(headers['cache-control']).toContain('immutable');
  });

  test('serves a .torrent with the piece layer', async () => {
    const { body } = await raw(`/v1/images/${sparse}/torrent`);
    expect(parseTorrent(body).pieceLayer?.zeroCount).toBe(62);
  });

  test('serves the piece layer in the coding the caller takes', async () => {
    const path = `/v1/images/${sparse}/piece-layer`;
    const plain = await raw(path);
    const { metainfo } = openSignedMetainfo((await raw(`/v1/images/${sparse}/metainfo`)).body);
    expect(makePieceLayer(metainfo, new Uint8Array(plain.body)).pieceCount).toBe(64);
    expect(plain.headers['content-encoding']).toBeUndefined();
    const cases: [string, string | undefined, (body: Buffer) => Buffer][] = [
      ['gzip, zstd', 'zstd', zstdDecompressSync],
      ['gzip', 'gzip', gunzipSync],
      ['GZIP;q=0.5, br', 'gzip', gunzipSync],
      ['zstd;q=0, gzip;q=0.0', undefined, (body) => body],
      ['*, br', undefined, (body) => body],
    ];
    for (const [accept, coding, decode] of cases) {
      const { headers, body } = await raw(path, { 'accept-encoding': accept });
      expect([accept, headers['content-encoding'], headers.vary]).toEqual([
        accept,
        coding,
        'accept-encoding',
      ]);
      expect(decode(body).equals(plain.body)).toBe(true);
      expect(body.length < plain.body.length).toBe(coding !== undefined);
      const again = { 'accept-encoding': accept, 'if-none-match': `W/"x", ${headers.etag}` };
      const known = await raw(path, again);
      expect([known.status, known.body.length, known.headers.etag]).toEqual([304, 0, headers.etag]);
    }
  });

  test('keeps no coded layer that would not be smaller', async () => {
    const { headers, body } = await raw(`/v1/images/${small}/piece-layer`, {
      'accept-encoding': 'zstd, gzip',
    });
    expect([headers['content-encoding'], body.length]).toEqual([undefined, 32]);
  });

  test('lists neither swarms nor nodes while no agent is there', async () => {
    expect(await fixture.json('/v1/swarms')).toEqual({ swarms: [] });
    expect(await fixture.json('/v1/nodes')).toEqual({ nodes: [] });
  });
});

describe('hostile requests', () => {
  const authorization = () => `Authorization: Bearer ${fixture.tracker.adminToken}`;
  const head = (...lines: string[]) =>
    `${['POST /v1/images HTTP/1.1', 'Host: x', ...lines].join('\r\n')}\r\n\r\n`;

  test('refuses a body that is declared or turns out too long', async () => {
    const json = 'Content-Type: application/json';
    const declared = await rawBytes(head(authorization(), json, 'Content-Length: 99999999999'));
    expect(declared).toContain('413 ');
    const chunk = `8000\r\n${' '.repeat(0x8000)}\r\n`;
    const chunked = await rawBytes(
      head(authorization(), json, 'Transfer-Encoding: chunked') + chunk + chunk,
    );
    expect(chunked).toContain('413 ');
  });

  test('refuses a length and chunks at once, two lengths, and a missing Host', async () => {
    for (const lines of [
      ['Content-Length: 3', 'Transfer-Encoding: chunked'],
      ['Content-Length: 3', 'Content-Length: 4'],
      ['Content-Length: -1'],
    ]) {
      expect(await rawBytes(`${head(...lines)}abc`)).toMatch(/^HTTP\/1.1 400 /);
    }
    expect(await rawBytes('GET /healthz HTTP/1.1\r\n\r\n')).toMatch(/^HTTP\/1.1 400 /);
  });

  test('refuses headers and paths beyond 16 KiB', async () => {
    expect(await rawBytes(head(`X: ${'x'.repeat(20_000)}`))).toMatch(/^(HTTP\/1.1 431 |$)/);
    expect(await rawBytes(`GET /${'x'.repeat(65_536)} HTTP/1.1\r\nHost: x\r\n\r\n`)).toMatch(
      /^(HTTP\/1.1 431 |$)/,
    );
  });

  test('tells nothing of its inside', async () => {
    for (const path of ['/nothing', '/v1/images/nothing', '/v1/images/%ff']) {
      const text = (await raw(path)).body.toString();
      expect(text).not.toMatch(/node:|\.ts\b| at .*:\d+/);
      expect(text).not.toContain(fixture.path);
    }
  });
});

test('keeps its secrets from everybody else', () => {
  for (const name of ['publisher.key', 'admin.token']) {
    expect(statSync(join(fixture.dataDir, name)).mode & 0o777).toBe(0o600);
  }
  expect(statSync(fixture.dataDir).mode & 0o777).toBe(0o700);
});
