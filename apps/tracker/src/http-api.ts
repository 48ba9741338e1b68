/**
 * The tracker's HTTP API (api.ts): one table says every route, its method and who may use it; what is not in the table is
 * refused. Routes that change anything want the admin token; reading is open to whoever reaches the port, but for images that
 * Glance keeps from him.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { OperatorError } from '@bootswarm/stdx';
import type { Logger } from 'pino';
import type { ImageSummary, TrackerHealth } from './api.ts';
import { bootOrderSummary } from './boot-order-summary.ts';
import { type Catalogue, notFound } from './catalogue.ts';
import type { GlanceLink } from './glance/glance-link.ts';
import { isRestricted } from './glance/visibility.ts';
import { sendImageFile } from './image-download.ts';
import type { OriginProcess } from './origin-process.ts';
import { problemOf, sendProblem } from './problem.ts';
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
  readonly glance: Pick<GlanceLink, 'visibility' | 'status'>;
  readonly log: Logger;
  openAtOrigin(image: string): Promise<void>;
  withdraw(image: string): Promise<void>;
  /** Not there while the tracker starts; the port opens only after that. */
  signals(): SignalServer;
  origin(): OriginProcess | undefined;
}

interface Call {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** The part of the path that the route's `*` stands for. */
  readonly key: string;
}

interface Route {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
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
  readonly #routes: readonly Route[];
  readonly #calls = new Set<Promise<void>>();

  constructor(options: HttpApiOptions) {
    this.#options = options;
    this.#tokenDigest = digestOf(options.adminToken);
    this.#routes = this.#table();
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

  /** Every route, for the test that goes through them all. */
  get routes(): readonly Pick<Route, 'method' | 'path' | 'access'>[] {
    return this.#routes;
  }

  /** Cuts everybody off and waits until what they asked for has been given up. WebSockets are closed by their owner. */
  async close(): Promise<void> {
    const closed = once(this.server, 'close');
    this.server.close();
    this.server.closeAllConnections();
    await closed;
    await Promise.all(this.#calls);
  }

  #table(): Route[] {
    const open = (path: string, handle: Route['handle']): Route => ({
      method: 'GET',
      path,
      access: 'open',
      handle,
    });
    return [
      open('/healthz', ({ response }) => sendJson(response, this.#health())),
      open('/v1/images', async ({ request, response }) => {
        sendJson(response, { images: await this.#shownTo(request) });
      }),
      open('/v1/images/*', async (call) => {
        sendJson(call.response, (await this.#find(call)).image);
      }),
      open('/v1/images/*/boot-order', (call) => this.#bootOrder(call)),
      open('/v1/images/*/metainfo', (call) => this.#download(call, 'metainfo')),
      open('/v1/images/*/torrent', (call) => this.#download(call, 'torrent')),
      open('/v1/images/*/piece-layer', (call) => this.#download(call, 'piece-layer')),
      open('/v1/swarms', (call) => this.#swarms(call)),
      open('/v1/nodes', (call) => this.#nodes(call)),
      {
        method: 'GET',
        path: '/v1/glance',
        access: 'admin',
        handle: ({ response }) => this.#glance(response),
      },
      {
        method: 'POST',
        path: '/v1/images',
        access: 'admin',
        handle: ({ request, response }) =>
          publishStream(request, response, this.#options.publisher, {
            log: this.#options.log,
            openAtOrigin: (image) => this.#options.openAtOrigin(image),
          }),
      },
      {
        method: 'DELETE',
        path: '/v1/images/*',
        access: 'admin',
        handle: ({ response, key }) => this.#withdraw(response, key),
      },
    ];
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const { route, key } = this.#routeOf(request);
      if (route.access === 'admin') this.#authorize(request);
      await route.handle({ request, response, key });
    } catch (error) {
      const problem = problemOf(error);
      if (problem.status >= 500)
        this.#options.log.error({ err: error, url: request.url }, 'failed');
      if (response.headersSent) response.destroy();
      else sendProblem(response, problem);
    }
  }

  #routeOf(request: IncomingMessage): { route: Route; key: string } {
    const [path, query] = (request.url ?? '').split('?', 2);
    const segments = path.split('/');
    const matching = this.#routes.filter((route) => matches(route.path.split('/'), segments));
    if (matching.length === 0) {
      throw new OperatorError(
        'route-not-found',
        'There is nothing at this path',
        'The routes are /healthz, /v1/images, /v1/swarms, /v1/nodes.',
      );
    }
    const method = request.method === 'HEAD' ? 'GET' : request.method;
    const route = matching.find((each) => each.method === method);
    if (route === undefined) {
      const allowed = matching.map((each) => each.method).join(', ');
      throw new OperatorError(
        'method-not-allowed',
        `This path has no ${request.method}`,
        `It has ${allowed}.`,
      );
    }
    if (query !== undefined) {
      throw new OperatorError(
        'query-unexpected',
        'No route takes a query',
        'Leave out what follows "?".',
      );
    }
    const wildcard = route.path.split('/').indexOf('*');
    return { route, key: wildcard === -1 ? '' : decodeSegment(segments[wildcard]) };
  }

  /** Throws OperatorError `token-missing` or `token-wrong`. */
  #authorize(request: IncomingMessage): void {
    const token = bearerOf(request);
    const hint = `Send "Authorization: Bearer TOKEN" with the token in admin.token of the data directory.`;
    if (token === undefined)
      throw new OperatorError('token-missing', 'This needs the admin token', hint);
    if (!this.#isAdmin(token)) {
      throw new OperatorError('token-wrong', 'This is not the admin token', hint);
    }
  }

  #isAdmin(token: string | undefined): boolean {
    // Digests, because timingSafeEqual() wants equal lengths and must not tell ours.
    return token !== undefined && timingSafeEqual(digestOf(token), this.#tokenDigest);
  }

  /** The images that the caller may know of. */
  #shownTo(request: IncomingMessage): Promise<ImageSummary[]> | ImageSummary[] {
    const { catalogue, glance } = this.#options;
    if (this.#isAdmin(bearerOf(request))) return catalogue.list();
    return glance.visibility.shownTo(keystoneTokenOf(request), catalogue.list());
  }

  /**
   * Finds what catalogue.find() finds. Of an image that is not for everybody the whole id is as good as a right: it is all that
   * the swarm asks for. By its name or a part of its id it is there for those only whom Glance shows it.
   */
  async #find({ request, key }: Call): Promise<ReturnType<Catalogue['find']>> {
    const { catalogue, glance } = this.#options;
    const found = catalogue.find(key);
    if (found.image.id === key || this.#isAdmin(bearerOf(request))) return found;
    if (await glance.visibility.isShownTo(keystoneTokenOf(request), found.image)) return found;
    throw notFound(key);
  }

  /** Whether lists that go to everybody, or to an administrator, may have the image. */
  #isListedTo(request: IncomingMessage): (image: string) => boolean {
    const { catalogue } = this.#options;
    if (this.#isAdmin(bearerOf(request))) return () => true;
    return (image) => catalogue.has(image) && !isRestricted(catalogue.find(image).image.glance);
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

  async #bootOrder(call: Call): Promise<void> {
    const { image } = await this.#find(call);
    const stats = this.#options.signals().bootOrderStats(image.id);
    sendJson(call.response, bootOrderSummary(image, stats));
  }

  async #swarms({ request, response }: Call): Promise<void> {
    const { catalogue, signals, origin } = this.#options;
    const isListed = this.#isListedTo(request);
    const stats = await origin()?.stats();
    const swarms = signals()
      .swarms()
      .filter(({ image }) => isListed(image));
    sendJson(response, { swarms: swarmSummaries(swarms, catalogue, stats) });
  }

  #nodes({ request, response }: Call): void {
    const isListed = this.#isListedTo(request);
    const nodes = nodeSummaries(this.#options.signals().nodes());
    const shown = nodes.map((node) => ({ ...node, images: node.images.filter(isListed) }));
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

  async #download(call: Call, what: 'metainfo' | 'torrent' | 'piece-layer'): Promise<void> {
    const { directory } = await this.#find(call);
    await sendImageFile(call.request, call.response, directory, what);
  }

  async #withdraw(response: ServerResponse, key: string): Promise<void> {
    await this.#options.withdraw(this.#options.catalogue.find(key).image.id);
    response.writeHead(204).end();
  }
}

function matches(pattern: readonly string[], segments: readonly string[]): boolean {
  return (
    pattern.length === segments.length &&
    pattern.every(
      (part, index) => part === segments[index] || (part === '*' && segments[index] !== ''),
    )
  );
}

function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new OperatorError(
      'path-malformed',
      'The path is not valid',
      'Percent-encode it as UTF-8.',
    );
  }
}

function bearerOf({ headers }: IncomingMessage): string | undefined {
  return /^Bearer ([A-Za-z0-9_.~+/=-]+)$/i.exec(headers.authorization ?? '')?.[1];
}

/** Of the caller's project: what he would send to Glance himself. */
function keystoneTokenOf({ headers }: IncomingMessage): string | undefined {
  const token = headers['x-auth-token'];
  return typeof token === 'string' && /^[\x21-\x7e]+$/.test(token) ? token : undefined;
}

function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

function sendJson(response: ServerResponse, value: object): void {
  const body = `${JSON.stringify(value)}\n`;
  response.writeHead(200, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
  });
  response.end(body);
}
