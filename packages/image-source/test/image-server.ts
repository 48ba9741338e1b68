/** A web server on 127.0.0.1 whose answers a test writes itself, and the honest answers that most of them begin from. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Handler = (request: IncomingMessage, response: ServerResponse) => void;

export class ImageServer {
  readonly url: URL;
  /** The Range header of each request, '' where there was none, in order of arrival. */
  readonly ranges: string[] = [];
  readonly #server;

  private constructor(server: ReturnType<typeof createServer>, path: string) {
    this.#server = server;
    this.url = new URL(path, `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  }

  static async start(handler: Handler, path = '/disk.img'): Promise<ImageServer> {
    const server = createServer((request, response) => {
      self.ranges.push(request.headers.range ?? '');
      handler(request, response);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const self = new ImageServer(server, path);
    return self;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

export function rangeOf(request: IncomingMessage): { start: number; end: number } | undefined {
  const match = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
  return match ? { start: Number(match[1]), end: Number(match[2]) + 1 } : undefined;
}

/** Answers as a server that serves ranges. */
export function serveRanges(image: Buffer, headers: Record<string, string> = {}): Handler {
  return (request, response) => {
    const range = rangeOf(request);
    if (range === undefined) {
      response.writeHead(200, { ...headers, 'content-length': image.length }).end(image);
      return;
    }
    const body = image.subarray(range.start, range.end);
    response
      .writeHead(206, {
        ...headers,
        'content-length': body.length,
        'content-range': `bytes ${range.start}-${range.start + body.length - 1}/${image.length}`,
      })
      .end(body);
  };
}

/** Answers as a server that does not. */
export function serveWhole(image: Buffer): Handler {
  return (_, response) => {
    response.writeHead(200, { 'content-length': image.length }).end(image);
  };
}
