/**
 * Asks a daemon over HTTP, on TCP or a unix socket, and turns every way it can fail into an OperatorError: nobody
 * listens, no answer, a Problem, or an answer that is not the API's. Which daemon and where is daemons.ts's matter.
 */
import http from 'node:http';
import https from 'node:https';
import { errnoOf, messageOf, OperatorError } from '@bootswarm/stdx';
import type { Problem } from '@bootswarm/tracker';

export type Endpoint =
  | { readonly type: 'tcp'; readonly url: URL }
  | { readonly type: 'unix'; readonly path: string };

export interface Daemon {
  /** 'tracker' or 'agent', for messages. */
  readonly name: string;
  readonly endpoint: Endpoint;
  /** What starts it or where to look for it, as a sentence. */
  readonly startHint: string;
}

interface RequestOptions {
  readonly body?: unknown;
  readonly token?: string;
  /** Silence after which the daemon counts as hanging; 0 waits for ever. */
  readonly silenceMsMax?: number;
}

/** A daemon answers from memory; the slowest answer waits for a metainfo from the tracker. */
const SILENCE_MS_MAX = 60_000;
/** They come once a second. */
const EVENT_SILENCE_MS_MAX = 15_000;
/** All swarms of a large cloud: 10,000 members of 300 bytes each, in a few dozen swarms. */
const ANSWER_BYTES_MAX = 256 * 1024 * 1024;
/** One event of a stream: an image's record and a few sentences. */
const LINE_CHARS_MAX = 1024 * 1024;

export class HttpClient {
  readonly #daemon: Daemon;

  constructor(daemon: Daemon) {
    this.#daemon = daemon;
  }

  get endpoint(): Endpoint {
    return this.#daemon.endpoint;
  }

  /** `token`: as for delete(). */
  get<T>(path: string, token?: string): Promise<T> {
    return this.#json<T>('GET', path, { token });
  }

  /** `silenceMsMax`: 0 for what may take as long as it takes. */
  post<T>(path: string, body: unknown, silenceMsMax?: number, token?: string): Promise<T> {
    return this.#json<T>('POST', path, { body, silenceMsMax, token });
  }

  /** `token`: what goes into the Authorization header. */
  async delete(path: string, token?: string): Promise<void> {
    const response = await this.#request('DELETE', path, { token });
    await this.#text(response);
  }

  /** The values of an application/x-ndjson answer as they arrive; they may be far apart. */
  async *postForLines<T>(path: string, body: unknown, token?: string): AsyncGenerator<T> {
    const response = await this.#request('POST', path, { body, token, silenceMsMax: 0 });
    let rest = '';
    for await (const text of this.#chunks(response)) {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      if (rest.length > LINE_CHARS_MAX) throw this.#unexpected('a line without end');
      for (const line of lines) if (line !== '') yield this.#parse<T>(line);
    }
    if (rest !== '') yield this.#parse<T>(rest);
  }

  /** The data of the Server-Sent Events of a route, as they arrive; ends when the daemon ends. */
  async *getEvents<T>(path: string, token?: string): AsyncGenerator<T> {
    const silenceMsMax = EVENT_SILENCE_MS_MAX;
    const response = await this.#request('GET', path, { silenceMsMax, token });
    let rest = '';
    for await (const text of this.#chunks(response)) {
      const events = (rest + text).split('\n\n');
      rest = events.pop() ?? '';
      if (rest.length > ANSWER_BYTES_MAX) throw this.#unexpected('an event without end');
      for (const event of events) {
        const data = event.split('\n').find((line) => line.startsWith('data: '));
        if (data !== undefined) yield this.#parse<T>(data.slice('data: '.length));
      }
    }
  }

  async #json<T>(method: string, path: string, options: RequestOptions = {}): Promise<T> {
    return this.#parse<T>(await this.#text(await this.#request(method, path, options)));
  }

  /** Resolves with the head of a 2xx answer. */
  async #request(
    method: string,
    path: string,
    options: RequestOptions,
  ): Promise<http.IncomingMessage> {
    const response = await this.#send(method, path, options).catch((error) => {
      throw this.#unreachable(error);
    });
    const status = response.statusCode ?? 0;
    if (status >= 200 && status < 300) return response;
    throw this.#problem(status, await this.#text(response));
  }

  #send(method: string, path: string, options: RequestOptions): Promise<http.IncomingMessage> {
    const body = options.body === undefined ? undefined : JSON.stringify(options.body);
    const headers: http.OutgoingHttpHeaders = {
      accept: 'application/json, application/x-ndjson, text/event-stream',
    };
    if (body !== undefined) headers['content-type'] = 'application/json';
    if (body !== undefined) headers['content-length'] = Buffer.byteLength(body);
    if (options.token !== undefined) headers.authorization = `Bearer ${options.token}`;
    // Commands ask once or twice; an idle connection would only keep the process from ending.
    const common = { method, headers, agent: false as const };
    const { endpoint } = this.#daemon;
    return new Promise((resolve, reject) => {
      const request =
        endpoint.type === 'unix'
          ? http.request({ ...common, socketPath: endpoint.path, path })
          : transport(endpoint.url).request(new URL(path.slice(1), endpoint.url), common);
      const silenceMsMax = options.silenceMsMax ?? SILENCE_MS_MAX;
      request.setTimeout(silenceMsMax, () => request.destroy(this.#silent(silenceMsMax)));
      request.on('response', resolve);
      request.on('error', reject);
      request.end(body);
    });
  }

  async *#chunks(response: http.IncomingMessage): AsyncGenerator<string> {
    response.setEncoding('utf8');
    try {
      for await (const chunk of response) yield chunk as string;
    } catch (error) {
      if (error instanceof OperatorError) throw error;
      throw this.#cutOff(error);
    }
  }

  async #text(response: http.IncomingMessage): Promise<string> {
    const parts: string[] = [];
    let length = 0;
    for await (const chunk of this.#chunks(response)) {
      length += chunk.length;
      if (length > ANSWER_BYTES_MAX) throw this.#unexpected('an answer without end');
      parts.push(chunk);
    }
    return parts.join('');
  }

  #parse<T>(text: string): T {
    try {
      return JSON.parse(text) as T;
    } catch {
      throw this.#unexpected(text.slice(0, 80));
    }
  }

  get #where(): string {
    const { name, endpoint } = this.#daemon;
    return `the ${name} at ${endpoint.type === 'unix' ? endpoint.path : endpoint.url.origin}`;
  }

  #problem(status: number, text: string): OperatorError {
    const problem = readProblem(text);
    if (problem === undefined) return this.#unexpected(`status ${status}`);
    return new OperatorError(problem.code, problem.detail || problem.title, problem.hint);
  }

  #unreachable(error: unknown): OperatorError {
    if (error instanceof OperatorError) return error;
    const isForbidden = ['EACCES', 'EPERM'].includes(errnoOf(error) ?? '');
    return new OperatorError(
      `${this.#daemon.name}-unreachable`,
      `cannot reach ${this.#where}: ${reasonOf(error)}`,
      isForbidden
        ? `run this as the user the ${this.#daemon.name} runs as, or as root`
        : this.#daemon.startHint,
      { cause: error },
    );
  }

  #silent(silenceMsMax: number): OperatorError {
    return new OperatorError(
      `${this.#daemon.name}-silent`,
      `${this.#where} has said nothing for ${silenceMsMax / 1000} s`,
      `look at the ${this.#daemon.name}'s log`,
    );
  }

  #cutOff(error: unknown): OperatorError {
    return new OperatorError(
      `${this.#daemon.name}-hung-up`,
      `${this.#where} broke off its answer: ${messageOf(error)}`,
      `look at the ${this.#daemon.name}'s log: it may have stopped or crashed`,
      { cause: error },
    );
  }

  #unexpected(what: string): OperatorError {
    return new OperatorError(
      'unexpected-answer',
      `${this.#where} answered what bootswarm does not understand: ${what}`,
      `check that a bootswarm ${this.#daemon.name} of the same version listens there`,
    );
  }
}

function transport(url: URL): typeof http | typeof https {
  return url.protocol === 'https:' ? https : http;
}

function readProblem(text: string): Problem | undefined {
  try {
    const value = JSON.parse(text) as Partial<Problem> | null;
    const texts = [value?.code, value?.title, value?.detail, value?.hint];
    return texts.every((field) => typeof field === 'string') ? (value as Problem) : undefined;
  } catch {
    return undefined;
  }
}

/** Several addresses of one name fail as an AggregateError without a message of its own. */
function reasonOf(error: unknown): string {
  const first = error instanceof AggregateError ? error.errors[0] : error;
  switch (errnoOf(first)) {
    case 'ECONNREFUSED':
      return 'nobody listens there (ECONNREFUSED)';
    case 'ENOENT':
      return 'there is no such socket (ENOENT)';
    default:
      return messageOf(first);
  }
}
