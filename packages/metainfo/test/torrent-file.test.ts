import { generateKeyPairSync, sign } from 'node:crypto';
import { ProtocolError } from '@bootswarm/stdx';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type BencodeInput,
  createInfo,
  decode,
  encode,
  encodeTorrent,
  generatePublisherKey,
  keyOfBytes,
  makeSignature,
  openSignedMetainfo,
  parseTorrent,
  publicKeyHex,
  publisherKeyFromPem,
  publisherKeyToPem,
  signMetainfo,
} from '../src/index.ts';
import { dataBytes, hashed, KIB } from './images.ts';

const { metainfo, layer } = hashed(dataBytes(200_000), 64 * KIB);
const small = hashed(dataBytes(100), 64 * KIB);
const key = generatePublisherKey();
const keyHex = publicKeyHex(key);
const signature = makeSignature(metainfo, key);

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof ProtocolError) return error.code;
    throw error;
  }
  return 'none';
}

function torrentWith(changes: Record<string, BencodeInput>): Uint8Array {
  return encode(
    new Map<string, BencodeInput>(
      Object.entries({ info: { bencoded: metainfo.infoBytes }, ...changes }),
    ),
  );
}

describe('torrent file', () => {
  it('carries metainfo, piece layer, signature and tracker', () => {
    const announce = 'http://127.0.0.1:6969/announce';
    const bytes = encodeTorrent({ metainfo, pieceLayer: layer, signature, announce });
    const torrent = parseTorrent(bytes);
    expect(torrent.metainfo).toEqual(metainfo);
    expect(torrent.pieceLayer?.bytes).toEqual(layer.bytes);
    expect(torrent.signature).toEqual(signature);
    const top = decode(bytes, { bytesMax: 10_000 }) as Map<string, Uint8Array>;
    expect([...top.keys()]).toEqual(['announce', 'bootswarm', 'info', 'piece layers']);
    expect(Buffer.from(top.get('announce')!).toString()).toBe(announce);
  });

  it('has no layer for an image of one piece, and none is missed', () => {
    const bytes = encodeTorrent({ metainfo: small.metainfo, pieceLayer: small.layer });
    expect(Buffer.from(bytes).toString('latin1')).toMatch(/12:piece layersdee$/);
    expect(parseTorrent(bytes).pieceLayer?.bytes).toEqual(small.metainfo.piecesRoot);
  });

  it('need not carry a piece layer or a signature', () => {
    expect(parseTorrent(encodeTorrent({ metainfo }))).toEqual({ metainfo });
  });

  it('keeps the info dictionary as it was received', () => {
    const info = new Map<string, BencodeInput>(
      decode(metainfo.infoBytes, { bytesMax: 1000 }) as Map<string, BencodeInput>,
    );
    const infoBytes = encode(info.set('private', 1));
    const { infoHash } = parseTorrent(torrentWith({ info: { bencoded: infoBytes } })).metainfo;
    expect(infoHash).not.toEqual(metainfo.infoHash);
    const again = parseTorrent(
      encodeTorrent(parseTorrent(torrentWith({ info: { bencoded: infoBytes } }))),
    );
    expect(again.metainfo.infoHash).toEqual(infoHash);
  });

  const rootKey = keyOfBytes(metainfo.piecesRoot);
  it.each<[string, Uint8Array, string]>([
    ['no info', encode(new Map([['announce', 'x']])), 'torrent-malformed'],
    ['a list', encode([]), 'bencode-not-a-dictionary'],
    ['unsorted keys', Buffer.from('d4:infode1:ai1ee'), 'bencode-keys-unsorted'],
    ['a text for piece layers', torrentWith({ 'piece layers': 'x' }), 'torrent-malformed'],
    ['layers of other files', torrentWith({ 'piece layers': new Map() }), 'piece-layer-missing'],
    [
      'a layer that is no string',
      torrentWith({ 'piece layers': new Map([[rootKey, 1]]) }),
      'piece-layer-missing',
    ],
    [
      'a wrong layer',
      torrentWith({ 'piece layers': new Map([[rootKey, dataBytes(128)]]) }),
      'piece-layer-mismatch',
    ],
    ['a number for a signature', torrentWith({ bootswarm: 1 }), 'torrent-malformed'],
    [
      'a signature of the version before',
      torrentWith({ bootswarm: new Map([['key', new Uint8Array(32)]]) }),
      'metainfo-version',
    ],
    [
      'a signature of a version to come',
      torrentWith({ bootswarm: new Map([['version', 3]]) }),
      'metainfo-version',
    ],
    [
      'a signature without a key',
      torrentWith({ bootswarm: new Map([['version', 2]]) }),
      'torrent-malformed',
    ],
    [
      'a short key',
      torrentWith({
        bootswarm: new Map<string, BencodeInput>([
          ['key', new Uint8Array(31)],
          ['signature', new Uint8Array(64)],
          ['version', 2],
        ]),
      }),
      'torrent-malformed',
    ],
    [
      'a long signature',
      torrentWith({
        bootswarm: new Map<string, BencodeInput>([
          ['key', new Uint8Array(32)],
          ['signature', new Uint8Array(65)],
          ['version', 2],
        ]),
      }),
      'torrent-malformed',
    ],
  ])('is rejected with %s', (_, bytes, code) => {
    expect(codeOf(() => parseTorrent(bytes))).toBe(code);
  });
});

describe('signed metainfo', () => {
  const signed = signMetainfo(metainfo, key);

  it('opens for whoever pins the key of its publisher, and for whoever pins none', () => {
    expect(openSignedMetainfo(signed, keyHex)).toEqual({ metainfo, publicKeyHex: keyHex });
    expect(openSignedMetainfo(signed, keyHex.toUpperCase()).publicKeyHex).toBe(keyHex);
    expect(openSignedMetainfo(signed).publicKeyHex).toBe(keyHex);
    expect(signed.length).toBeLessThan(500);
  });

  it('may carry the piece layer', () => {
    const bytes = encodeTorrent({ metainfo, pieceLayer: layer, signature });
    expect(openSignedMetainfo(bytes, keyHex).pieceLayer?.bytes).toEqual(layer.bytes);
  });

  it('is refused when it is unsigned, or signed by or for another', () => {
    const other = generatePublisherKey();
    expect(codeOf(() => openSignedMetainfo(encodeTorrent({ metainfo })))).toBe('signature-missing');
    expect(codeOf(() => openSignedMetainfo(signMetainfo(metainfo, other), keyHex))).toBe(
      'signature-key',
    );
    // The pinned key beside another's signature, and a signature of another image.
    const forged = { ...makeSignature(metainfo, other), publicKey: signature.publicKey };
    expect(
      codeOf(() => openSignedMetainfo(encodeTorrent({ metainfo, signature: forged }), keyHex)),
    ).toBe('signature-invalid');
    const moved = encodeTorrent({ metainfo: small.metainfo, signature });
    expect(codeOf(() => openSignedMetainfo(moved, keyHex))).toBe('signature-invalid');
  });

  it('is refused when any bit of it is flipped', () => {
    fc.assert(
      fc.property(fc.nat({ max: signed.length - 1 }), fc.nat({ max: 7 }), (at, bit) => {
        const flipped = signed.slice();
        flipped[at] ^= 1 << bit;
        expect(codeOf(() => openSignedMetainfo(flipped))).not.toBe('none');
      }),
      { numRuns: 1000 },
    );
  });

  it('is refused for any 32 bytes posing as a key', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (publicKey) => {
        const bytes = encodeTorrent({ metainfo, signature: { ...signature, publicKey } });
        expect(codeOf(() => openSignedMetainfo(bytes))).toBe('signature-invalid');
      }),
    );
  });

  it('does not verify as a signature of the bare info hash', () => {
    expect(createInfo(metainfo).infoHash).toEqual(metainfo.infoHash);
    const bare = { ...signature, signature: new Uint8Array(sign(null, metainfo.infoHash, key)) };
    expect(codeOf(() => openSignedMetainfo(encodeTorrent({ metainfo, signature: bare })))).toBe(
      'signature-invalid',
    );
  });
});

describe('publisher key', () => {
  it('survives PEM', () => {
    const pem = publisherKeyToPem(key);
    expect(pem).toMatch(/^-----BEGIN PRIVATE KEY-----/);
    const loaded = publisherKeyFromPem(pem);
    expect(publicKeyHex(loaded)).toBe(keyHex);
    expect(openSignedMetainfo(signMetainfo(metainfo, loaded), keyHex).metainfo).toEqual(metainfo);
  });

  it('is refused when it is something else', () => {
    const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey;
    for (const pem of ['', 'x', rsa.export({ type: 'pkcs8', format: 'pem' }) as string]) {
      expect(() => publisherKeyFromPem(pem)).toThrow(
        expect.objectContaining({ code: 'publisher-key' }),
      );
    }
  });
});
