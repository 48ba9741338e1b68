/**
 * A stand-in for a tracker with a cloud of any size: the built page, served as the tracker serves it, and overviews of our
 * choice. What a real tracker says is tested with a real tracker.
 */
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { EventStream } from '@bootswarm/rest';
import { type Overview, WebPage } from '@bootswarm/tracker';

export interface PageServer {
  readonly url: string;
  /** How many pages listen. */
  readonly listeners: number;
  /** To all that listen; who comes later is told `first()`. */
  send(event: Overview): void;
  close(): Promise<void>;
}

/** `prefetches` undefined: a tracker that has no such route. `directory`: where the page was built to, unless as ever. */
export async function servePage(
  first: () => Overview,
  prefetches?: () => readonly object[],
  directory?: string,
): Promise<PageServer> {
  const page = new WebPage(directory);
  const stream = new EventStream();
  const paths = prefetches === undefined ? {} : { '/v1/prefetches': {} };
  const server = createServer((request, response) => {
    const path = request.url ?? '';
    const file = /^\/ui\/(.*)$/.exec(path)?.[1];
    if (path === '/') void page.sendIndex(request, response);
    else if (file !== undefined) page.sendFile(request, response, file).catch(() => fail(response));
    else if (path === '/v1/overview/stream') stream.add(response, 'overview', first());
    else if (path === '/v1/openapi.json') sendJson(response, { paths });
    else if (path === '/v1/prefetches' && prefetches)
      sendJson(response, { prefetches: prefetches() });
    else fail(response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    get listeners() {
      return stream.size;
    },
    send: (event) => stream.send('overview', event),
    close: async () => {
      stream.close();
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

function sendJson(response: ServerResponse, value: object): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

function fail(response: ServerResponse): void {
  response.writeHead(404).end();
}
