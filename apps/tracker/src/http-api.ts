/**
 * The tracker's HTTP API (api.ts): one table says every route, its method and who may use it; what is not in the table is
 * refused, and api-description.ts says of each what the OpenAPI document has. Routes that change anything want the admin token;
 * reading is open to whoever reaches the port, as the images are public to the cloud's nodes and metainfo is signed.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import {
  EVENT_STREAM_TYPE,
  type Found,
  type MetricFamily,
  openApiDocument,
  ProcessMetrics,
  type RouteName,
  RouteTable,
  sendMetrics,
  sendProblem,
} from '@bootswarm/rest';
import { OperatorError } from '@bootswarm/stdx';
import type { Logger } from 'pino';
import type { TrackerHealth } from './api.ts';
import { API } from './api-description.ts';
import { bootOrderSummary } from './boot-order-summary.ts';
import type { Catalogue } from './catalogue.ts';
import { sendImageFile } from './image-download.ts';
import type { OriginProcess } from './origin-process.ts';
import type { CloudWatch } from './overview/cloud-watch.ts';
import { TrackerMetrics } from './overview/tracker-metrics.ts';
import { WebPage } from './page/web-page.ts';
import type { PrefetchDesk } from './prefetch-desk.ts';
import { nodeImages, prefetchRoutes } from './prefetch-routes.ts';
import { problemOf } from './problem.ts';
import { publishStream } from './publish-stream.ts';
import type { Publisher } from './publisher.ts';
import type { SignalServer } from './signal-server.ts';
import { nodeSummaries, swarmSummaries } from './swarm-summary.ts';
import { VERSION } from './version.ts';

export interface HttpApiOptions {
  readonly dataDir: string;
  readonly adminToken: string;
  /** Hex of the key that signs metainfo. */
  readonly publisherKey: string;
  readonly catalogue: Catalogue;
  readonly publisher: Publisher;
  readonly log: Logger;
  /** Where the web page was built to; default: where its build puts it. */
  readonly pageDir?: string;
  /** Not there while the tracker starts; the port opens only after that. */
  signals(): SignalServer;
  prefetches(): PrefetchDesk;
  origin(): OriginProcess | undefined;
  watch(): CloudWatch;
}

export interface Call {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** What stands where the route's path has braces. */
  readonly key: string;
}

export interface Route extends RouteName {
  readonly access: 'open' | 'admin';
  handle(call: Call): void | Promise<void>;
}

/** Request line and headers. */
const HEADER_BYTES_MAX = 16 * 1024;
const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 30_000;
/** Without a byte in either direction. A WebSocket and a publish have their own rules. */
const IDLE_TIMEOUT_MS = 120_000;
/** 10,000 agents on WebSockets and as many again that fetch metainfo. */
const CONNECTIONS_MAX = 20_000;

export class HttpApi {
  readonly server: Server;
  readonly #options: HttpApiOptions;
  readonly #startedAt = performance.now();
  readonly #tokenDigest: Buffer;
  readonly #table: RouteTable<Route>;
  readonly #calls = new Set<Promise<void>>();
  /** Told to callers, by code. */
  readonly #problems = new Map<string, number>();
  readonly #process = new ProcessMetrics();
  readonly #metrics: TrackerMetrics;
  readonly #page: WebPage;

  constructor(options: HttpApiOptions) {
    this.#options = options;
    this.#tokenDigest = digestOf(options.adminToken);
    this.#metrics = new TrackerMetrics({
      catalogue: options.catalogue,
      process: this.#process,
      problems: this.#problems,
      signals: () => options.signals(),
      watch: () => options.watch(),
      originStats: async () => options.origin()?.stats(),
    });
    this.#page = new WebPage(options.pageDir);
    this.#table = new RouteTable(this.#routes());
    this.server = createServer(
      {
        maxHeaderSize: HEADER_BYTES_MAX,
        headersTimeout: HEADERS_TIMEOUT_MS,
        requestTimeout: REQUEST_TIMEOUT_MS,
        requireHostHeader: true,
      },
      (request, response) => {
        const call = this.#serve(request, response);
        this.#calls.add(call);
        void call.finally(() => this.#calls.delete(call));
      },
    );
    this.server.maxConnections = CONNECTIONS_MAX;
    this.server.setTimeout(IDLE_TIMEOUT_MS);
  }

  /** What /metrics tells, for the test that compares it with what is documented. */
  get metricFamilies(): readonly MetricFamily[] {
    return this.#metrics.families;
  }

  /** Every route, for the test that goes through them all. */
  get routes(): readonly Pick<Route, 'method' | 'path' | 'access'>[] {
    return this.#table.routes;
  }

  /** Cuts everybody off and waits until what they asked for has been given up. WebSockets are closed by their owner. */
  async close(): Promise<void> {
    this.#process.close();
    const closed = once(this.server, 'close');
    this.server.close();
    this.server.closeAllConnections();
    await closed;
    await Promise.all(this.#calls);
  }

  #routes(): Route[] {
    const { catalogue } = this.#options;
    const open = (path: string, handle: Route['handle']): Route => ({
      method: 'GET',
      path,
      access: 'open',
      handle,
    });
    return [
      open('/', ({ request, response }) => this.#page.sendIndex(request, response)),
      open('/ui/{file}', ({ request, response, key }) =>
        this.#page.sendFile(request, response, key),
      ),
      open('/healthz', ({ response }) => sendJson(response, this.#health())),
      open('/metrics', async ({ response }) => sendMetrics(response, await this.#metrics.read())),
      open('/v1/openapi.json', ({ response }) =>
        sendJson(response, openApiDocument(this.routes, API)),
      ),
      open('/v1/images', ({ response }) => sendJson(response, { images: catalogue.list() })),
      open('/v1/images/{image}', ({ response, key }) =>
        sendJson(response, catalogue.find(key).image),
      ),
      open('/v1/images/{image}/boot-order', ({ response, key }) => this.#bootOrder(response, key)),
      open('/v1/images/{image}/metainfo', (call) => this.#download(call, 'metainfo')),
      open('/v1/images/{image}/torrent', (call) => this.#download(call, 'torrent')),
      open('/v1/images/{image}/piece-layer', (call) => this.#download(call, 'piece-layer')),
      open('/v1/swarms', ({ response }) => this.#swarms(response)),
      open('/v1/overview', ({ response }) => sendJson(response, this.#options.watch().overview())),
      open('/v1/overview/stream', (call) => this.#stream(call)),
      open('/v1/alarms', ({ response }) =>
        sendJson(response, { alarms: this.#options.watch().alarms() }),
      ),
      open('/v1/nodes', ({ response }) =>
        sendJson(response, { nodes: nodeSummaries(this.#options.signals().nodes()) }),
      ),
      open('/v1/nodes/{node}/images', ({ response, key }) =>
        sendJson(response, nodeImages(key, this.#options)),
      ),
      ...prefetchRoutes(this.#options, sendJson),
      {
        method: 'POST',
        path: '/v1/images',
        access: 'admin',
        handle: ({ request, response }) =>
          publishStream(request, response, this.#options.publisher, {
            log: this.#options.log,
            openAtOrigin: async (image) => {
              await this.#options.origin()?.open(image);
              this.#options.signals().imageSeeded(image);
            },
          }),
      },
      {
        method: 'DELETE',
        path: '/v1/images/{image}',
        access: 'admin',
        handle: ({ response, key }) => this.#withdraw(response, key),
      },
    ];
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const { route, key } = this.#find(request);
      if (route.access === 'admin') this.#authorize(request);
      await route.handle({ request, response, key });
    } catch (error) {
      const problem = problemOf(error);
      this.#problems.set(problem.code, (this.#problems.get(problem.code) ?? 0) + 1);
      if (problem.status >= 500)
        this.#options.log.error({ err: error, url: request.url }, 'failed');
      if (response.headersSent) response.destroy();
      else sendProblem(response, problem);
    }
  }

  #find(request: IncomingMessage): Found<Route> {
    const [path, query] = (request.url ?? '').split('?', 2);
    const found = this.#table.find(request.method, path);
    if (query === undefined) return found;
    throw new OperatorError(
      'query-unexpected',
      'No route takes a query',
      'Leave out what follows "?".',
    );
  }

  #authorize(request: IncomingMessage): void {
    const [, token] =
      /^Bearer ([A-Za-z0-9_.~+/=-]+)$/i.exec(request.headers.authorization ?? '') ?? [];
    const hint = `Send "Authorization: Bearer TOKEN" with the token in admin.token of the data directory.`;
    if (token === undefined)
      throw new OperatorError('token-missing', 'This needs the admin token', hint);
    // Digests, because timingSafeEqual() wants equal lengths and must not tell ours.
    if (!timingSafeEqual(digestOf(token), this.#tokenDigest)) {
      throw new OperatorError('token-wrong', 'This is not the admin token', hint);
    }
  }

  #health(): TrackerHealth {
    const { dataDir, publisherKey, catalogue, signals, origin } = this.#options;
    const address = origin()?.address;
    return {
      status: 'ok',
      version: VERSION,
      uptimeSeconds: (performance.now() - this.#startedAt) / 1_000,
      dataDir,
      publisherKey,
      ...(address !== undefined && { origin: address }),
      agents: signals().agentCount,
      images: catalogue.size,
    };
  }

  #stream({ request, response }: Call): void {
    const watch = this.#options.watch();
    if (request.method === 'HEAD') {
      response.writeHead(200, { 'content-type': EVENT_STREAM_TYPE }).end();
      return;
    }
    // Events are what keeps it from being idle.
    request.socket.setTimeout(0);
    watch.stream.add(response, 'overview', watch.overview());
  }

  #bootOrder(response: ServerResponse, key: string): void {
    const { image } = this.#options.catalogue.find(key);
    const stats = this.#options.signals().bootOrderStats(image.id);
    sendJson(response, bootOrderSummary(image, stats));
  }

  async #swarms(response: ServerResponse): Promise<void> {
    const { catalogue, signals, origin } = this.#options;
    const stats = await origin()?.stats();
    sendJson(response, { swarms: swarmSummaries(signals().swarms(), catalogue, stats) });
  }

  #download(
    { request, response, key }: Call,
    what: 'metainfo' | 'torrent' | 'piece-layer',
  ): Promise<void> {
    return sendImageFile(request, response, this.#options.catalogue.find(key).directory, what);
  }

  async #withdraw(response: ServerResponse, key: string): Promise<void> {
    const { catalogue, signals, origin } = this.#options;
    const { id } = catalogue.find(key).image;
    await catalogue.withdraw(id);
    signals().imageWithdrawn(id);
    this.#options.prefetches().imageWithdrawn(id);
    await origin()?.withdraw(id);
    response.writeHead(204).end();
  }
}

function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

function sendJson(response: ServerResponse, value: object, status = 200): void {
  const body = `${JSON.stringify(value)}\n`;
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
  });
  response.end(body);
}
