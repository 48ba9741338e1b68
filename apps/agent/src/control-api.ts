/**
 * The agent's HTTP API on RUN/agent.sock, which only its own user and group may open. Maps routes to the agent's methods and
 * errors to problem+json; what the answers mean is in api.ts.
 */
import { once } from 'node:events';
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { errnoOf, messageOf, OperatorError } from '@bootswarm/stdx';
import type { Agent } from './agent.ts';
import type { CopyRequest } from './api.ts';

const BODY_BYTES_MAX = 64 * 1024;

type Handler = (agent: Agent, argument: string, request: ApiRequest) => unknown;

interface ApiRequest {
  readonly body: Readonly<Record<string, unknown>>;
  readonly query: URLSearchParams;
}

type Route = readonly [
  method: string,
  path: RegExp,
  handler: Handler,
  /** When the answer has been given. */
  after?: (agent: Agent) => void,
];

/** Method and path, with at most one `*` for the argument. What is not here is not there. */
const ROUTES: readonly Route[] = [
  ['GET', /^\/v1\/status$/, (agent) => agent.status()],
  ['GET', /^\/v1\/images\/([^/]+)\/touched$/, (agent, image) => agent.touched(image)],
  ['POST', /^\/v1\/images\/([^/]+)\/fill$/, (agent, image) => agent.fill(image)],
  ['GET', /^\/v1\/images\/([^/]+)\/piece-layer$/, (agent, image) => agent.pieceLayer(image)],
  ['DELETE', /^\/v1\/images\/([^/]+)$/, (agent, image) => agent.evict(image)],
  ['GET', /^\/v1\/copies$/, (agent) => ({ copies: agent.copies.list() })],
  ['POST', /^\/v1\/copies$/, (agent, _, { body }) => agent.copies.start(copyRequest(body))],
  ['GET', /^\/v1\/copies\/([^/]+)$/, (agent, id) => agent.copies.get(id)],
  ['DELETE', /^\/v1\/copies\/([^/]+)$/, (agent, id) => agent.copies.remove(id)],
  ['POST', /^\/v1\/exports$/, (agent, _, { body }) => agent.attach(text(body, 'image'))],
  ['DELETE', /^\/v1\/exports\/([^/]+)$/, (agent, image) => agent.detach(image)],
  ['GET', /^\/v1\/vms$/, (agent) => ({ vms: agent.vmStatuses() })],
  [
    'POST',
    /^\/v1\/vms$/,
    (agent, _, { body }) =>
      agent.createVm(text(body, 'image'), text(body, 'name'), {
        sizeBytes: optionalNumber(body, 'sizeBytes'),
        qmp: body.qmp === undefined ? undefined : text(body, 'qmp'),
      }),
  ],
  ['GET', /^\/v1\/vms\/([^/]+)$/, (agent, name) => agent.vm(name)],
  ['POST', /^\/v1\/vms\/([^/]+)\/pivot$/, (agent, name) => agent.pivotVm(name)],
  ['POST', /^\/v1\/vms\/([^/]+)\/flatten$/, (agent, name) => agent.flattenVm(name)],
  [
    'POST',
    /^\/v1\/vms\/([^/]+)\/rebase$/,
    (agent, name, { body }) => agent.rebaseVm(name, localOrSwarm(body)),
  ],
  [
    'DELETE',
    /^\/v1\/vms\/([^/]+)$/,
    (agent, name, { query }) => agent.removeVm(name, query.get('force') === '1'),
  ],
  [
    'POST',
    /^\/v1\/upgrade$/,
    (agent) => agent.prepareUpgrade(),
    // Whether or not who asked has heard it: the successor waits.
    (agent) => agent.leave(),
  ],
];

/** An error that is not here is not the caller's fault. */
const STATUS_BY_CODE: Readonly<Record<string, number>> = {
  'bad-request': 400,
  'vm-name-invalid': 400,
  'vm-size-invalid': 400,
  'vm-qmp-invalid': 400,
  'uri-invalid': 400,
  'scheme-unknown': 400,
  'digest-invalid': 400,
  'copies-off': 403,
  'copy-outside': 403,
  'no-such-route': 404,
  'copy-not-found': 404,
  'image-not-found': 404,
  'vm-not-found': 404,
  'not-attached': 404,
  'image-ambiguous': 409,
  'vm-exists': 409,
  'image-in-use': 409,
  'vm-running': 409,
  'vm-busy': 409,
  'vm-not-running': 409,
  'vm-no-qmp': 409,
  'vm-migrating': 409,
  'vm-disk-unknown': 409,
  'overlay-flat': 409,
  'image-incomplete': 409,
  'image-damaged': 409,
  'qmp-unreachable': 502,
  'qmp-refused': 502,
  'qmp-closed': 502,
  'qmp-garbage': 502,
  'qmp-timeout': 504,
  'no-successor': 409,
  'too-many-copies': 409,
  'tracker-answer': 502,
  'agent-stopping': 503,
  'tracker-unreachable': 503,
  'cache-full': 507,
  'disk-full': 507,
};

export class ControlApi {
  readonly #agent: Agent;
  readonly #server: Server;

  constructor(agent: Agent) {
    this.#agent = agent;
    this.#server = createServer({ requestTimeout: 30_000 }, (request, response) => {
      void this.#answer(request, response);
    });
  }

  /** The run directory is the agent's alone by its cache lock, so a socket found here is a dead agent's. */
  async listen(path: string): Promise<void> {
    rmSync(path, { force: true });
    this.#server.listen(path);
    await once(this.#server, 'listening');
    chmodSync(path, 0o660);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const url = URL.parse(request.url ?? '/', 'http://agent');
      if (url === null) throw badRequest('its path is not valid');
      const { pathname, searchParams } = url;
      const body = await readBody(request);
      for (const [method, path, handler, after] of ROUTES) {
        const match = request.method === method ? path.exec(pathname) : null;
        if (match === null) continue;
        const argument = match[1] === undefined ? '' : decode(match[1]);
        const result = await handler(this.#agent, argument, { body, query: searchParams });
        // It is closed already when who asked did not wait for the answer.
        if (response.closed) return after?.(this.#agent);
        if (after !== undefined) response.once('close', () => after(this.#agent));
        return send(response, result === undefined ? 204 : 200, result);
      }
      throw new OperatorError(
        'no-such-route',
        `${request.method} ${pathname} is not a route of this agent`,
        'The CLI and the agent may be of different versions: compare bootswarm --version with status.',
      );
    } catch (error) {
      sendProblem(response, toldIfDiskFull(error));
    }
  }
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.statusCode = status;
  if (body === undefined) return void response.end();
  if (body instanceof Uint8Array) {
    response.setHeader('content-type', 'application/octet-stream');
    return void response.end(body);
  }
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(body));
}

/** Whatever was to be written: what to do about it is the same. */
function toldIfDiskFull(error: unknown): unknown {
  if (!['ENOSPC', 'EDQUOT'].includes(errnoOf(error) ?? '')) return error;
  return new OperatorError(
    'disk-full',
    `No space left on the disk of the agent: ${messageOf(error)}`,
    'Free space there, then try again.',
    { cause: error },
  );
}

function sendProblem(response: ServerResponse, error: unknown): void {
  const isTold = error instanceof OperatorError;
  const code = isTold ? error.code : 'agent-failed';
  const status = isTold ? (STATUS_BY_CODE[code] ?? 500) : 500;
  response.statusCode = status;
  response.setHeader('content-type', 'application/problem+json');
  const hint = isTold ? error.hint : "Look for the cause in the agent's log.";
  response.end(
    JSON.stringify({
      title: code.replaceAll('-', ' '),
      status,
      code,
      detail: messageOf(error),
      hint,
    }),
  );
}

async function readBody(request: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  let length = 0;
  // To the end even if it is too long: leaving earlier would cut the connection before the answer.
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length <= BODY_BYTES_MAX) chunks.push(chunk);
  }
  if (length > BODY_BYTES_MAX) throw badRequest(`the body is longer than ${BODY_BYTES_MAX} bytes`);
  if (length === 0) return {};
  try {
    const value: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return value as Record<string, unknown>;
    }
  } catch {
    // Told below.
  }
  throw badRequest('the body is not a JSON object');
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw badRequest(`the path segment ${segment} is not valid`);
  }
}

function text(body: Readonly<Record<string, unknown>>, key: string): string {
  const value = body[key];
  if (typeof value === 'string' && value !== '') return value;
  throw badRequest(`"${key}" is missing or not a string`);
}

function optionalNumber(body: Readonly<Record<string, unknown>>, key: string): number | undefined {
  const value = body[key];
  if (value === undefined) return undefined;
  if (typeof value === 'number' && Number.isSafeInteger(value) && value > 0) return value;
  throw badRequest(`"${key}" is not a positive whole number`);
}

function copyRequest(body: Readonly<Record<string, unknown>>): CopyRequest {
  const { force, sha256 } = body;
  if (force !== undefined && typeof force !== 'boolean') throw badRequest('"force" is no boolean');
  if (sha256 !== undefined && !(typeof sha256 === 'string' && /^[0-9a-f]{64}$/i.test(sha256))) {
    throw badRequest('"sha256" is not 64 hex digits');
  }
  return { from: text(body, 'from'), to: text(body, 'to'), sha256, force };
}

function localOrSwarm({ to }: Readonly<Record<string, unknown>>): 'local' | 'swarm' {
  if (to === 'local' || to === 'swarm') return to;
  throw badRequest('"to" is neither local nor swarm');
}

function badRequest(what: string): OperatorError {
  return new OperatorError(
    'bad-request',
    `The request cannot be used: ${what}`,
    'Compare it with apps/agent/src/api.ts.',
  );
}
