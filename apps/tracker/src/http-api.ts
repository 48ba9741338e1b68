/**
 * The tracker's HTTP API (api.ts): one table says every route, its method and who may use it; what is not in the table is
 * refused, and api-description.ts says of each what the OpenAPI document has. Routes that change anything want the admin token;
 * reading is open to whoever reaches the port, but for images that Glance keeps from him (access.ts).
 */
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
  sendProblem,
} from '@bootswarm/rest';
import { OperatorError } from '@bootswarm/stdx';
import type { Logger } from 'pino';
import { Access } from './access.ts';
import type { TrackerHealth } from './api.ts';
import { API } from './api-description.ts';
import type { Catalogue } from './catalogue.ts';
import type { GlanceLink } from './glance/glance-link.ts';
import { imageRoutes } from './image-routes.ts';
import type { OriginProcess } from './origin-process.ts';
import type { CloudWatch } from './overview/cloud-watch.ts';
import { TrackerMetrics } from './overview/tracker-metrics.ts';
import { WebPage } from './page/web-page.ts';
import type { PrefetchDesk } from './prefetch-desk.ts';
import { nodeImages, prefetchRoutes } from './prefetch-routes.ts';
import { problemOf } from './problem.ts';
import type { Publisher } from './publisher.ts';
import { sendJson } from './send-json.ts';
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
  readonly glance: Pick<GlanceLink, 'visibility' | 'status'>;
  readonly log: Logger;
  /** Where the web page was built to; default: where its build puts it. */
  readonly pageDir?: string;
  openAtOrigin(image: string): Promise<void>;
  withdraw(image: string): Promise<void>;
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
  readonly #access: Access;
  readonly #table: RouteTable<Route>;
  readonly #calls = new Set<Promise<void>>();
  /** Told to callers, by code. */
  readonly #problems = new Map<string, number>();
  readonly #process = new ProcessMetrics();
  readonly #metrics: TrackerMetrics;
  readonly #page: WebPage;

  constructor(options: HttpApiOptions) {
    this.#options = options;
    const { adminToken, catalogue, glance } = options;
    this.#access = new Access(adminToken, catalogue, glance.visibility);
    this.#metrics = new TrackerMetrics({
      catalogue,
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
    const images = imageRoutes(this.#options, this.#access);
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
      open('/metrics', ({ request, response }) =>
        this.#metrics.send(response, this.#access.listed(request)),
      ),
      open('/v1/openapi.json', ({ response }) =>
        sendJson(response, openApiDocument(this.routes, API)),
      ),
      ...images.reading,
      open('/v1/swarms', (call) => this.#swarms(call)),
      open('/v1/overview', ({ request, response }) =>
        sendJson(response, this.#options.watch().overview(this.#access.listed(request))),
      ),
      open('/v1/overview/stream', (call) => this.#stream(call)),
      open('/v1/alarms', ({ request, response }) => {
        const listed = this.#access.listed(request);
        const alarms = this.#options.watch().alarms();
        sendJson(response, { alarms: alarms.map((alarm) => listed.alarm(alarm)) });
      }),
      open('/v1/nodes', (call) => this.#nodes(call)),
      open('/v1/nodes/{node}/images', async ({ request, response, key }) =>
        sendJson(response, await nodeImages(request, key, this.#options, this.#access)),
      ),
      {
        method: 'GET',
        path: '/v1/glance',
        access: 'admin',
        handle: ({ response }) => this.#glance(response),
      },
      ...prefetchRoutes(this.#options, this.#access),
      ...images.changing,
    ];
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const { route, key } = this.#find(request);
      if (route.access === 'admin') this.#access.authorize(request);
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
    watch.listen(response, this.#access.isAdmin(request));
  }

  async #swarms({ request, response }: Call): Promise<void> {
    const { catalogue, signals, origin } = this.#options;
    const listed = this.#access.listed(request);
    const stats = await origin()?.stats();
    const swarms = signals()
      .swarms()
      .filter(({ image }) => listed.has(image));
    sendJson(response, { swarms: swarmSummaries(swarms, catalogue, stats) });
  }

  #nodes({ request, response }: Call): void {
    const listed = this.#access.listed(request);
    const nodes = nodeSummaries(this.#options.signals().nodes());
    const shown = nodes.map((node) => ({
      ...node,
      images: node.images.filter((image) => listed.has(image)),
    }));
    sendJson(response, { nodes: shown });
  }

  #glance(response: ServerResponse): void {
    const status = this.#options.glance.status();
    if (status !== undefined) return sendJson(response, status);
    throw new OperatorError(
      'glance-unknown',
      'The tracker follows no Glance',
      'Start it with --glance-url URL or with credentials for OpenStack.',
    );
  }
}
