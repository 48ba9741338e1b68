import { once } from 'node:events';
import { createServer, get, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { EventStream } from '../src/index.ts';

let server: Server;
let stream: EventStream;
let refused: unknown[];

beforeEach(async () => {
  refused = [];
  stream = new EventStream({ listenersMax: 2, bufferedBytesMax: 1_000, missedMax: 2 });
  server = createServer((_, response) => {
    try {
      stream.add(response, 'tick', { n: 0 });
    } catch (error) {
      refused.push(error);
      response.writeHead(503).end();
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});

afterEach(async () => {
  stream.close();
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
});

async function listen(): Promise<IncomingMessage> {
  const { port } = server.address() as AddressInfo;
  const [response] = await once(get({ port, agent: false }), 'response');
  return response;
}

test('sends what is there at once, and then each event, to all who listen', async () => {
  const all = await Promise.all([listen(), listen()]);
  stream.send('tick', { n: 1 });
  stream.close();
  for (const response of all) {
    expect(response.headers['content-type']).toBe('text/event-stream');
    let text = '';
    for await (const chunk of response.setEncoding('utf8')) text += chunk;
    expect(text).toBe('event: tick\ndata: {"n":0}\n\nevent: tick\ndata: {"n":1}\n\n');
  }
});

test('lets no more listen than it may, until one has gone', async () => {
  const [first] = await Promise.all([listen(), listen()]);
  expect((await listen()).statusCode).toBe(503);
  expect(refused).toMatchObject([{ code: 'too-many-streams' }]);
  const gone = new Promise((resolve) => server.once('request', resolve));
  first.destroy();
  while (stream.size === 2) await new Promise(setImmediate);
  expect((await listen()).statusCode).toBe(200);
  await gone;
});

test('holds no more for a listener that does not read than its limit and one event, and cuts it off', async () => {
  const response = await listen();
  response.on('error', () => {});
  response.pause();
  const data = { text: 'x'.repeat(1024 * 1024) };
  // The kernel takes the first few.
  for (let sent = 0; sent < 64 && stream.size > 0; sent += 1) {
    stream.send('tick', data);
    await new Promise(setImmediate);
  }
  expect(stream.size).toBe(0);
});
