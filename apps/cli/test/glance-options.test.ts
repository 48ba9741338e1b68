import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GlanceClient } from '@bootswarm/openstack';
import { Command } from 'commander';
import { afterAll, describe, expect, test } from 'vitest';
import {
  type FollowOptions,
  followSettings,
  type ProxyOptions,
  proxySettings,
  withFollowOptions,
  withProxyOptions,
} from '../src/glance-options.ts';

const ID = '6f0b2e5e-8d8c-4c0c-9c5e-0b6a3e1f7a42';
const KEYSTONE = {
  OS_AUTH_URL: 'http://keystone:5000/v3',
  OS_APPLICATION_CREDENTIAL_ID: 'id',
  OS_APPLICATION_CREDENTIAL_SECRET: 'of-the-environment',
};
const directory = mkdtempSync(join(tmpdir(), 'glance-options-'));
afterAll(() => rmSync(directory, { recursive: true }));

function parsed<T extends object>(add: (command: Command) => Command, args: string[]): T {
  const command = add(new Command('x').exitOverride().configureOutput({ writeErr: () => {} }));
  return command.parse(args, { from: 'user' }).opts<T>();
}

function follow(args: string[], env: Record<string, string> = {}) {
  return followSettings(parsed<FollowOptions>(withFollowOptions, args), env);
}

function proxy(args: string[], env: Record<string, string> = {}) {
  const add = (command: Command) => withProxyOptions(command).option('--copies <dir>');
  return proxySettings(parsed<ProxyOptions>(add, args), env);
}

describe('a tracker', () => {
  test('that is told nothing follows nothing', async () => {
    expect(await follow([])).toBeUndefined();
  });

  test('follows what is marked, every 15 s, where it is not told otherwise', async () => {
    expect(await follow(['--glance-url', 'http://glance:9292/v2'])).toEqual({
      ...{ url: new URL('http://glance:9292'), selection: 'marked', pollMs: 15_000 },
    });
    expect(await follow([], KEYSTONE)).toMatchObject({
      credentials: { id: 'id', secret: 'of-the-environment' },
    });
  });

  test.each([
    ['active', 'active'],
    ['none', 'none'],
    [`${ID},${ID.toUpperCase()}`, [ID, ID]],
  ])('follows %s', async (text, selection) => {
    const args = ['--glance-url', 'http://g', '--glance-follow', text, '--glance-poll', '0.5'];
    expect(await follow(args)).toMatchObject({ selection, pollMs: 500 });
  });

  test('takes credentials of a file rather than of the environment', async () => {
    const file = join(directory, 'openrc');
    const lines = Object.entries({ ...KEYSTONE, OS_APPLICATION_CREDENTIAL_SECRET: 'of-the-file' });
    const text = lines.map(([name, value]) => `export ${name}=${value}\n`).join('');
    writeFileSync(file, text, { mode: 0o600 });
    expect(await follow(['--openstack-credentials', file], KEYSTONE)).toMatchObject({
      credentials: { secret: 'of-the-file' },
    });
  });

  test.each([
    ['--glance-follow', 'active'],
    ['--glance-poll', '5'],
  ])('that is told %s and no Glance is told what it lacks', async (...args) => {
    await expect(follow(args)).rejects.toMatchObject({ code: 'glance-needed' });
  });

  test.each([
    ['--glance-url', 'http://user:secret@glance'],
    ['--glance-url', 'ftp://glance'],
    ['--glance-follow', 'debian'],
    ['--glance-poll', '0'],
  ])('refuses %s %s', (...args) => {
    expect(() => parsed(withFollowOptions, args)).toThrow();
  });
});

describe('an agent', () => {
  test('has no proxy and no identity unless it is told', async () => {
    expect(await proxy([])).toEqual({ openstackCredentials: undefined });
  });

  test('has a proxy where it is told', async () => {
    const args = ['--glance-proxy', '127.0.0.1:9292', '--glance-url', 'http://glance:9292'];
    expect(await proxy(args, KEYSTONE)).toMatchObject({
      glanceProxy: { host: '127.0.0.1', port: 9292, url: new URL('http://glance:9292') },
      openstackCredentials: { id: 'id' },
    });
  });

  test('copies from the Glance that it is told of, also without a proxy', async () => {
    const { copiesGlance } = await proxy(['--copies', '/copies', '--glance-url', 'http://glance']);
    expect(copiesGlance).toBeInstanceOf(GlanceClient);
    expect(await proxy(['--copies', '/copies'])).toMatchObject({ copiesGlance: undefined });
    expect((await proxy(['--copies', '/c'], KEYSTONE)).copiesGlance).toBeInstanceOf(GlanceClient);
  });

  test.each([
    ['--glance-proxy', '127.0.0.1:9292'],
    ['--glance-url', 'http://glance'],
  ])('that is told %s alone is told what it lacks', async (...args) => {
    await expect(proxy(args)).rejects.toMatchObject({ code: 'glance-needed' });
  });
});
