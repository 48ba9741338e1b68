/**
 * The agent's HTTP API on its control socket: finds the route of a request (routes.ts), checks what it brings, and sends what the
 * agent answers. Who may use it is decided by the socket's permissions.
 */
import { once } from 'node:events';
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { openApiDocument, problemOf, ROUTE_STATUS, RouteTable, sendProblem } from '@bootswarm/rest';
import { errnoOf, messageOf, OperatorError } from '@bootswarm/stdx';
import type { Logger } from 'pino';
import { z } from 'zod';
import type { Agent } from './agent.ts';
import { ANSWERED, ROUTES, type Route } from './routes.ts';
import type { Telemetry } from './telemetry/telemetry.ts';

const BODY_BYTES_MAX = 64 * 1024;

/** An error that is not here is not the caller's fault. */
const STATUS_BY_CODE: Readonly<Record<string, number>> = {
  ...ROUTE_STATUS,
  'bad-request': 400,
  'vm-name-invalid': 400,
  'vm-size-invalid': 400,
  'vm-qmp-invalid': 400,
  'uri-invalid': 400,
  'scheme-unknown': 400,
  'digest-invalid': 400,
  'copies-off': 403,
  'copy-outside': 403,
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
  'openstack-answer': 502,
  'openstack-catalog': 502,
  'openstack-refused': 502,
  'openstack-unreachable': 503,
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

const OPEN_API: Route = {
  method: 'GET',
  path: '/v1/openapi.json',
  summary: 'This document.',
  answer: z.looseObject({}),
  body: z.strictObject({}),
  query: z.strictObject({}),
  handle: ({ agent }) => controlApiDocument(agent.version),
};

const TABLE = new RouteTable([...ROUTES, OPEN_API]);

/** Every route, for the test that goes through them all. */
export const CONTROL_ROUTES = TABLE.routes;

/** The OpenAPI document of the control API. */
export function controlApiDocument(version: string): object {
  const described = TABLE.routes.map((route) => [
    `${route.method} ${route.path}`,
    { ...route, body: fieldsOf(route.body), query: route.query, problems: problemsOf(route) },
  ]);
  return openApiDocument(TABLE.routes, {
    title: 'bootswarm agent',
    version,
    description:
      'On the unix socket agent.sock of the run directory; whoever may open it may use it.',
    routes: Object.fromEntries(described),
    statusOf: STATUS_BY_CODE,
  });
}

function fieldsOf(body: z.ZodObject): z.ZodObject | undefined {
  return Object.keys(body.shape).length === 0 ? undefined : body;
}

function problemsOf({ problems = [], key }: Route): string[] {
  return ['bad-request', ...(key === undefined ? [] : ['path-malformed']), ...problems];
}

export class ControlApi {
  readonly #agent: Agent;
  readonly #telemetry: Telemetry;
  readonly #log: Logger;
  readonly #server: Server;

  constructor(agent: Agent, telemetry: Telemetry, { log }: { readonly log: Logger }) {
    this.#agent = agent;
    this.#telemetry = telemetry;
    this.#log = log;
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
    const agent = this.#agent;
    try {
      const [path, queryText] = (request.url ?? '').split('?', 2);
      const sent = await readBody(request);
      const { route, key } = TABLE.find(request.method, path);
      const body = checked(route.body, sent, 'body');
      const query = checked(route.query, queryOf(queryText), 'query');
      const metrics = () => this.#telemetry.metrics;
      const result = await route.handle({ agent, key, body, query, response, metrics });
      if (result === ANSWERED) return;
      const { after } = route;
      // It is closed already when who asked did not wait for the answer.
      if (response.closed) return after?.(agent);
      if (after !== undefined) response.once('close', () => after(agent));
      send(response, result === undefined ? 204 : 200, result);
    } catch (error) {
      const problem = problemOf(toldIfDiskFull(error), STATUS_BY_CODE, 'agent');
      this.#telemetry.errors.add('api', problem.code);
      if (problem.status >= 500) this.#log.error({ err: error, url: request.url }, 'failed');
      if (response.headersSent) response.destroy();
      else sendProblem(response, problem);
    }
  }
}

/** Throws OperatorError `bad-request` naming what is wrong with which field. */
function checked(schema: z.ZodObject, value: unknown, where: string): unknown {
  const { success, data, error } = schema.safeParse(value);
  if (success) return data;
  const [{ path, message }] = error.issues;
  const at = path.length === 0 ? `the ${where}` : `"${path.join('.')}" of the ${where}`;
  throw badRequest(`${at}: ${message}`);
}

function queryOf(text: string | undefined): Record<string, string> {
  return Object.fromEntries(new URLSearchParams(text ?? ''));
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

function badRequest(what: string): OperatorError {
  return new OperatorError(
    'bad-request',
    `The request cannot be used: ${what}`,
    'Compare it with GET /v1/openapi.json.',
  );
}
