import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GlanceClient } from '@bootswarm/openstack';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { builtInSchemes, type CopyResult, copy } from '../src/index.ts';

const ID = '0b1c2d3e-4f50-4a6b-8c7d-9e0f1a2b3c4d';
const MIB = 1024 * 1024;
const content = randomBytes(9 * MIB + 5);

let directory: string;
let server: Server;
let client: GlanceClient;
/** What Glance says of the image, beside its id. */
let fields: Record<string, unknown>;
/** Of its store: Glance answers 400 where that cannot seek. */
let ranges: 'served' | 'refused';
/** Of the answers to come: after how many bytes the connection breaks. */
let cuts: number[];
/** Each is good for one request, so that it shows when one is used again. */
let tokens: Set<string>;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'copy-glance-'));
  [ranges, cuts, tokens] = ['served', [], new Set()];
  const hash = createHash('sha512').update(content).digest('hex');
  fields = {
    ...{ status: 'active', visibility: 'private', size: content.length },
    ...{ os_hash_algo: 'sha512', os_hash_value: hash },
  };
  server = createServer((request, response) => {
    const token = request.headers['x-auth-token'] as string;
    if (!tokens.delete(token)) return void response.writeHead(401).end();
    if (request.url === `/v2/images/${ID}`) {
      response.writeHead(200, { 'content-type': 'application/json' });
      return void response.end(JSON.stringify({ id: ID, ...fields }));
    }
    if (request.url !== `/v2/images/${ID}/file`) return void response.writeHead(404).end('{}');
    const match = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    if (match && ranges === 'refused') return void response.writeHead(400).end('no ranges');
    const [start, end] = match ? [Number(match[1]), Number(match[2]) + 1] : [0, content.length];
    // As Glance does it: no ETag, no date.
    response.writeHead(match ? 206 : 200, {
      'content-length': end - start,
      ...(match && { 'content-range': `bytes ${start}-${end - 1}/${content.length}` }),
    });
    const cut = end - start > 1 ? cuts.shift() : undefined;
    if (cut === undefined) return void response.end(content.subarray(start, end));
    response.write(content.subarray(start, start + cut), () => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  client = new GlanceClient({
    endpoint: async () => url,
    headers: async () => {
      const token = randomBytes(8).toString('hex');
      tokens.add(token);
      return { 'x-auth-token': token };
    },
    refused: () => false,
  });
});

afterEach(() => {
  server.closeAllConnections();
  server.close();
  rmSync(directory, { recursive: true, force: true });
});

const target = (): string => join(directory, 'to');

function run(image = ID): Promise<CopyResult> {
  return copy(`glance:${image}`, target(), { schemes: builtInSchemes({ glance: client }) }).wait();
}

describe('a copy from Glance', () => {
  it('takes the bytes in one stream, with the token of that moment, where the store cannot seek', async () => {
    ranges = 'refused';
    expect(await run()).toMatchObject({ from: `glance:${ID}`, length: content.length });
    expect(readFileSync(target()).equals(content)).toBe(true);
  });

  it('begins the stream again when it breaks, since the bytes of an image never change', async () => {
    [ranges, cuts] = ['refused', [3 * MIB]];
    await run();
    expect(readFileSync(target()).equals(content)).toBe(true);
  });

  it('puts nothing in place that is not what os_hash_value says', async () => {
    fields.os_hash_value = 'a'.repeat(128);
    ranges = 'refused';
    await expect(run()).rejects.toMatchObject({ code: 'digest-mismatch' });
    expect(existsSync(target())).toBe(false);
  });

  it.each([
    ['glance-unusable', { status: 'queued', size: null }],
    ['digest-unsupported', { os_hash_algo: 'sha3_512' }],
    ['digest-unsupported', { os_hash_algo: null, os_hash_value: null }],
  ])('says %s of an image with %o', async (code, changed) => {
    Object.assign(fields, changed);
    await expect(run()).rejects.toMatchObject({ code });
  });

  it.each(['1b1c2d3e-4f50-4a6b-8c7d-9e0f1a2b3c4d', 'debian', '..%2Ffile'])(
    'finds no %s',
    async (image) => {
      const code = image.includes('%') ? 'uri-invalid' : 'glance-not-found';
      await expect(run(image)).rejects.toMatchObject({ code });
    },
  );

  it('asks for ranges where the store serves them', async () => {
    cuts = [2 * MIB + 100];
    await run();
    expect(readFileSync(target()).equals(content)).toBe(true);
  });

  it('is not what a host without a Glance can do', async () => {
    const task = copy(`glance:${ID}`, target(), { schemes: builtInSchemes() });
    await expect(task.wait()).rejects.toMatchObject({
      code: 'scheme-unknown',
      hint: expect.stringContaining('--glance-url'),
    });
  });
});
