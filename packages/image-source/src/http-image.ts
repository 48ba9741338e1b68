/**
 * Downloads an image over HTTP into a sparse file. From a server that serves ranges: several at a time, each continued where a
 * broken connection left it. From one that does not: in one piece, from the start again when it breaks. Trusts no length it has
 * not counted. What the bytes mean is for others to inspect.
 */
import type { IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { OperatorError } from '@bootswarm/stdx';
import { bodyOf, display, type GetOptions, get, TransientError } from './http-get.ts';
import { imageEmpty, imageTooLarge, sourceChanged } from './image-error.ts';
import type { SparseFile } from './sparse-file.ts';
import { StreamWriter } from './stream-writer.ts';

export interface DownloadOptions {
  readonly lengthMax: number;
  /** Called once, when the first HEAD_LENGTH bytes, or all, are in the file: a throw ends the download. */
  readonly onHead: () => Promise<void>;
  /** `bytesTotal` is 0 while the server has not told. Goes back when a download starts again. */
  readonly onProgress?: (bytesDone: number, bytesTotal: number) => void;
  readonly signal?: AbortSignal;
  readonly pace?: DownloadPace;
  /** Asked for before each request, so that a token that expires meanwhile is a new one then. */
  readonly headers?: () => Promise<Readonly<Record<string, string>>>;
}

export interface DownloadPace {
  /** Longest silence of the server before the connection counts as broken. */
  readonly silenceMsMax: number;
  /** Attempts that bring less than PROGRESS_LENGTH before the download fails. */
  readonly attemptsMax: number;
  /** Before the second attempt; doubled before each further one. */
  readonly retryDelayMs: number;
  /** Bytes asked for at once. */
  readonly rangeLength: number;
}

/** 6 attempts wait 0.5 + 1 + 2 + 4 + 8 s: a web server that restarts is back by then. */
const DEFAULT_PACE: DownloadPace = {
  silenceMsMax: 30_000,
  attemptsMax: 6,
  retryDelayMs: 500,
  // 16 MiB: a second of a 1 Gbit/s link for four connections, so the cost of asking vanishes.
  rangeLength: 16 * 1024 * 1024,
};

/** Enough to fill a path that limits each connection, few enough not to be taken for an attack. */
const CONNECTIONS = 4;
/** Of an image, when it is inspected for the first time: the end of a header and its extensions. */
const HEAD_LENGTH = 65_536;
/** An attempt that brought this much was worth making, and the count of attempts begins again. */
const PROGRESS_LENGTH = 1024 * 1024;

/**
 * Fills `target`; it is then exactly as long as the image. Throws OperatorError `source-not-found`, `source-forbidden`,
 * `source-unavailable`, `source-changed`, `image-empty`, `image-too-large`, `http-redirects`, `http-encoded`,
 * `http-length-unknown`, `http-range-wrong`, and what SparseFile throws; when aborted, the signal's reason.
 */
export async function downloadImage(
  url: URL,
  target: SparseFile,
  options: DownloadOptions,
): Promise<void> {
  await new Download(url, target, options).run();
}

class Download {
  #url: URL;
  /** Of the URL that was given: what is sent there is not for the server of another. */
  readonly #origin: string;
  readonly #target: SparseFile;
  readonly #options: DownloadOptions;
  readonly #pace: DownloadPace;
  /** Ends every connection: one range that fails for good must not leave others that still write. */
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  /** Of the image, once a server that serves ranges has told. */
  #length = 0;
  /** What the server calls this version of the image. */
  #version = '';
  #bytesDone = 0;

  constructor(url: URL, target: SparseFile, options: DownloadOptions) {
    this.#url = url;
    this.#origin = url.origin;
    this.#target = target;
    this.#options = options;
    this.#pace = options.pace ?? DEFAULT_PACE;
    const signals = [this.#stop.signal, ...(options.signal === undefined ? [] : [options.signal])];
    this.#signal = AbortSignal.any(signals);
  }

  async run(): Promise<void> {
    try {
      await this.#receive();
    } finally {
      this.#stop.abort();
    }
  }

  async #receive(): Promise<void> {
    const answer = await this.#retrying(
      () => this.#get({ start: 0, end: this.#pace.rangeLength }),
      () => 0,
    );
    // What follows goes where the redirects ended, so that all ranges come from one server.
    this.#url = answer.url;
    const { response } = answer;
    if (response.statusCode === 206 && contentRange(response)?.start === 0) {
      if (!(await this.#receiveRanges(response))) await this.#receiveWhole(undefined);
    } else if (response.statusCode === 200) {
      await this.#receiveWhole(response);
    } else {
      response.destroy();
      await this.#receiveWhole(undefined);
    }
  }

  /** False when the very first answer shows that the server calls something a range that is none. */
  async #receiveRanges(first: IncomingMessage): Promise<boolean> {
    this.#length = contentRange(first)?.total ?? 0;
    this.#version = versionOf(first);
    this.#requireLength(this.#length);
    await this.#target.truncate(this.#length);
    const { rangeLength } = this.#pace;
    let next = Math.min(this.#length, rangeLength);
    try {
      await this.#receiveRange({ start: 0, end: next }, first);
    } catch (error) {
      first.destroy();
      // Some stores behind Glance answer 206 and send everything.
      if (error instanceof OperatorError && error.code === 'http-range-wrong') return false;
      throw error;
    }
    await this.#options.onHead();
    const work = async () => {
      while (next < this.#length) {
        const start = next;
        next = Math.min(this.#length, start + rangeLength);
        await this.#receiveRange({ start, end: next }, undefined);
      }
    };
    const workers = Array.from({ length: CONNECTIONS }, work);
    try {
      await Promise.all(workers);
    } finally {
      this.#stop.abort();
      await Promise.allSettled(workers);
    }
    return true;
  }

  /** `first`: an answer that is already there. */
  async #receiveRange(range: ByteRange, first: IncomingMessage | undefined): Promise<void> {
    const writer = new StreamWriter(this.#target, range.start);
    let ready = first;
    const attempt = async () => {
      while (writer.position < range.end) {
        const rest = { start: writer.position, end: range.end };
        const response = ready ?? (await this.#get(rest)).response;
        ready = undefined;
        await this.#receivePart(response, writer, rest);
      }
    };
    await this.#retrying(attempt, () => writer.position);
    await writer.flush();
  }

  async #receivePart(
    response: IncomingMessage,
    writer: StreamWriter,
    asked: ByteRange,
  ): Promise<void> {
    const { end } = this.#requireRange(response, asked);
    for await (const bytes of bodyOf(response, this.#signal)) {
      if (writer.position + bytes.length > end) throw rangeWrong(this.#url, 'it sent too much');
      await writer.push(bytes);
      this.#progress(bytes.length, this.#length);
    }
    if (writer.position < end) throw new TransientError('a range was cut short');
  }

  /** The range that was answered: it begins where asked and ends there or before. */
  #requireRange(response: IncomingMessage, asked: ByteRange): ByteRange {
    const range = contentRange(response);
    if (response.statusCode !== 206 || range === undefined) {
      throw rangeWrong(this.#url, `it answered HTTP ${response.statusCode}`);
    }
    if (range.total !== this.#length || versionOf(response) !== this.#version) {
      throw sourceChanged(display(this.#url), 'the server has another version');
    }
    if (range.start !== asked.start || range.end <= range.start || range.end > asked.end) {
      throw rangeWrong(this.#url, `it sent bytes ${range.start}-${range.end - 1}`);
    }
    if (isEncoded(response)) throw encoded(this.#url);
    return range;
  }

  async #receiveWhole(first: IncomingMessage | undefined): Promise<void> {
    let ready = first;
    let isHeadSeen = false;
    const attempt = async () => {
      const response = ready ?? (await this.#get(undefined)).response;
      ready = undefined;
      const declared = this.#requireWhole(response);
      await this.#target.truncate(0);
      this.#bytesDone = 0;
      const writer = new StreamWriter(this.#target, 0);
      for await (const bytes of bodyOf(response, this.#signal)) {
        this.#requireLength(writer.position + bytes.length);
        await writer.push(bytes);
        if (!isHeadSeen && writer.position >= HEAD_LENGTH) {
          isHeadSeen = true;
          await writer.flush();
          await this.#options.onHead();
        }
        this.#progress(bytes.length, declared ?? 0);
      }
      await writer.flush();
      this.#requireLength(writer.position);
      await this.#target.truncate(writer.position);
    };
    await this.#retrying(attempt, () => 0);
    if (!isHeadSeen) await this.#options.onHead();
  }

  /** The length that the server declares, and HTTP then enforces; undefined when it sends chunks, whose end is marked. */
  #requireWhole(response: IncomingMessage): number | undefined {
    if (isEncoded(response)) throw encoded(this.#url);
    const declared = response.headers['content-length'];
    if (declared === undefined) {
      if (response.headers['transfer-encoding'] === undefined) throw endless(this.#url);
      return undefined;
    }
    this.#requireLength(Number(declared));
    return Number(declared);
  }

  #requireLength(length: number): void {
    if (length === 0) throw imageEmpty(display(this.#url));
    if (length > this.#options.lengthMax) {
      throw imageTooLarge(display(this.#url), length, this.#options.lengthMax);
    }
  }

  async #get(range: ByteRange | undefined) {
    const options: GetOptions = {
      range: range && `bytes=${range.start}-${range.end - 1}`,
      silenceMsMax: this.#pace.silenceMsMax,
      signal: this.#signal,
      headers: this.#url.origin === this.#origin ? await this.#options.headers?.() : undefined,
    };
    return get(this.#url, options);
  }

  #progress(bytes: number, total: number): void {
    this.#bytesDone += bytes;
    this.#options.onProgress?.(this.#bytesDone, total);
  }

  /** Repeats `attempt` while it fails in passing; `position` tells how far it has come. */
  async #retrying<T>(attempt: () => Promise<T>, position: () => number): Promise<T> {
    let failures = 0;
    let before = position();
    for (;;) {
      try {
        return await attempt();
      } catch (error) {
        if (!(error instanceof TransientError)) throw error;
        const after = position();
        failures = after - before >= PROGRESS_LENGTH ? 1 : failures + 1;
        before = after;
        if (failures >= this.#pace.attemptsMax) throw unavailable(this.#url, failures, error);
        const waitMs = this.#pace.retryDelayMs * 2 ** (failures - 1);
        await delay(waitMs, undefined, { signal: this.#signal }).catch(() => {
          throw this.#signal.reason;
        });
      }
    }
  }
}

/** Bytes [start, end). */
interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** Content-Range (RFC 9110 §14.4), its inclusive end made exclusive; undefined when it is absent or tells no total. */
function contentRange(response: IncomingMessage): (ByteRange & { total: number }) | undefined {
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(
    response.headers['content-range'] ?? '',
  );
  if (match === null) return undefined;
  return { start: Number(match[1]), end: Number(match[2]) + 1, total: Number(match[3]) };
}

function versionOf(response: IncomingMessage): string {
  return `${response.headers.etag ?? ''} ${response.headers['last-modified'] ?? ''}`;
}

function isEncoded(response: IncomingMessage): boolean {
  return (response.headers['content-encoding'] ?? 'identity') !== 'identity';
}

function encoded(url: URL): OperatorError {
  return new OperatorError(
    'http-encoded',
    `${display(url)} is sent compressed although that was declined`,
    'Turn off Content-Encoding for images on that server.',
  );
}

function endless(url: URL): OperatorError {
  return new OperatorError(
    'http-length-unknown',
    `${display(url)} is sent without Content-Length or chunks, so its end cannot be told from a broken connection`,
    'Serve the image from a server that tells its length.',
  );
}

function rangeWrong(url: URL, how: string): OperatorError {
  return new OperatorError(
    'http-range-wrong',
    `${display(url)} does not serve the ranges it is asked for: ${how}`,
    'Download the image with curl and publish the file.',
  );
}

function unavailable(url: URL, attempts: number, cause: TransientError): OperatorError {
  return new OperatorError(
    'source-unavailable',
    `${display(url)} failed ${attempts} times, the last time with: ${cause.message}`,
    'Check that the server is up and reachable from the host of the tracker, then publish again.',
    { cause },
  );
}
