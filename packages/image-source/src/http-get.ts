/**
 * One GET of an image, up to the head of the answer: redirects, deadlines, and what each status and network error means. An
 * answer that may come out better next time is a TransientError; any other failure is an OperatorError. Retrying, ranges and
 * the body are http-image.ts's.
 */
import { once } from 'node:events';
import { type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { errnoOf, messageOf, OperatorError } from '@bootswarm/stdx';
import { sourceNotFound } from './image-error.ts';

export interface GetOptions {
  /** `bytes=0-1023`, or undefined for the whole. */
  readonly range?: string;
  /** An ETag or a date: what has changed since comes whole, as 200 (RFC 9110 §13.1.5). */
  readonly ifRange?: string;
  /** Longest silence of the server, before and between the bytes of its answer. */
  readonly silenceMsMax: number;
  readonly signal: AbortSignal;
  /** Sent to the server of the URL, and to none that it redirects to. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Answer {
  /** 200, 206, or one of the statuses by which a server declines a range. */
  readonly response: IncomingMessage;
  /** Where the redirects ended. */
  readonly url: URL;
}

/** The network or the server failed in a way that passes. */
export class TransientError extends Error {
  override readonly name = 'TransientError';
}

const REDIRECTS_MAX = 5;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
/** Bad request (Glance, when its store cannot seek), range not satisfiable, not implemented. */
const RANGE_DECLINED = new Set([400, 416, 501]);
const TRANSIENT = new Set([408, 425, 429, 500, 502, 503, 504]);
/** Errors of a connection that the next one may not have. */
const TRANSIENT_ERRNOS = new Set([
  'ECONNRESET',
  'ECONNREFUSED',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'ENETUNREACH',
  'EHOSTUNREACH',
  'EAI_AGAIN',
]);

/** Rejects with TransientError, OperatorError, or the signal's reason. */
export async function get(url: URL, options: GetOptions): Promise<Answer> {
  let at = url;
  for (let redirects = 0; redirects <= REDIRECTS_MAX; redirects += 1) {
    const isMeant = at.origin === url.origin;
    const response = await requestOnce(at, isMeant ? options : { ...options, headers: {} });
    const status = response.statusCode ?? 0;
    if (!REDIRECTS.has(status)) {
      if (status === 200 || (options.range !== undefined && isAnswerToRange(status))) {
        return { response, url: at };
      }
      response.destroy();
      throw statusError(at, status);
    }
    response.destroy();
    at = redirectTarget(at, response.headers.location);
  }
  throw new OperatorError(
    'http-redirects',
    `${display(url)} redirects more than ${REDIRECTS_MAX} times`,
    'Give the URL where the redirects should end.',
  );
}

/** The body, piece by piece. Fails as get() does; a body that is cut short is a TransientError. */
export async function* bodyOf(response: IncomingMessage, signal: AbortSignal) {
  try {
    for await (const bytes of response) yield bytes as Buffer;
  } catch (error) {
    throw networkError(error, signal, 'the connection broke');
  }
}

/** A URL as it may be shown and logged: without the credentials in it. */
export function display(url: URL): string {
  const shown = new URL(url);
  shown.username = '';
  shown.password = '';
  // A signed URL carries its signature here.
  if (shown.search !== '') shown.search = '?…';
  return shown.href;
}

async function requestOnce(url: URL, options: GetOptions): Promise<IncomingMessage> {
  const request = (url.protocol === 'https:' ? requestHttps : requestHttp)(url, {
    headers: {
      // A compressed answer has other offsets and another length than the image.
      'accept-encoding': 'identity',
      'user-agent': 'bootswarm',
      ...options.headers,
      ...(options.range !== undefined && { range: options.range }),
      ...(options.ifRange !== undefined && { 'if-range': options.ifRange }),
    },
    timeout: options.silenceMsMax,
    signal: options.signal,
  });
  request.on('timeout', () => {
    request.destroy(new TransientError(`no byte for ${options.silenceMsMax / 1000} s`));
  });
  // An error after the answer began reaches the reader of the body as well; here it only must not be unhandled.
  request.on('error', () => {});
  try {
    const answered = once(request, 'response') as Promise<[IncomingMessage]>;
    request.end();
    const [response] = await answered;
    return response;
  } catch (error) {
    throw networkError(error, options.signal, display(url));
  }
}

function isAnswerToRange(status: number): boolean {
  return status === 206 || RANGE_DECLINED.has(status);
}

function redirectTarget(from: URL, location: string | undefined): URL {
  const target = location === undefined ? null : URL.parse(location, from.href);
  if (target === null || (target.protocol !== 'http:' && target.protocol !== 'https:')) {
    throw new OperatorError(
      'http-redirects',
      `${display(from)} redirects to something that is not an http or https URL`,
      'Give the URL of the image itself.',
    );
  }
  if (from.protocol === 'https:' && target.protocol === 'http:') {
    throw new OperatorError(
      'http-redirects',
      `${display(from)} redirects from https to http (${display(target)})`,
      'Give the http URL itself if the network between may be trusted.',
    );
  }
  return target;
}

function statusError(url: URL, status: number): Error {
  if (status === 404 || status === 410) return sourceNotFound(display(url), `HTTP ${status}`);
  if (status === 401 || status === 403) {
    return new OperatorError(
      'source-forbidden',
      `${display(url)} may not be read: HTTP ${status}`,
      'Put credentials into the URL (https://USER:PASSWORD@HOST/…), or use one that is signed and has not expired.',
    );
  }
  if (TRANSIENT.has(status)) return new TransientError(`HTTP ${status}`);
  return new OperatorError(
    'source-unavailable',
    `${display(url)} answers HTTP ${status}`,
    'Check the URL with curl -I, from the host that reads it.',
  );
}

function networkError(error: unknown, signal: AbortSignal, where: string): unknown {
  if (signal.aborted) return signal.reason;
  if (error instanceof TransientError) return error;
  const errno = errnoOf(error);
  if (errno !== undefined && TRANSIENT_ERRNOS.has(errno)) return new TransientError(errno);
  return new OperatorError(
    'source-unavailable',
    `cannot read from ${where}: ${messageOf(error)}`,
    'Check the URL, the name server and the certificate, from the host that reads it.',
    { cause: error },
  );
}
