import { once } from 'node:events';
import {
  existsSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ImageSummary, Problem, PublishEvent } from '../src/api.ts';
import { TrackerFixture } from './tracker-fixture.ts';

let fixture: TrackerFixture;
let source: string;

beforeEach(async () => {
  fixture = await new TrackerFixture().start();
  source = fixture.image('disk.raw', [1, 2, 0, 3]);
});

afterEach(() => fixture.end());

const staged = () => readdirSync(join(fixture.dataDir, 'staging'));
const images = async () => (await fixture.json<{ images: ImageSummary[] }>('/v1/images')).images;

describe('publishing', () => {
  test('tells how it goes, ends with the image, and leaves nothing but it', async () => {
    const events = await fixture.publishEvents({ source });
    expect(events.at(-1)).toMatchObject({ type: 'published', alreadyThere: false });
    expect(events.slice(0, -1).every(({ type }) => type === 'progress')).toBe(true);
    expect(events).toContainEqual({
      type: 'progress',
      stage: 'hash',
      bytesDone: 65_536,
      bytesTotal: 65_536,
    });
    const [image] = await images();
    expect((events.at(-1) as PublishEvent & { type: 'published' }).image).toEqual(image);
    expect(image.name).toBe('disk.raw');
    expect(existsSync(join(fixture.dataDir, 'images', image.id, 'disk.raw'))).toBe(true);
    expect(staged()).toEqual([]);
  });

  test('is done at once when the image is there already', async () => {
    const id = await fixture.published({ source, name: 'a' });
    expect(await fixture.publish({ source, name: 'a' })).toMatchObject({
      type: 'published',
      alreadyThere: true,
      image: { id },
    });
    expect(await images()).toHaveLength(1);
    expect(staged()).toEqual([]);
  });

  test('refuses a name that another image has, until that is withdrawn', async () => {
    const first = await fixture.published({ source, name: 'a' });
    const other = { source: fixture.image('other.raw', [9]), name: 'a' };
    expect(await fixture.publish(other)).toMatchObject({ type: 'failed', code: 'name-taken' });
    expect((await fixture.withdraw(first)).status).toBe(204);
    expect(await images()).toEqual([]);
    expect(await fixture.published(other)).not.toBe(first);
    expect(readdirSync(join(fixture.dataDir, 'images'))).toHaveLength(1);
    expect(staged()).toEqual([]);
  });

  test('lets one of two win who publish different images of a name at once, both who publish the same', async () => {
    const other = fixture.image('other.raw', [9]);
    const rivals = await Promise.all([
      fixture.publish({ source, name: 'a' }),
      fixture.publish({ source: other, name: 'a' }),
    ]);
    expect(rivals.map(({ type }) => type).sort()).toEqual(['failed', 'published']);
    const twins = await Promise.all([
      fixture.publish({ source, name: 'b' }),
      fixture.publish({ source, name: 'b' }),
    ]);
    expect(twins.map((event) => event.type === 'published' && event.alreadyThere).sort()).toEqual([
      false,
      true,
    ]);
  });

  test('serves a raw file in place, and marks it damaged when it is gone or short at the next start', async () => {
    const id = await fixture.published({ source, inPlace: true });
    expect(readdirSync(join(fixture.dataDir, 'images', id))).not.toContain('disk.raw');
    expect((await images())[0].state).toBe('ready');
    for (const damage of [() => truncateSync(source, 1_000), () => unlinkSync(source)]) {
      damage();
      await fixture.tracker.close();
      await fixture.start();
      expect((await images())[0]).toMatchObject({ id, state: 'damaged' });
    }
  });

  test('shows nobody the password and the query of a URL', async () => {
    const web = await startWeb((response) => response.end(Buffer.alloc(65_536, 1)));
    const url = new URL(web.url);
    url.search = 'signature=secret';
    await fixture.publish({ source: url.href.replace('//', '//user:secret@'), name: 'a' });
    await web.close();
    expect((await images()).map((image) => image.source)).toEqual([web.url]);
  });

  test('gives up when the caller goes away, and leaves nothing', async () => {
    const web = await startWeb((response) => {
      response.writeHead(200, { 'content-length': 10_000_000 });
      response.write(Buffer.alloc(100_000, 1));
    });
    const gone = new AbortController();
    const response = await fixture.post({ source: web.url }, { signal: gone.signal });
    await web.requested;
    const hungUp = once(web.response(), 'close');
    gone.abort();
    await expect(response.text()).rejects.toThrow();
    await hungUp;
    await web.close();
    // Waits for what is still being cleaned up.
    await fixture.tracker.close();
    expect(staged()).toEqual([]);
    await fixture.start();
    expect(await images()).toEqual([]);
  });
});

describe('whether agents join ahead', () => {
  test('is kept with the image, none unless the publisher says all', async () => {
    const other = fixture.image('other.raw', [9]);
    await fixture.published({ source: other, name: 'a', prejoin: 'all' });
    const id = await fixture.published({ source, name: 'b' });
    await fixture.published({ source, name: 'b', prejoin: 'all' });
    const policies = async () => (await images()).map(({ prejoin }) => prejoin);
    expect(await policies()).toEqual(['all', 'none']);
    await fixture.tracker.close();
    await fixture.start();
    expect(await policies()).toEqual(['all', 'none']);
    expect(await fixture.json(`/v1/images/${id}`)).toMatchObject({ prejoin: 'none' });
  });

  test('is none for an image that was published before there was a choice', async () => {
    const id = await fixture.published({ source, name: 'a', prejoin: 'all' });
    await fixture.tracker.close();
    const path = join(fixture.dataDir, 'images', id, 'image.json');
    const record = JSON.parse(readFileSync(path, 'utf8')) as { image: { prejoin?: string } };
    delete record.image.prejoin;
    writeFileSync(path, JSON.stringify(record));
    await fixture.start();
    expect((await images())[0].prejoin).toBe('none');
  });
});

describe('what cannot be published', () => {
  test('is refused with the field that is wrong', async () => {
    const cases: [unknown, string, number][] = [
      ['', 'body-missing', 400],
      ['{', 'body-malformed', 400],
      ['[]', 'body-malformed', 400],
      ['null', 'body-malformed', 400],
      [{}, 'field-invalid', 400],
      [{ source: 1 }, 'field-invalid', 400],
      [{ source: 'relative/disk.raw' }, 'field-invalid', 400],
      [{ source: '/a\0b' }, 'field-invalid', 400],
      [{ source: `/${'a'.repeat(5_000)}` }, 'field-invalid', 400],
      [{ source: 'file:///etc/passwd' }, 'field-invalid', 400],
      [{ source: 'ftp://host/x' }, 'field-invalid', 400],
      [{ source: 'json:{"driver":"file"}' }, 'field-invalid', 400],
      [{ source, name: 1 }, 'field-invalid', 400],
      [{ source, format: 'vmdk' }, 'field-invalid', 400],
      [{ source, inPlace: 'yes' }, 'field-invalid', 400],
      [{ source, prejoin: 'some' }, 'field-invalid', 400],
      [{ source, prejoin: true }, 'field-invalid', 400],
      [{ source, nmae: 'a' }, 'field-unknown', 400],
      [`{"source": ${JSON.stringify(source)}, "__proto__": {}}`, 'field-unknown', 400],
      ['x'.repeat(40_000), 'body-too-long', 413],
    ];
    for (const [body, code, status] of cases) {
      const response = await fixture.post(body);
      const problem = (await response.json()) as Problem;
      expect([body, problem.code, response.status]).toEqual([body, code, status]);
    }
  });

  test('is refused when it is not plain JSON', async () => {
    const authorization = `Bearer ${fixture.tracker.adminToken}`;
    for (const headers of [
      { authorization },
      { authorization, 'content-type': 'text/plain' },
      { authorization, 'content-type': 'application/json', 'content-encoding': 'gzip' },
    ]) {
      const response = await fixture.post({ source }, { headers });
      expect([response.status, ((await response.json()) as Problem).code]).toEqual([
        415,
        'content-type',
      ]);
    }
  });

  test('fails with a reason and a hint when names or sources are bad', async () => {
    const empty = join(fixture.path, 'empty.raw');
    writeFileSync(empty, '');
    const vmdk = join(fixture.path, 'disk.vmdk');
    writeFileSync(vmdk, Buffer.concat([Buffer.from('KDMV'), Buffer.alloc(65_536)]));
    symlinkSync(join(fixture.path, 'nowhere'), join(fixture.path, 'dangling'));
    const cases: object[] = [
      { source: join(fixture.path, 'nothing.raw') },
      { source: join(fixture.path, 'dangling') },
      { source: fixture.path },
      { source: empty },
      { source: vmdk },
      { source: '/dev/zero' },
      { source, format: 'qcow2' },
      { source: 'http://127.0.0.1:1/disk.raw', inPlace: true },
    ];
    for (const name of ['', 'a/b', '..', 'a\nb', 'a\u202eb', 'n'.repeat(129), 'f'.repeat(40)]) {
      cases.push({ source, name });
    }
    for (const request of cases) {
      const event = await fixture.publish(request);
      expect([request, event]).toEqual([
        request,
        {
          type: 'failed',
          code: expect.not.stringMatching(/^internal$/),
          message: expect.stringMatching(/./),
          hint: expect.stringMatching(/./),
        },
      ]);
    }
    expect(await images()).toEqual([]);
    expect(staged()).toEqual([]);
  });
});

async function startWeb(answer: (response: ServerResponse) => void) {
  const requested = Promise.withResolvers<ServerResponse>();
  let response: ServerResponse | undefined;
  const server = createServer((_, each) => {
    response = each;
    answer(each);
    requested.resolve(each);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/disk.raw`,
    requested: requested.promise,
    response: () => response as ServerResponse,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
