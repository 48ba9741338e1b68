/** Errors as HTTP answers (RFC 9457): each says what failed and what to do next, and nothing of our inside gets out. */
import type { ServerResponse } from 'node:http';
import { OperatorError } from '@bootswarm/stdx';

/** Body of every answer with a 4xx or 5xx status (application/problem+json). */
export interface Problem {
  readonly title: string;
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  /** What to do next. */
  readonly hint: string;
}

/** Those of the route table and of requests as such. */
export const ROUTE_STATUS: Readonly<Record<string, number>> = {
  'path-malformed': 400,
  'query-unexpected': 400,
  'token-missing': 401,
  'token-wrong': 401,
  'route-not-found': 404,
  'method-not-allowed': 405,
  'too-many-streams': 503,
};

/**
 * `statusOf` has the codes that callers can cause; what is not there is our own fault. `daemon` is named where nothing else is
 * to be told.
 */
export function problemOf(
  error: unknown,
  statusOf: Readonly<Record<string, number>>,
  daemon: string,
): Problem {
  if (!(error instanceof OperatorError)) {
    return {
      title: 'Internal Server Error',
      status: 500,
      code: 'internal',
      detail: `The ${daemon} failed to answer.`,
      hint: `Read the ${daemon}'s log.`,
    };
  }
  const { code, message: detail, hint } = error;
  return { title: code.replaceAll('-', ' '), status: statusOf[code] ?? 500, code, detail, hint };
}

export function sendProblem(response: ServerResponse, problem: Problem): void {
  const body = `${JSON.stringify(problem)}\n`;
  response.writeHead(problem.status, {
    'content-type': 'application/problem+json',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    // What is left of the request's body is not worth reading.
    connection: 'close',
    ...(problem.status === 401 && { 'www-authenticate': 'Bearer' }),
  });
  response.end(body);
}
