/**
 * Serves the web page as apps/web was built: `/`, and the files it names below `/ui/`. They are read when they are asked for, so
 * a page that is built anew is served without a restart. Decides what a browser may do with them, not what they show.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { errnoOf, OperatorError } from '@bootswarm/stdx';

export const HTML_TYPE = 'text/html; charset=utf-8';

const TYPES: Readonly<Record<string, string>> = {
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
};

/** Where the build puts it, as seen from the sources and from what tsc made of them. */
const PAGE_DIR = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? '../../dist/web/' : '../web/', import.meta.url),
);

/** As the build gives them: such a name stays in the directory. */
const FILE_NAME = /^[A-Za-z0-9_][A-Za-z0-9_-]{0,99}\.(css|js|svg)$/;
/** The build puts a hash of their content into these. */
const HASHED_NAME = /-[A-Za-z0-9_-]{8}\.(css|js)$/;

const SECONDS_PER_YEAR = 31_536_000;
const FOR_EVER = `public, max-age=${SECONDS_PER_YEAR}, immutable`;
/** Kept, and asked about each time: the answer is 304. */
const ASK_FIRST = 'no-cache';

const HEADERS = {
  // Nothing from elsewhere, nothing inline, and nobody's page around ours.
  'content-security-policy':
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
};

const NOT_BUILT = `<!doctype html>
<html lang="en">
<title>bootswarm: the web page is not built</title>
<h1>The web page is not built</h1>
<p>The tracker runs, and its page is missing. In a clone of bootswarm, build it with</p>
<pre>npm run page</pre>
<p>and load this page again; the tracker need not be restarted.</p>
<p>Without it: <code>bootswarm watch</code> shows the same in a terminal,
<a href="/v1/overview">/v1/overview</a> as JSON, and <a href="/v1/openapi.json">/v1/openapi.json</a>
says what else there is.</p>
</html>
`;

export class WebPage {
  readonly #directory: string;

  constructor(directory = PAGE_DIR) {
    this.#directory = directory;
  }

  /** `/`. Says how to build the page when it is not built. */
  async sendIndex(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await this.#read('index.html');
    if (body !== undefined) return send(request, response, body, HTML_TYPE, ASK_FIRST);
    const headers = { ...HEADERS, 'content-type': HTML_TYPE, 'cache-control': 'no-store' };
    response.writeHead(503, headers).end(NOT_BUILT);
  }

  /** `/ui/NAME`. Throws OperatorError `page-file-not-found`. */
  async sendFile(request: IncomingMessage, response: ServerResponse, name: string): Promise<void> {
    const [, extension] = FILE_NAME.exec(name) ?? [];
    const body = extension === undefined ? undefined : await this.#read(name);
    if (extension === undefined || body === undefined) {
      throw new OperatorError(
        'page-file-not-found',
        'The web page has no such file',
        'Load the page anew: it may have been built again since.',
      );
    }
    const caching = HASHED_NAME.test(name) ? FOR_EVER : ASK_FIRST;
    send(request, response, body, TYPES[extension], caching);
  }

  async #read(name: string): Promise<Buffer | undefined> {
    try {
      return await readFile(join(this.#directory, name));
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw error;
    }
  }
}

function send(
  request: IncomingMessage,
  response: ServerResponse,
  body: Buffer,
  type: string,
  caching: string,
): void {
  const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 27)}"`;
  const headers = { ...HEADERS, 'cache-control': caching, etag };
  if (request.headers['if-none-match'] === etag) {
    response.writeHead(304, headers).end();
    return;
  }
  response.writeHead(200, { ...headers, 'content-type': type, 'content-length': body.length });
  response.end(body);
}
