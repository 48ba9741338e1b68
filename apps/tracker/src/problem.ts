/** Errors as HTTP answers (RFC 9457): which status a code has, and that nothing of our inside gets out. */
import type { ServerResponse } from 'node:http';
import { OperatorError } from '@bootswarm/stdx';
import type { Problem } from './api.ts';

/** By code; an error that is not here is not the caller's fault. */
const STATUS: Readonly<Record<string, number>> = {
  'body-malformed': 400,
  'body-missing': 400,
  'field-invalid': 400,
  'field-unknown': 400,
  'glance-decides': 400,
  'image-name': 400,
  'path-malformed': 400,
  'query-unexpected': 400,
  'token-missing': 401,
  'token-wrong': 401,
  'image-not-found': 404,
  'glance-unknown': 404,
  'route-not-found': 404,
  'method-not-allowed': 405,
  'image-ambiguous': 409,
  'publish-under-way': 409,
  'body-too-long': 413,
  'content-type': 415,
  'openstack-answer': 502,
  'openstack-refused': 502,
  'openstack-unreachable': 503,
  'too-many-publishes': 503,
};

export function problemOf(error: unknown): Problem {
  if (!(error instanceof OperatorError)) {
    return {
      title: 'Internal Server Error',
      status: 500,
      code: 'internal',
      detail: 'The tracker failed to answer.',
      hint: "Read the tracker's log.",
    };
  }
  const status = STATUS[error.code] ?? 500;
  const title = error.code.replaceAll('-', ' ');
  return { title, status, code: error.code, detail: error.message, hint: error.hint };
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
