/**
 * One request to an OpenStack API whose answer is a small JSON object. Decides how long to wait, how much to read and what a
 * failure is called; follows no redirect, since that would carry a token to where it was not meant to go.
 */
import { messageOf, OperatorError, readBounded } from '@bootswarm/stdx';

export interface JsonRequest {
  /** Who is asked, as errors name it: Keystone, Glance. */
  readonly service: string;
  readonly method?: 'GET' | 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: object;
  readonly bytesMax: number;
  /** From the request to the last byte: one that trickles is given up as well. Default: 30 s. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface JsonAnswer {
  readonly status: number;
  readonly headers: Headers;
  /** Empty unless the status is 2xx. */
  readonly body: Readonly<Record<string, unknown>>;
}

const TIMEOUT_MS = 30_000;

/** Throws OperatorError `openstack-unreachable` or `openstack-answer`; when aborted, the signal's reason. */
export async function requestJson(url: URL, request: JsonRequest): Promise<JsonAnswer> {
  const { service, bytesMax } = request;
  const timeout = AbortSignal.timeout(request.timeoutMs ?? TIMEOUT_MS);
  const signals = request.signal === undefined ? [timeout] : [timeout, request.signal];
  let status: number;
  let headers: Headers;
  let bytes: Uint8Array | undefined;
  try {
    const response = await fetch(url, {
      method: request.method ?? 'GET',
      redirect: 'manual',
      signal: AbortSignal.any(signals),
      headers: {
        accept: 'application/json',
        ...(request.body && { 'content-type': 'application/json' }),
        ...request.headers,
      },
      ...(request.body && { body: JSON.stringify(request.body) }),
    });
    ({ status, headers } = response);
    bytes = await readBounded(response.body, bytesMax);
  } catch (error) {
    request.signal?.throwIfAborted();
    throw unreachable(service, url, reasonOf(error), error);
  }
  if (status >= 300 && status < 400 && status !== 300) {
    throw unusable(service, url, `it redirects (HTTP ${status})`);
  }
  if (status >= 500 || status === 429) throw unreachable(service, url, `HTTP ${status}`);
  if (bytes === undefined) throw unusable(service, url, `more than ${bytesMax} bytes`);
  if (status < 200 || status >= 300) return { status, headers, body: {} };
  return { status, headers, body: objectOf(service, url, bytes) };
}

function objectOf(service: string, url: URL, bytes: Uint8Array): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return value as Record<string, unknown>;
    }
  } catch {
    // Told below.
  }
  throw unusable(service, url, 'it is not a JSON object');
}

export function unusable(service: string, url: URL, what: string): OperatorError {
  return new OperatorError(
    'openstack-answer',
    `The answer of ${service} at ${url.origin}${url.pathname} cannot be used: ${what}`,
    `Check that this is the URL of ${service}, from this host, with curl.`,
  );
}

function unreachable(service: string, url: URL, why: string, cause?: unknown): OperatorError {
  return new OperatorError(
    'openstack-unreachable',
    `${service} at ${url.origin} does not answer: ${why}`,
    'Check that it runs and that this host can reach it; it is tried again.',
    { cause },
  );
}

/** fetch() hides what went wrong in `cause`. */
function reasonOf(error: unknown): string {
  const { cause, name } = error as { cause?: unknown; name?: unknown };
  if (name === 'TimeoutError') return 'it takes too long';
  return cause === undefined ? messageOf(error) : messageOf(cause);
}
