/** Sends a request on to Glance and its answer back, both as streams: neither side is read faster than the other takes it. */
import {
  Agent,
  type IncomingMessage,
  request as requestHttp,
  type ServerResponse,
} from 'node:http';
import { request as requestHttps, Agent as TlsAgent } from 'node:https';
import { pipeline } from 'node:stream';

/** Of one connection, and not of what travels on it (RFC 9110 §7.6.1). `host` is the next one's. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  ...['connection', 'keep-alive', 'proxy-connection', 'proxy-authenticate', 'proxy-authorization'],
  ...['te', 'trailer', 'transfer-encoding', 'upgrade', 'host', 'expect'],
]);
const CONNECTIONS_MAX = 256;

export class PassThrough {
  readonly #url: URL;
  readonly #idleMs: number;
  readonly #agent: Agent;

  constructor(url: URL, idleMs: number) {
    this.#url = url;
    this.#idleMs = idleMs;
    const options = { keepAlive: true, maxSockets: CONNECTIONS_MAX };
    this.#agent = url.protocol === 'https:' ? new TlsAgent(options) : new Agent(options);
  }

  serve(request: IncomingMessage, response: ServerResponse): void {
    const path = request.url ?? '';
    if (!path.startsWith('/')) return refuse(response, 400, 'This is a proxy of Glance only.');
    const { protocol, host, hostname, port, pathname } = this.#url;
    const onward = (protocol === 'https:' ? requestHttps : requestHttp)({
      // Without the brackets that a URL puts around IPv6.
      host: hostname.replace(/^\[(.*)\]$/, '$1'),
      port: port === '' ? undefined : port,
      path: pathname.replace(/\/$/, '') + path,
      method: request.method,
      headers: ['host', host, ...endToEnd(request)],
      agent: this.#agent,
      timeout: this.#idleMs,
    });
    onward.on('timeout', () => onward.destroy(new Error('Glance is silent')));
    onward.on('response', (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.statusMessage, endToEnd(answer));
      // An end of one side that is no end of the other cuts that too: half an answer must not look whole.
      pipeline(answer, response, () => {});
    });
    response.on('close', () => {
      if (!response.writableFinished) onward.destroy();
    });
    pipeline(request, onward, (error) => {
      // Glance may answer before it has read all: then that is the answer.
      if (error && !response.headersSent) refuse(response, 503, 'Glance does not answer.');
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** As they came, repeated ones repeated. */
function endToEnd({ rawHeaders, headers }: IncomingMessage): string[] {
  const named = (headers.connection ?? '').toLowerCase().split(/\s*,\s*/);
  const kept: string[] = [];
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at].toLowerCase();
    if (HOP_BY_HOP.has(name) || named.includes(name)) continue;
    kept.push(rawHeaders[at], rawHeaders[at + 1]);
  }
  return kept;
}

function refuse(response: ServerResponse, status: number, why: string): void {
  const body = `${why}\n`;
  response.writeHead(status, {
    'content-type': 'text/plain',
    'content-length': body.length,
    connection: 'close',
  });
  response.end(body);
}
