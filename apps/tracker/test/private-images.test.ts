/** What the tracker tells of an image that Glance keeps private, by every route that reads, and to whom. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { choosePieceLength, createInfo, type Metainfo, PieceHasher } from '@bootswarm/metainfo';
import { encodeAgentMessage, SIGNALLING_VERSION } from '@bootswarm/tracker-proto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import type { PrefetchSummary, Problem } from '../src/api.ts';
import type { Overview } from '../src/overview-api.ts';
import { TrackerFixture } from './tracker-fixture.ts';

const PRIVATE = '0b1c2d3e-4f50-4a6b-8c7d-9e0f1a2b3c4d';
const PUBLIC = '1b1c2d3e-4f50-4a6b-8c7d-9e0f1a2b3c4d';
const BYTES: Readonly<Record<string, Buffer>> = {
  [PRIVATE]: Buffer.alloc(200_000, 1),
  [PUBLIC]: Buffer.alloc(200_000, 2),
};

/** A Glance that shows the private image to the tracker, which sends no token, and to whoever sends `owner`. */
const glance = createServer((request, response) => {
  const [, id, file] = /^\/v2\/images\/([^/]+)(\/file)?$/.exec(request.url ?? '') ?? [];
  const bytes = BYTES[id];
  const token = request.headers['x-auth-token'] ?? 'owner';
  if (bytes === undefined || (id === PRIVATE && token !== 'owner')) {
    return void response.writeHead(404, { 'content-type': 'application/json' }).end('{}');
  }
  if (file !== undefined) return void response.end(bytes);
  response.writeHead(200, { 'content-type': 'application/json' });
  const visibility = id === PRIVATE ? 'private' : 'public';
  const hash = createHash('sha512').update(bytes).digest('hex');
  const stored = { size: bytes.length, os_hash_algo: 'sha512', os_hash_value: hash };
  const formats = { disk_format: 'raw', container_format: 'bare' };
  const described = { id, name: 'debian-12', status: 'active', visibility };
  response.end(JSON.stringify({ ...described, ...stored, ...formats }));
});

let fixture: TrackerFixture;
let agent: WebSocket;
let hidden: string;
let shown: string;
let order: string;

const admin = () => ({ authorization: `Bearer ${fixture.tracker.adminToken}` });

beforeAll(async () => {
  glance.listen(0, '127.0.0.1');
  await once(glance, 'listening');
  const url = new URL(`http://127.0.0.1:${(glance.address() as AddressInfo).port}`);
  fixture = await new TrackerFixture().start({
    glance: { url, selection: 'none', pollMs: 60_000 },
  });
  hidden = await fixture.published({ source: `glance:${PRIVATE}` });
  shown = await fixture.published({ source: `glance:${PUBLIC}` });
  agent = new WebSocket(`${fixture.tracker.url.replace('http', 'ws')}/v1/signal`);
  await once(agent, 'open');
  const address = { host: '10.0.0.9', port: 1 };
  const names = { node: 'n1', zone: 'z1', rack: 'r1' };
  agent.send(encodeAgentMessage({ type: 'hello', version: SIGNALLING_VERSION, ...names, address }));
  for (const image of [hidden, shown]) {
    agent.send(encodeAgentMessage({ type: 'join', image, piecesHad: 0 }));
  }
  const since = '2026-01-02T03:04:05.678Z';
  const alarms = [PRIVATE, PUBLIC].map((subject) => ({
    ...{ code: 'read-waiting' as const, subject, reason: `of ${subject} (${hidden})`, hint: 'h' },
    since,
  }));
  const report = {
    ...{ intervalMs: 1_000, vmsBooting: 0, vmsConnected: 0, readCache: 0, readPeers: 0 },
    ...{ readOrigin: 0, receivedPeers: 0, receivedOrigin: 0, cacheBytes: 0, cacheBytesMax: 0 },
    originReads: [hidden, shown].map((image) => ({ image, reason: 'tree-root', pieces: 8 })),
    alarms,
  };
  agent.send(encodeAgentMessage({ type: 'stats', report }));
  const answered = once(agent, 'pong');
  agent.ping();
  await answered;
  const ordered = await prefetch({ image: PRIVATE, nodes: ['n1'] });
  order = ((await ordered.json()) as PrefetchSummary).id;
});

afterAll(async () => {
  agent?.terminate();
  await fixture?.end();
  glance.closeAllConnections();
  glance.close();
});

function prefetch(body: object): Promise<Response> {
  const headers = { ...admin(), 'content-type': 'application/json' };
  return fixture.fetch('/v1/prefetches', { method: 'POST', headers, body: JSON.stringify(body) });
}

/** All of it; of a stream, the first event. */
async function textOf(path: string, headers: Record<string, string>): Promise<string> {
  const response = await fixture.fetch(path, { headers });
  const decoder = new TextDecoder();
  let text = '';
  for await (const part of response.body!) {
    text += decoder.decode(part, { stream: true });
    if (path.endsWith('/stream') && text.includes('\n\n')) break;
  }
  return text;
}

/** As the document has them, so that a route that is added is looked at. */
async function readingPaths(): Promise<string[]> {
  const { paths } = await fixture.json<{ paths: Record<string, object> }>('/v1/openapi.json');
  const keys = { image: hidden.slice(0, 30), node: 'n1', prefetch: order };
  return Object.keys(paths)
    .filter((path) => 'get' in paths[path])
    .map((path) => path.replace(/\{(.*)\}/, (_, key: keyof typeof keys) => keys[key]));
}

async function pathsThatTell(headers: Record<string, string>, what: string[]): Promise<string[]> {
  const telling: string[] = [];
  for (const path of await readingPaths()) {
    const text = await textOf(path, headers);
    // A problem repeats what was asked.
    if (what.some((each) => text.includes(each))) telling.push(path);
  }
  return telling;
}

/** What fixture.image(…, [3]) is when it is published under a name for which its id begins so; one of some 65,536. */
function imageBeginningWith(beginning: string): Metainfo {
  const length = 16_384;
  const shape = { length, pieceLength: choosePieceLength(length) };
  const hasher = new PieceHasher(shape);
  hasher.push(Buffer.alloc(length, 3));
  const { piecesRoot } = hasher.finish();
  for (let at = 0; ; at += 1) {
    const metainfo = createInfo({ name: `twin-${at}`, ...shape, piecesRoot });
    if (metainfo.imageId.startsWith(beginning)) return metainfo;
  }
}

const LISTS = [
  ...['/metrics', '/v1/images', '/v1/swarms', '/v1/overview', '/v1/overview/stream'],
  ...['/v1/alarms', '/v1/nodes', '/v1/nodes/n1/images'],
];

describe('an image that is private in Glance', () => {
  test.each<Record<string, string>>([
    {},
    { 'x-auth-token': 'stranger' },
    { authorization: 'Bearer wrong' },
  ])('is told of on no route to %o', async (headers) => {
    expect(await pathsThatTell(headers, [hidden, PRIVATE])).toEqual([]);
  });

  test('is not in the way of an image for everybody whose id begins as its own does', async () => {
    const beginning = hidden.slice(0, 4);
    const { name, imageId } = imageBeginningWith(beginning);
    expect(await fixture.published({ source: fixture.image('twin.raw', [3]), name })).toBe(imageId);
    const path = `/v1/images/${beginning}`;
    expect(JSON.parse(await textOf(path, {}))).toMatchObject({ id: imageId });
    for (const headers of [{ 'x-auth-token': 'owner' }, admin()]) {
      const { code, hint } = JSON.parse(await textOf(path, headers)) as Problem;
      expect([code, hint]).toEqual([
        'image-ambiguous',
        expect.stringContaining(hidden.slice(0, 12)),
      ]);
    }
    await fixture.withdraw(imageId);
  });

  test('is listed by name and by id to its project where Glance can be asked', async () => {
    const telling = await pathsThatTell({ 'x-auth-token': 'owner' }, [hidden]);
    expect(telling.toSorted()).toEqual(
      [
        ...['/v1/images', `/v1/images/${hidden.slice(0, 30)}`, '/v1/nodes/n1/images'],
        `/v1/images/${hidden.slice(0, 30)}/boot-order`,
      ].toSorted(),
    );
  });

  test('is told of to the administrator everywhere', async () => {
    const telling = await pathsThatTell(admin(), [hidden]);
    const orders = ['/v1/prefetches', `/v1/prefetches/${order}`];
    expect(telling).toEqual(expect.arrayContaining([...LISTS, ...orders]));
  });

  test('keeps none that is public from being told', async () => {
    expect(await pathsThatTell({}, [shown, PUBLIC])).toEqual(expect.arrayContaining(LISTS));
  });

  test('is not meant when somebody asks for what Glance calls it, and no other image is either', async () => {
    const path = '/v1/images/debian-12';
    const hintFor = async (headers: Record<string, string>) =>
      (JSON.parse(await textOf(path, headers)) as Problem).hint;
    expect(await hintFor({})).toBe(`Images of Glance go by their id there: ${PUBLIC}.`);
    expect(await hintFor(admin())).toContain(`: ${PRIVATE}, ${PUBLIC}.`);
  });

  test('has its alarms told without its name', async () => {
    const { alarms } = await fixture.json<Pick<Overview, 'alarms'>>('/v1/alarms');
    expect(alarms.map(({ subject, reason }) => [subject, reason])).toEqual([
      ['a private image', 'of a private image (a private image)'],
      [PUBLIC, `of ${PUBLIC} (a private image)`],
    ]);
  });

  test('has a prefetch order that others do not find', async () => {
    const path = `/v1/prefetches/${order}`;
    expect((await fixture.fetch(path)).status).toBe(404);
    expect((await fixture.fetch(path, { headers: admin() })).status).toBe(200);
  });

  test('is ordered on nodes that are named, since a part of the cloud is whoever says he is in it', async () => {
    const refused = await prefetch({ image: PRIVATE, percent: 100 });
    expect(((await refused.json()) as Problem).code).toBe('nodes-needed');
    expect((await prefetch({ image: PUBLIC, percent: 100 })).status).toBe(201);
  });

  test('is told of to nobody but the administrator once it is withdrawn', async () => {
    expect((await fixture.withdraw(hidden)).status).toBe(204);
    expect(await pathsThatTell({}, [hidden, PRIVATE])).toEqual([]);
    expect(await textOf('/v1/prefetches', admin())).toContain(hidden);
  });
});
