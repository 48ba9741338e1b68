import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { TrackerFixture } from './tracker-fixture.ts';

const INDEX = '<!doctype html><title>bootswarm</title>\n';
const SCRIPT = 'document.title = "it runs";\n';

let pageDir: string;
let fixture: TrackerFixture;

beforeEach(async () => {
  pageDir = mkdtempSync(join(tmpdir(), 'page-'));
  fixture = await new TrackerFixture().start({ page: pageDir });
});
afterEach(async () => {
  await fixture.end();
  rmSync(pageDir, { recursive: true });
});

function build(): void {
  writeFileSync(join(pageDir, 'index.html'), INDEX);
  writeFileSync(join(pageDir, 'index-Ab3_x-9Z.js'), SCRIPT);
  writeFileSync(join(pageDir, 'favicon.svg'), '<svg/>');
  writeFileSync(join(pageDir, 'built-from'), 'secret');
  mkdirSync(join(pageDir, 'below.js'));
}

describe('a page that is built', () => {
  beforeEach(build);

  test('is served at /, and may load nothing from elsewhere and nothing inline', async () => {
    const response = await fixture.fetch('/');
    expect(response.status).toBe(200);
    expect(await response.text()).toBe(INDEX);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'content-length': String(INDEX.length),
      'cache-control': 'no-cache',
      'content-security-policy': expect.stringMatching(/^default-src 'self';/),
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
    });
  });

  test('is not sent again to who has it', async () => {
    const etag = (await fixture.fetch('/')).headers.get('etag')!;
    const headers = { 'if-none-match': etag };
    const response = await fixture.fetch('/', { headers });
    expect([response.status, await response.text()]).toEqual([304, '']);
    writeFileSync(join(pageDir, 'index.html'), `${INDEX}<p>anew</p>`);
    const anew = await fixture.fetch('/', { headers });
    expect([anew.status, await anew.text()]).toEqual([200, `${INDEX}<p>anew</p>`]);
  });

  test('has its files with the right types; those whose name has a hash are kept for ever', async () => {
    const script = await fixture.fetch('/ui/index-Ab3_x-9Z.js');
    expect(await script.text()).toBe(SCRIPT);
    expect(script.headers.get('content-type')).toBe('text/javascript; charset=utf-8');
    expect(script.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
    expect(script.headers.get('x-content-type-options')).toBe('nosniff');
    const icon = await fixture.fetch('/ui/favicon.svg');
    expect(icon.headers.get('content-type')).toBe('image/svg+xml');
    expect(icon.headers.get('cache-control')).toBe('no-cache');
  });

  test('answers HEAD without a body', async () => {
    const response = await fixture.fetch('/', { method: 'HEAD' });
    expect(response.status).toBe(200);
    expect(response.headers.get('content-length')).toBe(String(INDEX.length));
    expect(await response.text()).toBe('');
  });

  test.each([
    'built-from',
    'index.html',
    'gone-Ab3_x-9Z.js',
    '..%2f..%2fadmin.token',
    '..%2findex-Ab3_x-9Z.js',
    '%2e%2e%2f',
    '.hidden.js',
    'index-Ab3_x-9Z.js%00.svg',
    `${'x'.repeat(200)}.js`,
    'constructor',
  ])('has no file %s', async (name) => {
    const response = await fixture.fetch(`/ui/${name}`);
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ code: 'page-file-not-found' });
  });
});

test('a page that is not built says how to build it, and is served once it is', async () => {
  const response = await fixture.fetch('/');
  expect(response.status).toBe(503);
  expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
  expect(response.headers.get('cache-control')).toBe('no-store');
  expect(await response.text()).toContain('npm run page');
  build();
  expect(await (await fixture.fetch('/')).text()).toBe(INDEX);
});
