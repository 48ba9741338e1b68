import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { LOG_HOOKS } from '@bootswarm/stdx';
import { pino } from 'pino';
import { expect, test } from 'vitest';

const SECRET = 'S3CR3Tx';

test('a log has no secret in it, whichever way it is logged', () => {
  let written = '';
  const sink = new Writable({
    write(chunk, _, done) {
      written += chunk;
      done();
    },
  });
  const log = pino({ level: 'trace', hooks: LOG_HOOKS }, sink);
  const url = `https://user:${SECRET}@glance/v2/file?signature=${SECRET}`;
  log.info(`fetching ${url}`);
  log.info({ url, headers: { authorization: `Bearer ${SECRET}` } }, 'request');
  log.error({ err: new Error(`GET ${url} failed`, { cause: { adminToken: SECRET } }) }, 'failed');
  log.child({ source: url }).warn({ os_password: SECRET }, `with Bearer ${SECRET}`);
  expect(written.trim().split('\n')).toHaveLength(4);
  for (const line of written.trim().split('\n')) expect(JSON.parse(line)).toHaveProperty('msg');
  expect(written).toContain('glance/v2/file');
  expect(written).not.toContain(SECRET);
});

test('every logger of the daemons is made so', () => {
  const apps = join(import.meta.dirname, '../..');
  const sources = readdirSync(apps, { recursive: true, encoding: 'utf8' }).filter((path) =>
    /^(agent|tracker|cli)\/src\/.*\.ts$/.test(path),
  );
  const loggers = sources.flatMap((path) =>
    [...readFileSync(join(apps, path), 'utf8').matchAll(/\bpino\(([\s\S]*?)\}/g)].map(
      ([, options]) => ({
        path,
        options,
      }),
    ),
  );
  expect(loggers.length).toBeGreaterThanOrEqual(4);
  for (const { path, options } of loggers)
    expect([path, options]).toEqual([path, expect.stringContaining('LOG_HOOKS')]);
});
