import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { GlanceClient, NoAuthSession } from '../src/index.ts';
import { brokenOff, endless, garbage, HostileServer, json, redirect } from './hostile-server.ts';

const ID = '6f0b2e5e-8d8c-4c0c-9c5e-0b6a3e1f7a42';
const OTHER = '00000000-0000-4000-8000-000000000001';
const IMAGE = {
  id: ID,
  name: 'debian',
  status: 'active',
  visibility: 'private',
  owner: 'p1',
  disk_format: 'raw',
  container_format: 'bare',
  size: 4096,
  checksum: 'a'.repeat(32),
  os_hash_algo: 'sha512',
  os_hash_value: 'b'.repeat(128),
  bootswarm: 'publish',
};
const PATH = `/v2/images/${ID}`;

let server: HostileServer;
let client: GlanceClient;

beforeEach(async () => {
  server = await HostileServer.start();
  client = new GlanceClient(new NoAuthSession(server.url));
});

afterEach(() => server.stop());

describe('one image', () => {
  test('is told in the fields we use', async () => {
    server.answers.set(PATH, json(IMAGE));
    expect(await client.image(ID)).toEqual({
      ...{ id: ID, name: 'debian', status: 'active', visibility: 'private', owner: 'p1' },
      ...{ diskFormat: 'raw', containerFormat: 'bare', size: 4096, osHashAlgo: 'sha512' },
      ...{ osHashValue: 'b'.repeat(128), checksum: 'a'.repeat(32), mark: 'publish' },
    });
  });

  test('without os_hash_value has its checksum for one', async () => {
    server.answers.set(PATH, json({ ...IMAGE, os_hash_algo: null, os_hash_value: null }));
    expect(await client.image(ID)).toMatchObject({
      osHashAlgo: 'md5',
      osHashValue: 'a'.repeat(32),
    });
  });

  test('that is not there, or not for us, is undefined', async () => {
    expect(await client.image(ID)).toBeUndefined();
    for (const status of [401, 403, 404]) {
      server.answers.set(PATH, json({}, status));
      expect(await client.imageFor({ 'x-auth-token': 'theirs' }, ID)).toBeUndefined();
    }
    expect(server.asked.at(-1)).toBe(`GET ${PATH} theirs`);
  });

  test.each([
    ['a body without end', endless, 'openstack-answer'],
    ['a redirect, which would carry the token away', redirect, 'openstack-answer'],
    ['no JSON', garbage, 'openstack-answer'],
    ['a list', json([IMAGE]), 'openstack-answer'],
    ['another image', json({ ...IMAGE, id: OTHER }), 'openstack-answer'],
    ['a size that is none', json({ ...IMAGE, size: -1 }), 'openstack-answer'],
    ['a status that is none', json({ ...IMAGE, status: 'x\n' }), 'openstack-answer'],
    ['a visibility that nobody knows', json({ ...IMAGE, visibility: 'all' }), 'openstack-answer'],
    ['half an answer', brokenOff, 'openstack-unreachable'],
    ['an overloaded server', json({}, 503), 'openstack-unreachable'],
  ])('%s is refused', async (_, answer, code) => {
    server.answers.set(PATH, answer);
    await expect(client.image(ID)).rejects.toMatchObject({ code, hint: expect.any(String) });
  });

  test('of a silent server is given up when the caller says so', async () => {
    server.answers.set(PATH, () => {});
    const stop = new AbortController();
    const asked = client.image(ID, stop.signal);
    stop.abort(new Error('enough'));
    await expect(asked).rejects.toThrow('enough');
  });

  test('with a hostile name or format has none', async () => {
    server.answers.set(PATH, json({ ...IMAGE, name: ['x'], disk_format: '../../x', bootswarm: 1 }));
    expect(await client.image(ID)).toMatchObject({ name: '', diskFormat: '', mark: undefined });
  });
});

describe('a list', () => {
  const page = (ids: readonly string[], next?: string) =>
    json({ images: ids.map((id) => ({ ...IMAGE, id })), ...(next && { next }) });

  test('is read page by page, by our own marker', async () => {
    server.answers.set('/v2/images', (response, request) => {
      const isFirst = !request.url?.includes('marker=');
      page(isFirst ? [ID] : [OTHER], isFirst ? 'http://elsewhere/steal' : undefined)(
        response,
        request,
      );
    });
    const images = await client.list({ status: 'active', mark: 'publish' });
    expect(images.map(({ id }) => id)).toEqual([ID, OTHER]);
    expect(server.asked).toHaveLength(2);
    expect(server.asked[1]).toContain(`marker=${ID}`);
    expect(server.asked[0]).toContain('status=active&bootswarm=publish');
  });

  test('that repeats itself for ever is read once', async () => {
    server.answers.set('/v2/images', page([ID], '/v2/images?marker=x'));
    expect(await client.list({})).toHaveLength(1);
    expect(server.asked).toHaveLength(2);
  });

  test('leaves out entries that are no images', async () => {
    server.answers.set('/v2/images', json({ images: [null, 7, {}, IMAGE, { ...IMAGE, id: 'x' }] }));
    expect((await client.list({})).map(({ id }) => id)).toEqual([ID]);
  });

  test.each([
    ['no list', json({ images: 'many' })],
    ['a page longer than asked for', json({ images: Array.from({ length: 101 }, () => IMAGE) })],
    ['an error', json({}, 400)],
  ])('that is %s is refused', async (_, answer) => {
    server.answers.set('/v2/images', answer);
    await expect(client.list({})).rejects.toMatchObject({ code: 'openstack-answer' });
  });
});

test('an endpoint with a path keeps it', async () => {
  server.answers.set(`/image${PATH}`, json(IMAGE));
  const behind = new GlanceClient(new NoAuthSession(new URL('/image/', server.url)));
  expect(await behind.image(ID)).toMatchObject({ id: ID });
  expect((await behind.file(ID)).url.pathname).toBe(`/image${PATH}/file`);
});
