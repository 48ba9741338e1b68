import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { type Endpoint, HttpClient } from '../src/http-client.ts';
import { type FakeDaemon, fakeDaemon, json } from './fake-daemon.ts';

const cleanups: (() => void | Promise<void>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

async function daemon(...args: Parameters<typeof fakeDaemon>): Promise<FakeDaemon> {
  const started = await fakeDaemon(...args);
  cleanups.push(() => started.close());
  return started;
}

function client(endpoint: Endpoint): HttpClient {
  return new HttpClient({ name: 'tracker', endpoint, startHint: 'start it' });
}

async function collect<T>(values: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const value of values) all.push(value);
  return all;
}

test('asks over TCP and over a unix socket alike', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'bootswarm-http-'));
  cleanups.push(() => rmSync(dir, { recursive: true }));
  for (const socketPath of [undefined, join(dir, 'agent.sock')]) {
    const { endpoint, requests } = await daemon(
      ({ url }, to) => json(to, 200, { url }),
      socketPath,
    );
    expect(await client(endpoint).get('/v1/a%2Fb')).toEqual({ url: '/v1/a%2Fb' });
    await client(endpoint).post('/v1/vms', { name: 'ü' });
    expect(requests[1]).toMatchObject({ method: 'POST', url: '/v1/vms', body: '{"name":"ü"}' });
  }
});

test('sends the token as a bearer', async () => {
  const { endpoint, requests } = await daemon((_, to) => to.writeHead(204).end());
  await client(endpoint).delete('/v1/images/x', 'secret');
  expect(requests[0]).toMatchObject({ method: 'DELETE', authorization: 'Bearer secret' });
});

test('yields lines however the answer is cut', async () => {
  const events = [{ a: 1 }, { b: 'ü€😀' }, { c: [true] }];
  const bytes = Buffer.from(events.map((event) => JSON.stringify(event)).join('\n\n'));
  const { endpoint } = await daemon(({ body }, to) => {
    const at = JSON.parse(body) as number;
    // Two writes in two turns of the event loop, so that the client sees two chunks.
    to.write(bytes.subarray(0, at), () => setImmediate(() => to.end(bytes.subarray(at))));
  });
  for (let at = 1; at < bytes.length; at += 1) {
    expect(await collect(client(endpoint).postForLines('/', at))).toEqual(events);
  }
});

test('throws what a Problem says', async () => {
  const problem = {
    title: 't',
    status: 404,
    code: 'image-not-found',
    detail: 'no x',
    hint: 'do y',
  };
  const { endpoint } = await daemon((_, to) => json(to, 404, problem));
  await expect(client(endpoint).get('/')).rejects.toMatchObject({
    name: 'OperatorError',
    code: 'image-not-found',
    message: 'no x',
    hint: 'do y',
  });
  await expect(collect(client(endpoint).postForLines('/', {}))).rejects.toThrow('no x');
});

test.each([
  ['an error that is no Problem', 500, 'oops'],
  ['a Problem without a hint', 404, '{"code":"x","title":"x","detail":"x"}'],
  ['an error that is null', 404, 'null'],
  ['a redirect', 302, ''],
  ['a page', 200, '<html>'],
  ['nothing', 200, ''],
])('says that it does not understand %s', async (_, status, text) => {
  const { endpoint } = await daemon((_request, to) => to.writeHead(status).end(text));
  await expect(client(endpoint).get('/')).rejects.toMatchObject({ code: 'unexpected-answer' });
});

test('says who is not there and how to start it', async () => {
  const { endpoint, close } = await fakeDaemon((_, to) => to.end());
  await close();
  const where = endpoint.type === 'tcp' ? endpoint.url.origin : '';
  await expect(client(endpoint).get('/')).rejects.toMatchObject({
    code: 'tracker-unreachable',
    message: `cannot reach the tracker at ${where}: nobody listens there (ECONNREFUSED)`,
    hint: 'start it',
  });
  await expect(client({ type: 'unix', path: '/nonexistent/a.sock' }).get('/')).rejects.toThrow(
    'cannot reach the tracker at /nonexistent/a.sock: there is no such socket (ENOENT)',
  );
});

test('says that an answer was broken off', async () => {
  const { endpoint } = await daemon((_, to) => {
    to.writeHead(200, { 'content-length': 100 });
    to.write('{"a":', () => to.destroy());
  });
  await expect(client(endpoint).get('/')).rejects.toMatchObject({ code: 'tracker-hung-up' });
  await expect(collect(client(endpoint).postForLines('/', {}))).rejects.toMatchObject({
    code: 'tracker-hung-up',
  });
});

test('gives up on a line without end', async () => {
  const { endpoint } = await daemon((_, to) => to.end('x'.repeat(2 ** 20 + 70_000)));
  await expect(collect(client(endpoint).postForLines('/', {}))).rejects.toMatchObject({
    code: 'unexpected-answer',
  });
});
