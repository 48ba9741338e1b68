/** A web server whose answers a test writes itself, by path; it keeps what it was asked. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Answer = (response: ServerResponse, request: IncomingMessage) => void;

export class HostileServer {
  readonly answers = new Map<string, Answer>();
  /** Method, URL and token of each request. */
  readonly asked: string[] = [];
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => {
      this.asked.push(`${request.method} ${request.url} ${request.headers['x-auth-token'] ?? '-'}`);
      const path = (request.url ?? '').split('?')[0];
      const answer = this.answers.get(path);
      if (answer === undefined) response.writeHead(404).end();
      else answer(response, request);
    });
  }

  static async start(): Promise<HostileServer> {
    const self = new HostileServer();
    self.#server.listen(0, '127.0.0.1');
    await once(self.#server, 'listening');
    return self;
  }

  get url(): URL {
    return new URL(`http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`);
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

export function json(value: unknown, status = 200, headers: Record<string, string> = {}): Answer {
  return (response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(JSON.stringify(value));
  };
}

/** Goes on for as long as anybody reads. */
export const endless: Answer = (response) => {
  response.writeHead(200, { 'content-type': 'application/json' });
  const more = () => response.write(Buffer.alloc(65_536, 0x20), more);
  more();
};

/** Says that more will come, and breaks off. */
export const brokenOff: Answer = (response) => {
  response.writeHead(200, { 'content-length': 1_000 });
  response.write('{"id"', () => response.destroy());
};

export const redirect: Answer = (response) => {
  response.writeHead(302, { location: 'http://127.0.0.1:1/elsewhere' }).end();
};

export const garbage: Answer = (response) => {
  response.writeHead(200).end('<html>Welcome</html>');
};
