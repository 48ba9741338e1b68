/**
 * An http(s) URL as the source of a copy. From a server that serves ranges and names the version it serves (ETag, Last-
 * Modified): several ranges at a time, each continued where a broken connection left it. From any other: one stream, from the
 * start again when it breaks, if the version can be told; else not again.
 */
import { hash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type Answer, bodyOf, display, get, TransientError } from '@bootswarm/image-source';
import { type Bitfield, messageOf, OperatorError } from '@bootswarm/stdx';
import { sourceChanged, sourceEmpty } from './copy-error.ts';
import {
  bytesOfUnits,
  type CopySource,
  type Digest,
  nextMissing,
  type Run,
  unitCountOf,
  unitLengthFor,
} from './copy-source.ts';
import { RunQueue } from './run-queue.ts';

/** Enough to fill a path that limits each connection, few enough not to be taken for an attack. */
const CONNECTIONS = 4;
/** Asked for at once: so that the cost of asking vanishes. */
const RANGE_BYTES = 16 * 1024 * 1024;
const RUNS_WAITING_MAX = 8;
const SILENCE_MS_MAX = 30_000;
/** 6 attempts wait 0.5 + 1 + 2 + 4 + 8 s: a web server that restarts is back by then. */
const ATTEMPTS_MAX = 6;
const RETRY_MS = 500;

/** What is known of the bytes at a URL from elsewhere. */
export interface KnownBytes {
  /** For messages and the journal, in place of the URL. */
  readonly shown: string;
  readonly length: number;
  /** Of all bytes; the server need not name their version then. */
  readonly digest: Digest;
  /** Asked for before each request, so that a token that expires meanwhile is a new one then. */
  readonly headers: () => Promise<Readonly<Record<string, string>>>;
}

interface Version {
  readonly etag: string | undefined;
  readonly modified: string | undefined;
}

export class HttpSource implements CopySource {
  readonly shown: string;
  readonly length: number;
  readonly unitLength: number;
  readonly version: string | undefined;
  readonly digest?: Digest;
  /** Where the redirects ended, so that all ranges come from one server. */
  readonly #url: URL;
  readonly #signal: AbortSignal;
  readonly #ifRange: string | undefined;
  readonly #hasRanges: boolean;
  readonly #known: KnownBytes | undefined;
  /** Of the URL that was given: the headers are for its server alone. */
  readonly #origin: string;

  private constructor(
    { response, url }: Answer,
    length: number,
    signal: AbortSignal,
    origin: string,
    known: KnownBytes | undefined,
  ) {
    const { etag, modified } = versionOf(response.headers);
    this.shown = known?.shown ?? display(url);
    this.length = length;
    this.unitLength = unitLengthFor(length);
    this.#url = url;
    this.#signal = signal;
    this.#origin = origin;
    this.#known = known;
    if (known !== undefined) {
      this.digest = known.digest;
      this.version = `${known.digest.algorithm} ${known.digest.hex}`;
      this.#hasRanges = response.statusCode === 206;
      return;
    }
    this.#ifRange = etag ?? modified;
    // Without a tag, what differs in the query alone may have been made at the same time.
    this.version = etag ?? (modified && `${modified} ${hash('sha256', url.search)}`);
    this.#hasRanges = response.statusCode === 206 && this.#ifRange !== undefined;
  }

  static async open(url: URL, signal: AbortSignal, known?: KnownBytes): Promise<HttpSource> {
    const answer = await retrying(signal, display(url), async () => {
      const headers = await known?.headers();
      return get(url, { range: 'bytes=0-0', silenceMsMax: SILENCE_MS_MAX, signal, headers });
    });
    const { response } = answer;
    response.destroy();
    const length = known?.length ?? lengthOf(answer);
    if (length === 0) throw sourceEmpty(display(url));
    if (
      length === undefined ||
      (response.headers['content-encoding'] ?? 'identity') !== 'identity'
    ) {
      throw new OperatorError(
        'http-length-unknown',
        `${display(url)} does not tell how long it is, or is sent compressed`,
        'Serve the image from a server that sends Content-Length and no Content-Encoding.',
      );
    }
    return new HttpSource(answer, length, signal, url.origin, known);
  }

  runs(had: Bitfield, signal: AbortSignal): AsyncIterable<Run> {
    return this.#hasRanges ? this.#ranges(had, signal) : this.#stream(had, signal);
  }

  async recheck(): Promise<void> {
    // A digest of all bytes says more than a server.
    if (this.version === undefined || this.digest !== undefined) return;
    const answer = await retrying(this.#signal, this.shown, () =>
      this.#get({ range: 'bytes=0-0' }),
    );
    answer.response.destroy();
    this.#requireSame(answer);
  }

  async close(): Promise<void> {}

  #ranges(had: Bitfield, signal: AbortSignal): AsyncIterable<Run> {
    const queue = new RunQueue(RUNS_WAITING_MAX);
    const unitCount = unitCountOf(this);
    const unitsMax = Math.max(1, Math.floor(RANGE_BYTES / this.unitLength));
    let from = 0;
    const work = async (): Promise<void> => {
      for (;;) {
        const range = nextMissing(had, from, unitCount, unitsMax);
        if (range === undefined) return;
        from = range.first + range.count;
        if (!(await this.#range(range.first, from, queue, signal))) return;
      }
    };
    Promise.all(Array.from({ length: CONNECTIONS }, work)).then(
      () => queue.end(),
      (error: unknown) => queue.end(error),
    );
    return queue;
  }

  /** Units [first, end); false when nobody wants more. */
  async #range(first: number, end: number, queue: RunQueue, signal: AbortSignal): Promise<boolean> {
    let unit = first;
    return retrying(
      signal,
      this.shown,
      async () => {
        const start = unit * this.unitLength;
        const last = Math.min(this.length, end * this.unitLength) - 1;
        const answer = await this.#get({ range: `bytes=${start}-${last}`, ifRange: this.#ifRange });
        this.#requireSame(answer);
        const got = contentRange(answer);
        if (got?.start !== start || got.end > last + 1) throw this.#wrongRange();
        for await (const run of this.#units(answer, unit, signal)) {
          unit += run.unitCount;
          if (await queue.push(run)) continue;
          answer.response.destroy();
          return false;
        }
        if (unit < end) throw new TransientError('a range was cut short');
        return true;
      },
      () => unit,
    );
  }

  async *#stream(had: Bitfield, signal: AbortSignal): AsyncGenerator<Run> {
    let failures = 0;
    for (;;) {
      try {
        const answer = await this.#get({});
        this.#requireSame(answer);
        for await (const run of this.#units(answer, 0, signal)) {
          if (!had.has(run.firstUnit)) yield run;
        }
        return;
      } catch (error) {
        failures += 1;
        const isOver = !(error instanceof TransientError) || failures >= ATTEMPTS_MAX;
        // Of another version nobody could tell.
        if (isOver || this.version === undefined) throw told(this.shown, failures, error);
        await delay(RETRY_MS * 2 ** (failures - 1), undefined, { signal });
      }
    }
  }

  /** The body of an answer that begins with this unit, cut into units; a part of one at its end is dropped. */
  async *#units(answer: Answer, first: number, signal: AbortSignal): AsyncGenerator<Run> {
    let unit = first;
    let bytes = this.#unitBuffer(unit);
    let filled = 0;
    for await (const part of bodyOf(answer.response, signal)) {
      for (let at = 0; at < part.length; ) {
        if (bytes === undefined) throw this.#wrongRange();
        const taken = Math.min(part.length - at, bytes.length - filled);
        part.copy(bytes, filled, at, at + taken);
        at += taken;
        filled += taken;
        if (filled < bytes.length) continue;
        yield { firstUnit: unit, unitCount: 1, bytes };
        unit += 1;
        filled = 0;
        bytes = this.#unitBuffer(unit);
      }
    }
    if (bytes !== undefined && answer.response.statusCode === 200) {
      throw new TransientError('the answer was cut short');
    }
  }

  #unitBuffer(unit: number): Buffer | undefined {
    if (unit >= unitCountOf(this)) return undefined;
    return Buffer.allocUnsafeSlow(bytesOfUnits(this, unit, 1));
  }

  async #get(options: { readonly range?: string; readonly ifRange?: string }): Promise<Answer> {
    const isMeant = this.#url.origin === this.#origin;
    const headers = isMeant ? await this.#known?.headers() : undefined;
    const signal = this.#signal;
    return get(this.#url, { ...options, silenceMsMax: SILENCE_MS_MAX, signal, headers });
  }

  #requireSame(answer: Answer): void {
    const { etag, modified } = versionOf(answer.response.headers);
    const length = lengthOf(answer);
    const isSame =
      this.#known === undefined
        ? (etag ?? modified) === this.#ifRange && length === this.length
        : length === undefined || length === this.length;
    const { statusCode } = answer.response;
    if (isSame && (statusCode === 206 || !this.#hasRanges)) return;
    answer.response.destroy();
    if (isSame) throw this.#wrongRange();
    throw sourceChanged(this.shown, 'the server has another version');
  }

  #wrongRange(): OperatorError {
    return new OperatorError(
      'http-range-wrong',
      `${this.shown} does not serve the bytes it is asked for`,
      'Download the image with curl, and copy the file.',
    );
  }
}

/** Repeats what fails in passing; `position` tells whether it gets anywhere. */
async function retrying<T>(
  signal: AbortSignal,
  shown: string,
  attempt: () => Promise<T>,
  position: () => number = () => 0,
): Promise<T> {
  let failures = 0;
  for (let before = position(); ; ) {
    try {
      return await attempt();
    } catch (error) {
      failures = position() > before ? 1 : failures + 1;
      before = position();
      if (!(error instanceof TransientError) || failures >= ATTEMPTS_MAX) {
        throw told(shown, failures, error);
      }
      await delay(RETRY_MS * 2 ** (failures - 1), undefined, { signal });
    }
  }
}

function told(shown: string, attempts: number, error: unknown): unknown {
  if (!(error instanceof TransientError)) return error;
  return new OperatorError(
    'source-unavailable',
    `${shown} failed ${attempts} times, the last time with: ${messageOf(error)}`,
    'Check that the server is up, then run the same copy again: it goes on where it stopped.',
    { cause: error },
  );
}

/** A weak ETag says nothing about bytes (RFC 9110 §8.8.1). */
function versionOf(headers: Answer['response']['headers']): Version {
  const { etag } = headers;
  const isStrong = etag?.startsWith('"') === true;
  return { etag: isStrong ? etag : undefined, modified: headers['last-modified'] };
}

function lengthOf(answer: Answer): number | undefined {
  if (answer.response.statusCode === 206) return contentRange(answer)?.total;
  const declared = answer.response.headers['content-length'];
  return declared !== undefined && /^\d{1,15}$/.test(declared) ? Number(declared) : undefined;
}

/** Content-Range (RFC 9110 §14.4), its inclusive end made exclusive. */
function contentRange({
  response,
}: Answer): { start: number; end: number; total: number } | undefined {
  const header = response.headers['content-range'] ?? '';
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(header);
  if (match === null) return undefined;
  return { start: Number(match[1]), end: Number(match[2]) + 1, total: Number(match[3]) };
}
