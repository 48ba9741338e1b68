import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CatalogueClient } from '../src/catalogue-client.ts';
import {
  type Answer,
  answer,
  CatalogueServer,
  KEY_HEX,
  OTHER_KEY,
  type SignedImage,
  signedImage,
} from './catalogue-server.ts';

const IMAGE = signedImage('debian 12');
const SUMMARY = `/v1/images/${encodeURIComponent('debian 12')}`;
const METAINFO = `/v1/images/${IMAGE.id}/metainfo`;
const LAYER = `/v1/images/${IMAGE.id}/piece-layer`;

let server: CatalogueServer;
let client: CatalogueClient;

beforeEach(async () => {
  server = await CatalogueServer.start(IMAGE);
  client = new CatalogueClient(`${server.url}/`);
});

afterEach(() => server.stop());

/** Says that more will come, and breaks off. */
const brokenOff: Answer = (response) => {
  response.writeHead(200, { 'content-length': 1_000 });
  response.write('{"id"', () => response.destroy());
};

/** Goes on for as long as anybody reads. */
const endless: Answer = (response) => {
  const more = () => response.write(Buffer.alloc(65_536, 0x20), more);
  more();
};

describe('a name', () => {
  test('is resolved to the id', async () => {
    expect(await client.resolve('debian 12')).toBe(IMAGE.id);
    expect(await client.resolve(IMAGE.id.slice(0, 12))).toBe(IMAGE.id);
    expect(server.asked[0]).toBe('/v1/images/debian%2012');
  });

  test('that the tracker does not know is not found', async () => {
    await expect(client.resolve('../nodes?')).rejects.toMatchObject({
      code: 'image-not-found',
      message: expect.stringContaining('../nodes?'),
      hint: expect.stringContaining('bootswarm images'),
    });
    expect(server.asked).toEqual(['/v1/images/..%2Fnodes%3F']);
  });

  test('by which Glance calls an image is told in the words of the tracker', async () => {
    const hint = 'Images of Glance go by their id there: 5f6a.';
    const body = JSON.stringify({ code: 'image-not-found', hint });
    server.answers.set('/v1/images/debian', answer(404, body));
    await expect(client.resolve('debian')).rejects.toMatchObject({ code: 'image-not-found', hint });
  });

  test('that may be several images is told in the words of the tracker', async () => {
    server.answers.set(SUMMARY, answer(409, '{"detail":"a1 or a2?","hint":"Give more."}'));
    await expect(client.resolve('debian 12')).rejects.toMatchObject({
      ...{ code: 'image-ambiguous', message: 'a1 or a2?', hint: 'Give more.' },
    });
  });

  test.each(['', 'null', '[]', '{"detail":7,"hint":{}}'])(
    'that may be several images is told in our words when those make no sense: %s',
    async (body) => {
      server.answers.set(SUMMARY, answer(409, body));
      await expect(client.resolve('debian 12')).rejects.toMatchObject({
        code: 'image-ambiguous',
        message: 'debian 12 may be more than one image',
        hint: 'Give the image id.',
      });
    },
  );

  test.each(['', 'null', '7', '{', '{}', '{"id":7}', '{"id":"abc"}', '{"id":"../../etc"}'])(
    'is not taken from an answer that makes no sense: %s',
    async (body) => {
      server.answers.set(SUMMARY, answer(200, body));
      await expect(client.resolve('debian 12')).rejects.toMatchObject({ code: 'tracker-answer' });
    },
  );
});

describe('a tracker', () => {
  test.each([400, 401, 500, 503, 204])(
    'that answers %d is told with the status',
    async (status) => {
      server.answers.set(SUMMARY, answer(status));
      await expect(client.resolve('debian 12')).rejects.toMatchObject({
        code: 'tracker-answer',
        message: expect.stringContaining(`HTTP status ${status}`),
      });
    },
  );

  test('that does not run is unreachable, with the reason', async () => {
    await server.stop();
    await expect(client.resolve('debian 12')).rejects.toMatchObject({
      code: 'tracker-unreachable',
      message: expect.stringMatching(/ECONNREFUSED/),
      hint: expect.stringContaining('--tracker'),
    });
  });

  test('that breaks off in the middle of an answer is unreachable', async () => {
    server.answers.set(SUMMARY, brokenOff);
    await expect(client.resolve('debian 12')).rejects.toMatchObject({
      code: 'tracker-unreachable',
    });
  });

  test('is not followed to another one', async () => {
    server.answers.set(SUMMARY, (response) => {
      response.writeHead(302, { location: `/v1/images/${IMAGE.id}` }).end();
    });
    await expect(client.resolve('debian 12')).rejects.toMatchObject({
      code: 'tracker-unreachable',
    });
    expect(server.asked).toHaveLength(1);
  });

  test.each([SUMMARY, METAINFO, LAYER])('cannot send us more than fits: %s', async (path) => {
    server.answers.set(path, endless);
    const asked = client
      .resolve('debian 12')
      .then((id) => client.fetchMetainfo(id, undefined))
      .then(({ signed }) => client.fetchLayer(signed.metainfo));
    await expect(asked).rejects.toMatchObject({
      code: 'tracker-answer',
      message: expect.stringMatching(/more than \d+ bytes/),
    });
  });

  test('cannot fill our memory with an error either', async () => {
    server.answers.set(SUMMARY, (response) => {
      response.writeHead(409);
      endless(response);
    });
    await expect(client.resolve('debian 12')).rejects.toMatchObject({ code: 'image-ambiguous' });
  });
});

describe('an image', () => {
  const replaced = (path: string, other: SignedImage) =>
    server.answers.set(path, answer(200, path === LAYER ? other.layer.bytes : other.metainfoBytes));

  test('is fetched with the key that signed it, pinned or not', async () => {
    for (const pinned of [undefined, KEY_HEX]) {
      const { signed, bytes } = await client.fetchMetainfo(IMAGE.id, pinned);
      expect(signed.metainfo).toEqual(IMAGE.metainfo);
      expect(signed.publicKeyHex).toBe(KEY_HEX);
      expect(Buffer.from(bytes)).toEqual(Buffer.from(IMAGE.metainfoBytes));
      const layer = await client.fetchLayer(signed.metainfo);
      expect(Buffer.from(layer.bytes)).toEqual(Buffer.from(IMAGE.layer.bytes));
    }
  });

  test('signed with another key than the pinned one is refused', async () => {
    replaced(METAINFO, signedImage('debian 12', { key: OTHER_KEY }));
    await expect(client.fetchMetainfo(IMAGE.id, KEY_HEX)).rejects.toMatchObject({
      code: 'tracker-answer',
      message: expect.stringContaining('signature-key'),
    });
  });

  test('whose signature is wrong is refused, pinned or not', async () => {
    const bytes = Buffer.from(IMAGE.metainfoBytes);
    // bencode sorts keys: what is under bootswarm comes before the info dictionary.
    const at = bytes.indexOf('9:signature64:') + '9:signature64:'.length;
    bytes[at] ^= 1;
    server.answers.set(METAINFO, answer(200, bytes));
    for (const pinned of [undefined, KEY_HEX]) {
      await expect(client.fetchMetainfo(IMAGE.id, pinned)).rejects.toMatchObject({
        code: 'tracker-answer',
        message: expect.stringContaining('signature-invalid'),
      });
    }
  });

  test('other than the one asked for is refused, however well signed', async () => {
    replaced(METAINFO, signedImage('debian 12', { seed: 2 }));
    await expect(client.fetchMetainfo(IMAGE.id, KEY_HEX)).rejects.toMatchObject({
      code: 'tracker-answer',
      message: expect.stringMatching(/sent the metainfo of [0-9a-f]{40}/),
    });
  });

  test('with the piece layer of another is refused', async () => {
    for (const other of [signedImage('x', { seed: 2 }), signedImage('x', { pieces: 4 })]) {
      replaced(LAYER, other);
      await expect(client.fetchLayer(IMAGE.metainfo)).rejects.toMatchObject({
        code: 'tracker-answer',
        message: expect.stringContaining('piece-layer-mismatch'),
      });
    }
  });

  test('that is gone meanwhile is not found', async () => {
    server.answers.delete(LAYER);
    await expect(client.fetchLayer(IMAGE.metainfo)).rejects.toMatchObject({
      code: 'image-not-found',
    });
  });
});
