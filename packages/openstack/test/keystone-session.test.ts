import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { GlanceClient, KeystoneSession } from '../src/index.ts';
import { endless, garbage, HostileServer, json, redirect } from './hostile-server.ts';

const ID = '6f0b2e5e-8d8c-4c0c-9c5e-0b6a3e1f7a42';
const TOKENS = '/v3/auth/tokens';
const SECRET = 'never-to-be-shown';

let server: HostileServer;
let session: KeystoneSession;

beforeEach(async () => {
  server = await HostileServer.start();
  session = sessionOf({});
  issue(3_600);
});

afterEach(() => server.stop());

function sessionOf(more: { region?: string }): KeystoneSession {
  return new KeystoneSession({
    ...{ authUrl: server.url, id: 'cred', secret: SECRET, interface: 'internal' },
    ...more,
  });
}

/** Tokens t1, t2 … that live so long, on a clock that is a year behind ours. */
function issue(seconds: number, catalog: unknown = catalogOf(server.url.href)): void {
  let count = 0;
  server.answers.set(TOKENS, (response, request) => {
    count += 1;
    const issued = Date.now() - 365 * 86_400_000;
    const token = {
      issued_at: new Date(issued).toISOString(),
      expires_at: new Date(issued + seconds * 1_000).toISOString(),
      catalog,
    };
    json({ token }, 201, { 'x-subject-token': `t${count}` })(response, request);
  });
}

function catalogOf(url: string): unknown {
  return [
    {
      type: 'compute',
      endpoints: [{ interface: 'internal', region_id: 'a', url: 'http://wrong' }],
    },
    {
      type: 'image',
      endpoints: [
        { interface: 'public', region_id: 'a', url: 'http://wrong' },
        { interface: 'internal', region_id: 'b', url: 'http://of-b/v2/' },
        { interface: 'internal', region_id: 'a', url },
      ],
    },
  ];
}

function tokensAsked(): number {
  return server.asked.filter((each) => each.startsWith(`POST ${TOKENS}`)).length;
}

describe('a token', () => {
  test('is asked for once by many, and used until it nears its end, whatever the clocks say', async () => {
    const all = await Promise.all(Array.from({ length: 20 }, () => session.headers()));
    expect(all.every((headers) => headers['x-auth-token'] === 't1')).toBe(true);
    await session.endpoint();
    expect(tokensAsked()).toBe(1);
  });

  test('that is about to expire is replaced before it does', async () => {
    // Half of its life is less than it takes to ask for it.
    issue(0.001);
    await session.headers();
    expect(await session.headers()).toEqual({ 'x-auth-token': 't2' });
  });

  test('that Glance refuses is replaced once', async () => {
    const path = `/v2/images/${ID}`;
    server.answers.set(path, (response, request) => {
      const isNew = request.headers['x-auth-token'] === 't2';
      json({}, isNew ? 404 : 401)(response, request);
    });
    const client = new GlanceClient(session);
    issueGlanceHere();
    expect(await client.image(ID)).toBeUndefined();
    server.answers.set(path, json({}, 401));
    await expect(client.image(ID)).rejects.toMatchObject({ code: 'openstack-refused' });
    expect(tokensAsked()).toBe(3);
  });

  test.each([
    ['a credential that is wrong', json({}, 401), 'openstack-refused'],
    ['a redirect', redirect, 'openstack-answer'],
    ['no JSON', garbage, 'openstack-answer'],
    ['an answer without end', endless, 'openstack-answer'],
    ['an answer without a token', json({ token: {} }, 201), 'openstack-answer'],
    [
      'a token without an end',
      json({ token: {} }, 201, { 'x-subject-token': 't' }),
      'openstack-answer',
    ],
    ['a server that fails', json({}, 500), 'openstack-unreachable'],
  ])('%s is told without the secret', async (_, answer, code) => {
    server.answers.set(TOKENS, answer);
    const error = await session.headers().catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code });
    expect(JSON.stringify([String(error), (error as { hint: string }).hint])).not.toContain(SECRET);
  });

  function issueGlanceHere(): void {
    issue(3_600, [{ type: 'image', endpoints: [{ interface: 'internal', url: server.url.href }] }]);
  }
});

describe('the endpoint', () => {
  test('is that of our side and region, without its version', async () => {
    expect((await sessionOf({ region: 'b' }).endpoint()).href).toBe('http://of-b/');
    expect((await sessionOf({ region: 'a' }).endpoint()).href).toBe(server.url.href);
  });

  test.each([
    ['region', catalogOf('http://x'), 'c'],
    [
      'URL',
      [{ type: 'image', endpoints: [{ interface: 'internal', url: 'file:///etc' }] }],
      undefined,
    ],
    ['list', 'nothing', undefined],
    ['endpoint', [{ type: 'image', endpoints: [null, 7] }, null], undefined],
  ])('without a usable %s is told', async (_, catalog, region) => {
    issue(3_600, catalog);
    await expect(sessionOf({ region }).endpoint()).rejects.toMatchObject({
      code: 'openstack-catalog',
    });
  });
});
