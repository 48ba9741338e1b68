import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GlanceClient, NoAuthSession } from '@bootswarm/openstack';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { CopyStatus } from '../src/api.ts';
import { signedImage } from './catalogue-server.ts';
import { TestAgent } from './test-agent.ts';

const IMAGE = signedImage('debian-12');

let agent: TestAgent;
let directory: string;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'copies-'));
  writeFileSync(join(directory, 'from'), 'bytes');
  agent = await TestAgent.start([IMAGE], { copiesDirectory: directory });
});

afterEach(async () => {
  await agent.end();
  rmSync(directory, { recursive: true, force: true });
});

const at = (name: string): string => join(directory, name);
const post = (body: unknown) => agent.ask('POST', '/v1/copies', body);

async function ended(id: string): Promise<CopyStatus> {
  for (;;) {
    const { body } = await agent.ask('GET', `/v1/copies/${id}`);
    if (['done', 'failed', 'cancelled'].includes((body as CopyStatus).phase))
      return body as CopyStatus;
  }
}

describe('POST /v1/copies', () => {
  test('copies, says how far it is, and forgets it when it is told to', async () => {
    const { status, body } = await post({ from: at('from'), to: at('to') });
    expect(status).toBe(200);
    const { id } = body as CopyStatus;
    expect(await ended(id)).toMatchObject({ phase: 'done', bytesDone: 5, bytesTotal: 5 });
    expect(readFileSync(at('to'), 'utf8')).toBe('bytes');
    const list = await agent.ask('GET', '/v1/copies');
    expect(list.body).toEqual({ copies: [expect.objectContaining({ id })] });
    expect((await agent.ask('DELETE', `/v1/copies/${id}`)).status).toBe(204);
    const gone = await agent.ask('GET', `/v1/copies/${id}`);
    expect(gone).toMatchObject({ status: 404, body: { code: 'copy-not-found' } });
  });

  test('copies from the Glance that the agent may ask', async () => {
    const id = '0b1c2d3e-4f50-4a6b-8c7d-9e0f1a2b3c4d';
    const hash = createHash('sha512').update('of Glance').digest('hex');
    const image = { id, status: 'active', visibility: 'public', size: 9 };
    const described = { ...image, os_hash_algo: 'sha512', os_hash_value: hash };
    const glance = createServer(({ url }, response) => {
      const isFile = url === `/v2/images/${id}/file`;
      response.setHeader('content-type', isFile ? 'application/octet-stream' : 'application/json');
      response.end(isFile ? 'of Glance' : JSON.stringify(described));
    }).listen(0, '127.0.0.1');
    await once(glance, 'listening');
    const url = new URL(`http://127.0.0.1:${(glance.address() as AddressInfo).port}`);
    const copiesGlance = new GlanceClient(new NoAuthSession(url));
    const other = await TestAgent.start([IMAGE], { copiesDirectory: directory, copiesGlance });
    const asked = { from: `glance:${id}`, to: at('to') };
    expect(await other.ask('POST', '/v1/copies', asked)).toMatchObject({ status: 200 });
    await expect.poll(() => existsSync(at('to')), { timeout: 20_000 }).toBe(true);
    expect(readFileSync(at('to'), 'utf8')).toBe('of Glance');
    await other.end();
    glance.close();
    const refused = { code: 'scheme-unknown', hint: expect.stringContaining('--glance-url') };
    expect(await post(asked)).toMatchObject({ status: 400, body: refused });
  });

  test('cancels a copy of an image that does not come', async () => {
    const { body } = await post({ from: 'swarm:debian-12', to: at('to') });
    const { id } = body as CopyStatus;
    expect((await agent.ask('DELETE', `/v1/copies/${id}`)).status).toBe(204);
    expect((await agent.ask('GET', '/v1/copies')).body).toEqual({ copies: [] });
  });

  test('tells why a copy failed', async () => {
    writeFileSync(at('to'), 'precious');
    const { body } = await post({ from: at('from'), to: at('to') });
    const failed = await ended((body as CopyStatus).id);
    expect(failed).toMatchObject({ phase: 'failed', error: { code: 'target-exists' } });
  });

  test.each([
    [400, 'bad-request', {}],
    [400, 'bad-request', { from: 'x' }],
    [400, 'bad-request', { from: 'x', to: 'y', force: 'yes' }],
    [400, 'bad-request', { from: 'x', to: 'y', sha256: 'abc' }],
    [400, 'uri-invalid', { from: '', to: 'y' }],
    [400, 'scheme-unknown', { from: 'ftp://x', to: '/y' }],
    [400, 'scheme-unknown', { from: '/x', to: 'swarm:y' }],
    [403, 'copy-outside', { from: '/etc/passwd', to: 'TO' }],
    [403, 'copy-outside', { from: 'FROM', to: '/tmp/elsewhere' }],
    [403, 'copy-outside', { from: 'FROM', to: 'relative' }],
    [403, 'copy-outside', { from: 'nbd+unix:///?socket=/run/x.sock', to: 'TO' }],
  ])('refuses with %i %s what it cannot use', async (status, code, body) => {
    const paths: Record<string, string> = { FROM: at('from'), TO: at('to') };
    const asked = Object.entries(body).map(([key, value]) => [
      key,
      paths[value as string] ?? value,
    ]);
    const refused = await post(Object.fromEntries(asked));
    // An empty text is missing, which comes first.
    const isEmpty = (body as { from?: string }).from === '';
    expect(refused).toMatchObject({ status, body: { code: isEmpty ? 'bad-request' : code } });
  });

  test('is not led out of its directory by a link', async () => {
    const outside = mkdtempSync(join(tmpdir(), 'outside-'));
    symlinkSync(outside, at('link'));
    mkdirSync(at('inside'));
    const refused = await post({ from: at('from'), to: at('link/to') });
    expect(refused).toMatchObject({ status: 403, body: { code: 'copy-outside' } });
    expect((await post({ from: at('from'), to: at('inside/to') })).status).toBe(200);
    rmSync(outside, { recursive: true });
  });

  test('is off unless the operator has named a directory', async () => {
    const other = await TestAgent.start([IMAGE]);
    const refused = await other.ask('POST', '/v1/copies', { from: at('from'), to: at('to') });
    expect(refused).toMatchObject({ status: 403, body: { code: 'copies-off' } });
    await other.end();
  });
});

describe('POST /v1/images/IMAGE/fill', () => {
  test('says which pieces there are and where, with the layer to check them by', async () => {
    const { body } = await agent.ask('POST', '/v1/images/debian-12/fill');
    const found = body as { image: string; path: string };
    expect(found).toMatchObject({ path: join(agent.cacheDir, found.image, 'cache.raw') });
    const layer = await agent.ask('GET', `/v1/images/${found.image}/piece-layer`);
    expect(layer).toMatchObject({ status: 200, type: 'application/octet-stream' });
  });

  test('refuses what nobody has', async () => {
    const refused = await agent.ask('POST', '/v1/images/nothing/fill');
    expect(refused).toMatchObject({ status: 404, body: { code: 'image-not-found' } });
    const layer = await agent.ask('GET', '/v1/images/nothing/piece-layer');
    expect(layer).toMatchObject({ status: 404, body: { code: 'image-not-found' } });
  });
});
