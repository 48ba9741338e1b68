import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packLayer, publicKeyHex } from '@bootswarm/metainfo';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { KnownImages } from '../src/known-images.ts';
import { KEY_HEX, OTHER_KEY, signedImage, signedWith } from './catalogue-server.ts';

const IMAGE = signedImage('debian-12', { pieces: 9 });
const PACKED = packLayer(IMAGE.layer);
/** Its layer does not come with the metainfo. */
const { metainfoBytes: METAINFO } = signedWith(IMAGE, PACKED);

let cache: string;
let known: KnownImages;

beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), 'known-'));
  writeFileSync(join(cache, 'publisher.pub'), `${KEY_HEX}\n`);
  mkdirSync(join(cache, IMAGE.id));
  known = new KnownImages();
});

afterEach(() => rmSync(cache, { recursive: true }));

function keep(name: string, bytes: Uint8Array): void {
  writeFileSync(join(cache, IMAGE.id, name), bytes);
}

/** Two answers are the same object when, and only when, it was remembered. */
function isRemembered(): { metainfo: boolean; layer: boolean } {
  const [signed, signedAgain] = [1, 2].map(() => known.signed(IMAGE.id, METAINFO, KEY_HEX));
  const [layer, layerAgain] = [1, 2].map(() => known.layer(IMAGE.metainfo, PACKED));
  return { metainfo: signed === signedAgain, layer: layer === layerAgain };
}

test('remembers what it saw of an image until it is told to forget', () => {
  keep('metainfo', METAINFO);
  keep('packed-layer', PACKED);
  expect(isRemembered()).toEqual({ metainfo: false, layer: false });
  known.look(cache, undefined);
  expect(isRemembered()).toEqual({ metainfo: true, layer: true });
  expect(known.signed(IMAGE.id, METAINFO, KEY_HEX).metainfo.imageId).toBe(IMAGE.id);
  expect(known.layer(IMAGE.metainfo, PACKED)).toEqual(IMAGE.layer);
  known.forget();
  expect(isRemembered()).toEqual({ metainfo: false, layer: false });
});

test('sees at its next look what has come since', () => {
  known.look(cache, undefined);
  keep('metainfo', METAINFO);
  known.look(cache, undefined);
  expect(isRemembered()).toEqual({ metainfo: true, layer: false });
  keep('packed-layer', PACKED);
  known.look(cache, undefined);
  expect(isRemembered()).toEqual({ metainfo: true, layer: true });
});

test('forgets an image that was evicted, and sees it again when it is back', () => {
  keep('metainfo', METAINFO);
  known.look(cache, undefined);
  rmSync(join(cache, IMAGE.id), { recursive: true });
  known.look(cache, undefined);
  expect(isRemembered()).toEqual({ metainfo: false, layer: false });
  mkdirSync(join(cache, IMAGE.id));
  keep('metainfo', METAINFO);
  known.look(cache, undefined);
  expect(isRemembered()).toEqual({ metainfo: true, layer: false });
});

describe('what it saw is not believed', () => {
  beforeEach(() => {
    keep('metainfo', METAINFO);
    keep('packed-layer', PACKED);
    known.look(cache, undefined);
  });

  test('for other metainfo under the same id', () => {
    const bad = Uint8Array.from(METAINFO);
    bad[bad.length - 40] ^= 1;
    expect(() => known.signed(IMAGE.id, bad, KEY_HEX)).toThrow();
  });

  test('for another layer', () => {
    const bad = Uint8Array.from(PACKED);
    bad[bad.length - 1] ^= 1;
    expect(() => known.layer(IMAGE.metainfo, bad)).toThrow(/not that of the image/);
  });

  test('when another key has to have signed it', () => {
    expect(() => known.signed(IMAGE.id, METAINFO, publicKeyHex(OTHER_KEY))).toThrow(
      'signature-key',
    );
  });
});

test.each([
  ['metainfo that is damaged', METAINFO.subarray(1), PACKED],
  ['metainfo of any length', new Uint8Array(70_000), PACKED],
])('is silent about %s', (_, metainfo, packed) => {
  keep('metainfo', metainfo);
  keep('packed-layer', packed);
  known.look(cache, undefined);
  expect(isRemembered()).toEqual({ metainfo: false, layer: false });
});

test('is silent about a layer that is damaged', () => {
  keep('metainfo', METAINFO);
  keep(
    'packed-layer',
    PACKED.map((byte) => byte ^ 1),
  );
  known.look(cache, undefined);
  expect(isRemembered()).toEqual({ metainfo: true, layer: false });
});

test('is silent where there is no cache, or a key that nobody can read', () => {
  known.look(join(cache, 'none'), undefined);
  writeFileSync(join(cache, 'publisher.pub'), 'no key');
  known.look(cache, undefined);
  expect(isRemembered()).toEqual({ metainfo: false, layer: false });
});
