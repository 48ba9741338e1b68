/** An HTTP server that answers as a test tells it, on TCP or a unix socket, and remembers what it was asked. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Endpoint } from '../src/http-client.ts';

export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly authorization: string | undefined;
  readonly body: string;
}

export interface FakeDaemon {
  readonly endpoint: Endpoint;
  readonly requests: readonly SeenRequest[];
  close(): Promise<void>;
}

type Answer = (seen: SeenRequest, response: ServerResponse) => void;

export async function fakeDaemon(answer: Answer, socketPath?: string): Promise<FakeDaemon> {
  const requests: SeenRequest[] = [];
  const server = createServer((request, response) => {
    void readBody(request).then((body) => {
      const { method = '', url = '', headers } = request;
      const seen = { method, url, authorization: headers.authorization, body };
      requests.push(seen);
      answer(seen, response);
    });
  });
  if (socketPath === undefined) server.listen(0, '127.0.0.1');
  else server.listen(socketPath);
  await once(server, 'listening');
  const endpoint: Endpoint =
    socketPath === undefined
      ? { type: 'tcp', url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`) }
      : { type: 'unix', path: socketPath };
  const close = async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  };
  return { endpoint, requests, close };
}

export function json(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

async function readBody(request: IncomingMessage): Promise<string> {
  let body = '';
  for await (const chunk of request.setEncoding('utf8')) body += chunk;
  return body;
}
