import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Bitfield } from '@bootswarm/stdx';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FileSource } from '../src/file-source.ts';
import { builtInSchemes, type CopyOptions, type CopyResult, copy, type Run } from '../src/index.ts';

const MIB = 1024 * 1024;
let directory: string;
let content: Buffer;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'copy-'));
  content = randomBytes(9 * MIB + 5);
  content.fill(0, 3 * MIB, 6 * MIB);
  writeFileSync(at('from'), content);
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

const at = (name: string): string => join(directory, name);
const leftovers = (): string[] => readdirSync(directory).filter((name) => name.startsWith('.'));

function run(from: string, to: string, options: Partial<CopyOptions> = {}): Promise<CopyResult> {
  return copy(from, to, { schemes: builtInSchemes(), ...options }).wait();
}

/** As file:, but ends with an error after so many units; a unit of zeros counts too. */
function failingAfter(unitsUntilFailure: number) {
  return builtInSchemes().register('file', {
    writer: async (uri, isForced) => builtInSchemes().writer(uri)(uri, isForced),
    reader: async ({ rest }) => {
      const source = await FileSource.open(rest);
      const runs = source.runs.bind(source);
      Object.assign(source, {
        cloneable: async () => undefined,
        async *runs(had: Bitfield, signal: AbortSignal): AsyncGenerator<Run> {
          let given = 0;
          for await (const each of runs(had, signal)) {
            if (given === unitsUntilFailure) throw new Error('the cable is out');
            given += each.unitCount;
            yield each;
          }
        },
      });
      return source;
    },
  });
}

describe('copy from a file', () => {
  it('makes a file of the same bytes, with holes for zeros, and leaves nothing else', async () => {
    const result = await run(at('from'), `file:${at('to')}`);
    expect(result).toMatchObject({ length: content.length, to: at('to') });
    expect(readFileSync(at('to')).equals(content)).toBe(true);
    expect(statSync(at('to')).blocks * 512).toBeLessThan(7 * MIB);
    expect(leftovers()).toEqual([]);
  });

  it('goes on where it stopped, with what is still right', async () => {
    await expect(run(at('from'), at('to'), { schemes: failingAfter(5) })).rejects.toThrow('cable');
    expect(existsSync(at('to'))).toBe(false);
    // One of the five units rots meanwhile.
    const data = at('.to.bootswarm-copy/data');
    const rotten = readFileSync(data);
    rotten[MIB + 7] ^= 1;
    writeFileSync(data, rotten);
    const { bytesKept } = await run(at('from'), at('to'), { schemes: failingAfter(100) });
    expect(bytesKept).toBe(4 * MIB);
    expect(readFileSync(at('to')).equals(content)).toBe(true);
    expect(leftovers()).toEqual([]);
  });

  it('leaves nothing of a source whose version nobody can tell', async () => {
    const schemes = failingAfter(5);
    const open = schemes.reader({ scheme: 'file' } as never);
    schemes.register('file', {
      writer: async (uri, isForced) => builtInSchemes().writer(uri)(uri, isForced),
      reader: async (uri, signal) => Object.assign(await open(uri, signal), { version: undefined }),
    });
    await expect(run(at('from'), at('to'), { schemes })).rejects.toThrow('cable');
    expect([existsSync(at('to')), leftovers()]).toEqual([false, []]);
  });

  it('replaces what an earlier attempt has written and not recorded, also with zeros', async () => {
    await expect(run(at('from'), at('to'), { schemes: failingAfter(2) })).rejects.toThrow();
    const data = at('.to.bootswarm-copy/data');
    const bytes = readFileSync(data);
    bytes.fill(0xaa, 2 * MIB);
    writeFileSync(data, bytes);
    await run(at('from'), at('to'), { schemes: failingAfter(100) });
    expect(readFileSync(at('to')).equals(content)).toBe(true);
  });

  it('keeps nothing of a source that is another now', async () => {
    await expect(run(at('from'), at('to'), { schemes: failingAfter(5) })).rejects.toThrow();
    content = randomBytes(content.length);
    writeFileSync(at('from'), content);
    const { bytesKept } = await run(at('from'), at('to'), { schemes: failingAfter(100) });
    expect(bytesKept).toBe(0);
    expect(readFileSync(at('to')).equals(content)).toBe(true);
  });

  it('refuses a source that changes under it, and leaves nothing', async () => {
    const schemes = builtInSchemes().register('file', {
      writer: async (uri, isForced) => builtInSchemes().writer(uri)(uri, isForced),
      reader: async ({ rest }) => {
        const source = await FileSource.open(rest);
        Object.assign(source, { cloneable: async () => undefined });
        truncateSync(at('from'), 2 * MIB);
        return source;
      },
    });
    await expect(run(at('from'), at('to'), { schemes })).rejects.toMatchObject({
      code: 'source-changed',
    });
    expect([existsSync(at('to')), leftovers()]).toEqual([false, []]);
  });

  it('checks a SHA-256 that is given', async () => {
    const sha256 = createHash('sha256').update(content).digest('hex');
    await run(at('from'), at('to'), { sha256: sha256.toUpperCase() });
    const wrong = run(at('from'), at('to2'), { sha256: '0'.repeat(64) });
    await expect(wrong).rejects.toMatchObject({ code: 'digest-mismatch' });
    const none = run(at('from'), at('to2'), { sha256: 'abc' });
    await expect(none).rejects.toMatchObject({ code: 'digest-invalid' });
    expect([existsSync(at('to2')), leftovers()]).toEqual([false, []]);
  });

  it('replaces a file only when it is told to', async () => {
    writeFileSync(at('to'), 'precious');
    await expect(run(at('from'), at('to'))).rejects.toMatchObject({ code: 'target-exists' });
    expect(readFileSync(at('to'), 'utf8')).toBe('precious');
    await run(at('from'), at('to'), { force: true });
    expect(readFileSync(at('to')).equals(content)).toBe(true);
  });

  it.each([
    ['target-no-file', 'from', 'a-directory'],
    ['target-directory-missing', 'from', 'none/to'],
    ['source-not-found', 'none', 'to'],
    ['source-no-file', 'a-directory', 'to'],
    ['source-empty', 'empty', 'to'],
  ])('says %s', async (code, from, to) => {
    mkdirSync(at('a-directory'));
    writeFileSync(at('empty'), '');
    await expect(run(at(from), at(to))).rejects.toMatchObject({ code });
    expect(leftovers()).toEqual([]);
  });

  it('says what can be copied when the scheme is unknown', async () => {
    const asked = run('ftp://host/x', at('to'));
    await expect(asked).rejects.toMatchObject({
      code: 'scheme-unknown',
      hint: expect.stringContaining('file:'),
    });
    await expect(run(at('from'), 'http://host/x')).rejects.toMatchObject({
      code: 'scheme-unknown',
    });
  });

  it('ends when it is cancelled, and keeps nothing unless it is asked to', async () => {
    const abort = new AbortController();
    const task = copy(at('from'), at('to'), { schemes: builtInSchemes(), signal: abort.signal });
    abort.abort();
    await expect(task.wait()).rejects.toMatchObject({ code: 'copy-cancelled' });
    expect(task.progress.phase).toBe('cancelled');
    expect([existsSync(at('to')), leftovers()]).toEqual([false, []]);
  });
});

describe('copy from a web server', () => {
  let server: Server;
  let url: string;
  let etag = '"1"';
  let ranged = true;
  /** Answers that are cut after this many bytes. */
  let cuts: number[] = [];
  let asked: { range: string | undefined; ifRange: unknown }[] = [];

  beforeEach(async () => {
    [etag, ranged, cuts, asked] = ['"1"', true, [], []];
    server = createServer((request, response) => {
      const { range } = request.headers;
      asked.push({ range, ifRange: request.headers['if-range'] });
      const match = ranged ? /^bytes=(\d+)-(\d+)$/.exec(range ?? '') : null;
      const isSame =
        request.headers['if-range'] === undefined || request.headers['if-range'] === etag;
      const [start, end] =
        match && isSame ? [Number(match[1]), Number(match[2]) + 1] : [0, content.length];
      const headers: Record<string, string | number> = { 'content-length': end - start };
      if (etag !== '') headers.etag = etag;
      if (match && isSame) headers['content-range'] = `bytes ${start}-${end - 1}/${content.length}`;
      response.writeHead(match && isSame ? 206 : 200, headers);
      const cut = end - start > 1 ? cuts.shift() : undefined;
      if (cut === undefined) return void response.end(content.subarray(start, end));
      response.write(content.subarray(start, start + cut), () => response.destroy());
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/image.raw`;
  });

  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  it('asks for ranges of one version, and goes on where a connection broke', async () => {
    cuts = [3 * MIB + 100];
    await run(url, at('to'));
    expect(readFileSync(at('to')).equals(content)).toBe(true);
    const again = asked.find(({ range }) => range?.startsWith(`bytes=${3 * MIB}-`));
    expect(again).toEqual({ range: expect.anything(), ifRange: '"1"' });
  });

  it('refuses a server that has another version meanwhile', async () => {
    cuts = [2 * MIB];
    const task = copy(url, at('to'), { schemes: builtInSchemes() });
    server.once('request', () => {
      etag = '"2"';
    });
    await expect(task.wait()).rejects.toMatchObject({ code: 'source-changed' });
    expect([existsSync(at('to')), leftovers()]).toEqual([false, []]);
  });

  it('takes one stream from a server without ranges', async () => {
    ranged = false;
    await run(url, at('to'));
    expect(readFileSync(at('to')).equals(content)).toBe(true);
  });

  it('does not put together what may be of two versions', async () => {
    [ranged, etag, cuts] = [false, '', [MIB, 2 * MIB]];
    // The first answer is the one that tells the length.
    const failed = run(url, at('to'));
    await expect(failed).rejects.toMatchObject({ code: 'source-unavailable' });
    expect(existsSync(at('to'))).toBe(false);
  });
});
