import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { OperatorError } from '@bootswarm/stdx';
import { describe, expect, test } from 'vitest';
import { type DownloadOptions, downloadImage } from '../src/http-image.ts';
import { SparseFile } from '../src/sparse-file.ts';
import { diskOf, ScratchDirectory } from './disk.ts';
import { type Handler, ImageServer, rangeOf, serveRanges, serveWhole } from './image-server.ts';

const PACE = { silenceMsMax: 2_000, attemptsMax: 3, retryDelayMs: 1, rangeLength: 256 * 1024 };
const IMAGE = diskOf(3_000_001);

async function download(url: URL, options: Partial<DownloadOptions> = {}): Promise<Buffer> {
  await using directory = await ScratchDirectory.create();
  const target = await SparseFile.create(directory.file('disk.raw'));
  try {
    await downloadImage(url, target, {
      lengthMax: 2 ** 40,
      onHead: async () => {},
      pace: PACE,
      ...options,
    });
    return await readFile(target.partialPath);
  } finally {
    await target.discard();
  }
}

/** As toEqual, but not byte by byte. */
function expectSame(bytes: Buffer, image: Buffer): void {
  expect(bytes.equals(image)).toBe(true);
}

/** The code of the OperatorError that a download from `handler` ends with. */
async function failureOf(handler: Handler, options: Partial<DownloadOptions> = {}) {
  await using server = await ImageServer.start(handler);
  const error = await download(server.url, options).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(OperatorError);
  return { code: (error as OperatorError).code, requests: server.ranges.length };
}

describe('a server that serves ranges', () => {
  test('gives the image in ranges that cover it once', async () => {
    await using server = await ImageServer.start(serveRanges(IMAGE));
    expectSame(await download(server.url), IMAGE);
    expect(server.ranges).toHaveLength(Math.ceil(IMAGE.length / PACE.rangeLength));
    expect(new Set(server.ranges).size).toBe(server.ranges.length);
  });

  test('gives an image shorter than a range', async () => {
    const image = diskOf(777);
    await using server = await ImageServer.start(serveRanges(image));
    expectSame(await download(server.url), image);
  });

  test('is asked for the rest only, when it drops the connection in the middle', async () => {
    let served = 0;
    const dropped = new Set<number>();
    await using server = await ImageServer.start((request, response) => {
      const range = rangeOf(request);
      if (range === undefined || dropped.has(range.end)) {
        served += (range?.end ?? 0) - (range?.start ?? 0);
        return serveRanges(IMAGE)(request, response);
      }
      dropped.add(range.end);
      const body = IMAGE.subarray(range.start, range.end);
      response.writeHead(206, {
        'content-length': body.length,
        'content-range': `bytes ${range.start}-${range.start + body.length - 1}/${IMAGE.length}`,
      });
      const half = body.subarray(0, body.length >> 1);
      served += half.length;
      response.write(half, () => response.destroy());
    });
    expectSame(await download(server.url), IMAGE);
    expect(dropped.size).toBeGreaterThan(10);
    // What the socket still held when it was destroyed may be asked for again; a whole image may not.
    expect(served).toBeLessThan(IMAGE.length * 1.6);
  });

  test('may answer with less than it was asked for', async () => {
    await using server = await ImageServer.start((request, response) => {
      const range = rangeOf(request) ?? { start: 0, end: 0 };
      const end = Math.min(range.end, range.start + 50_000);
      request.headers.range = `bytes=${range.start}-${end - 1}`;
      serveRanges(IMAGE)(request, response);
    });
    expectSame(await download(server.url), IMAGE);
  });

  test.each([404, 410])(
    'answers %i: the image does not exist, and is not asked again',
    async (status) => {
      const failure = await failureOf((_, response) => response.writeHead(status).end());
      expect(failure).toEqual({ code: 'source-not-found', requests: 1 });
    },
  );

  test.each([401, 403])('answers %i: the image is forbidden', async (status) => {
    const failure = await failureOf((_, response) => response.writeHead(status).end());
    expect(failure).toEqual({ code: 'source-forbidden', requests: 1 });
  });

  test.each([429, 500, 503])(
    'answers %i: it is asked again, a bounded number of times',
    async (status) => {
      const failure = await failureOf((_, response) => response.writeHead(status).end());
      expect(failure).toEqual({ code: 'source-unavailable', requests: PACE.attemptsMax });
    },
  );

  test('is asked again after a 503 and then believed', async () => {
    let requests = 0;
    // Each range once at most: several are asked for at a time, and chance must not give one of them all the failures.
    const failed = new Set<string | undefined>();
    await using server = await ImageServer.start((request, response) => {
      requests += 1;
      const { range } = request.headers;
      if (requests % 3 === 0 && !failed.has(range)) {
        failed.add(range);
        response.writeHead(503).end();
      } else serveRanges(IMAGE)(request, response);
    });
    expectSame(await download(server.url), IMAGE);
  });

  test('has another version in the middle: the download is refused', async () => {
    let requests = 0;
    const handler: Handler = (request, response) => {
      requests += 1;
      serveRanges(IMAGE, { etag: requests < 4 ? '"a"' : '"b"' })(request, response);
    };
    expect((await failureOf(handler)).code).toBe('source-changed');
  });

  test('has another length in the middle: the download is refused', async () => {
    let requests = 0;
    const handler: Handler = (request, response) => {
      requests += 1;
      serveRanges(requests < 4 ? IMAGE : Buffer.concat([IMAGE, IMAGE]))(request, response);
    };
    expect((await failureOf(handler)).code).toBe('source-changed');
  });

  test('lies about what it sends: the download is refused', async () => {
    const lie = (
      change: (start: number, end: number) => string,
      body: (range: Buffer) => Buffer,
    ) => {
      let requests = 0;
      const handler: Handler = (request, response) => {
        requests += 1;
        const range = rangeOf(request);
        if (requests === 1 || range === undefined) return serveRanges(IMAGE)(request, response);
        response.writeHead(206, { 'content-range': change(range.start, range.end) });
        response.end(body(IMAGE.subarray(range.start, range.end)));
      };
      return failureOf(handler).then(({ code }) => code);
    };
    const same = (range: Buffer) => range;
    const honest = (start: number, end: number) => `bytes ${start}-${end - 1}/${IMAGE.length}`;
    expect(await lie((start, end) => honest(start + 1, end), same)).toBe('http-range-wrong');
    expect(await lie((start, end) => honest(start, end + 1), same)).toBe('http-range-wrong');
    expect(await lie((start) => honest(start, start), same)).toBe('http-range-wrong');
    expect(await lie(() => 'bytes */3', same)).toBe('http-range-wrong');
    expect(await lie(() => 'rubbish', same)).toBe('http-range-wrong');
    expect(await lie(honest, (range) => Buffer.concat([range, range]))).toBe('http-range-wrong');
    expect(await lie(honest, (range) => range.subarray(1))).toBe('source-unavailable');
  });

  test('stops serving ranges in the middle: the download is refused', async () => {
    let requests = 0;
    const handler: Handler = (request, response) => {
      requests += 1;
      (requests === 1 ? serveRanges(IMAGE) : serveWhole(IMAGE))(request, response);
    };
    expect((await failureOf(handler)).code).toBe('http-range-wrong');
  });
});

describe('a server that does not serve ranges', () => {
  test('gives the image in one answer', async () => {
    await using server = await ImageServer.start(serveWhole(IMAGE));
    expectSame(await download(server.url), IMAGE);
    expect(server.ranges).toHaveLength(1);
  });

  test('gives it in chunks, without a length', async () => {
    await using server = await ImageServer.start((_, response) => {
      response.write(IMAGE.subarray(0, 100_000));
      response.end(IMAGE.subarray(100_000));
    });
    expectSame(await download(server.url), IMAGE);
  });

  test.each([400, 416, 501])(
    'refuses a range with %i and is asked for the whole',
    async (status) => {
      await using server = await ImageServer.start((request, response) => {
        if (request.headers.range === undefined) serveWhole(IMAGE)(request, response);
        else response.writeHead(status).end();
      });
      expectSame(await download(server.url), IMAGE);
    },
  );

  test('answers 206 without saying which range, and is asked for the whole', async () => {
    await using server = await ImageServer.start((request, response) => {
      if (request.headers.range === undefined) serveWhole(IMAGE)(request, response);
      else response.writeHead(206).end(IMAGE);
    });
    expectSame(await download(server.url), IMAGE);
  });

  test('breaks off once: the image is asked for from the start again', async () => {
    let requests = 0;
    await using server = await ImageServer.start((request, response) => {
      requests += 1;
      if (requests > 1) return serveWhole(IMAGE)(request, response);
      response.writeHead(200, { 'content-length': IMAGE.length });
      response.write(diskOf(2_000_000, 9), () => response.destroy());
    });
    expectSame(await download(server.url), IMAGE);
    expect(requests).toBe(2);
  });

  test('always sends less than its Content-Length: the download fails', async () => {
    const failure = await failureOf((_, response) => {
      response.writeHead(200, { 'content-length': IMAGE.length });
      response.write(IMAGE.subarray(0, 1_500_000), () => response.destroy());
    });
    expect(failure).toEqual({ code: 'source-unavailable', requests: PACE.attemptsMax });
  });

  test('sends nothing: the image is empty', async () => {
    expect((await failureOf(serveWhole(Buffer.alloc(0)))).code).toBe('image-empty');
    expect((await failureOf((_, response) => response.end())).code).toBe('image-empty');
  });

  test('sends a compressed body: refused', async () => {
    const failure = await failureOf((_, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': 3 }).end('abc');
    });
    expect(failure.code).toBe('http-encoded');
  });

  test('tells no length at all: refused, since a cut could not be seen', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () => socket.end('HTTP/1.0 200 OK\r\n\r\nhalf an image'));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    await expect(download(new URL(`http://127.0.0.1:${port}/`))).rejects.toMatchObject({
      code: 'http-length-unknown',
    });
    server.close();
  });
});

describe('any server', () => {
  test('may redirect, and is asked for the ranges where the redirects end', async () => {
    await using server = await ImageServer.start((request, response) => {
      const hop = Number(/^\/hop(\d)/.exec(request.url ?? '')?.[1] ?? 0);
      if (hop === 0) return serveRanges(IMAGE)(request, response);
      response.writeHead(302, { location: hop === 1 ? 'disk.img' : `/hop${hop - 1}` }).end();
    }, '/hop5');
    expectSame(await download(server.url), IMAGE);
    expect(server.ranges).toHaveLength(5 + Math.ceil(IMAGE.length / PACE.rangeLength));
  });

  test('that redirects in a circle is left after six requests', async () => {
    const failure = await failureOf((request, response) => {
      response.writeHead(302, { location: request.url }).end();
    });
    expect(failure).toEqual({ code: 'http-redirects', requests: 6 });
  });

  test.each(['file:///etc/passwd', 'ftp://127.0.0.1/', 'http://[', undefined])(
    'that redirects to %s is not followed',
    async (location) => {
      const failure = await failureOf((_, response) => {
        response.writeHead(301, location === undefined ? {} : { location }).end();
      });
      expect(failure).toEqual({ code: 'http-redirects', requests: 1 });
    },
  );

  test('that says nothing is given up after the silence allowed', async () => {
    const pace = { ...PACE, silenceMsMax: 50 };
    const failure = await failureOf(() => {}, { pace });
    expect(failure).toEqual({ code: 'source-unavailable', requests: PACE.attemptsMax });
  });

  test('that falls silent in the body is given up and continued', async () => {
    let requests = 0;
    await using server = await ImageServer.start((request, response) => {
      requests += 1;
      if (requests !== 2) return serveRanges(IMAGE)(request, response);
      const { start, end } = rangeOf(request) ?? { start: 0, end: 0 };
      response.writeHead(206, { 'content-range': `bytes ${start}-${end - 1}/${IMAGE.length}` });
      response.write(IMAGE.subarray(start, start + 1000));
    });
    expectSame(await download(server.url, { pace: { ...PACE, silenceMsMax: 100 } }), IMAGE);
  });

  test('that is not there is tried a bounded number of times', async () => {
    const server = await ImageServer.start(() => {});
    await server[Symbol.asyncDispose]();
    await expect(download(server.url)).rejects.toMatchObject({ code: 'source-unavailable' });
  });

  test.each([
    ['in ranges', serveRanges(IMAGE)],
    ['whole', serveWhole(IMAGE)],
    ['in chunks', ((_, response) => void response.end(IMAGE)) as Handler],
  ])('that serves %s more than the limit is refused', async (_, handler) => {
    expect((await failureOf(handler, { lengthMax: 1_000_000 })).code).toBe('image-too-large');
  });

  test.each([
    ['in ranges', serveRanges(IMAGE)],
    ['whole', serveWhole(IMAGE)],
  ])('that serves %s is left when the head is refused', async (_, handler) => {
    const refused = new OperatorError('format-mismatch', 'no', 'no');
    const onHead = () => Promise.reject(refused);
    const failure = await failureOf(handler, { onHead });
    expect(failure).toEqual({ code: 'format-mismatch', requests: 1 });
  });

  test.each([
    ['in ranges', serveRanges(IMAGE)],
    ['whole', serveWhole(IMAGE)],
  ])('that serves %s is left at once when the download is aborted', async (_, handler) => {
    await using server = await ImageServer.start(handler);
    const abort = new AbortController();
    const reason = new Error('enough');
    const onProgress = (bytesDone: number) => {
      if (bytesDone > 500_000) abort.abort(reason);
    };
    await expect(download(server.url, { onProgress, signal: abort.signal })).rejects.toBe(reason);
  });

  test('is asked for no compression, and its credentials are in no message', async () => {
    const headers: string[] = [];
    await using server = await ImageServer.start((request, response) => {
      headers.push(
        String(request.headers['accept-encoding']),
        String(request.headers.authorization),
      );
      response.writeHead(404).end();
    });
    const url = new URL(server.url);
    url.username = 'alice';
    url.password = 'secret';
    url.search = '?signature=secret';
    const error = await download(url).catch((reason: unknown) => reason);
    expect(headers).toEqual(['identity', `Basic ${btoa('alice:secret')}`]);
    expect(String(error)).not.toContain('secret');
    expect(String(error)).not.toContain('alice');
  });

  test('reports progress that ends with all bytes', async () => {
    await using server = await ImageServer.start(serveRanges(IMAGE));
    const seen: [number, number][] = [];
    await download(server.url, { onProgress: (done, total) => seen.push([done, total]) });
    expect(seen.at(-1)).toEqual([IMAGE.length, IMAGE.length]);
    expect(seen.map(([done]) => done)).toEqual(
      seen.map(([done]) => done).toSorted((a, b) => a - b),
    );
  });
});
