import { ProtocolError } from '@bootswarm/stdx';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { levelsAbove, PIECE_COUNT_MAX } from '../src/image-shape.ts';
import {
  type BencodeInput,
  type CarriedLayer,
  carryLayer,
  createInfo,
  encodeTorrent,
  generatePublisherKey,
  type Metainfo,
  makePieceLayer,
  makeSignature,
  openSignedMetainfo,
  packedLayerLength,
  packLayer,
  parseTorrent,
  signMetainfo,
  unpackLayer,
} from '../src/index.ts';
import { parseCarriedLayer } from '../src/layer-torrent.ts';
import { rootOf } from '../src/merkle-tree.ts';
import { dataBytes, hashed, imageOf, KIB, pieceLengths, segmentLists } from './images.ts';

const key = generatePublisherKey();
const { metainfo, layer } = hashed(
  imageOf([
    { isHole: false, length: 100_000 },
    { isHole: true, length: 200_000 },
    { isHole: false, length: 70_000 },
  ]),
  64 * KIB,
);
const packed = packLayer(layer);

/** An image of that many pieces of data, of which there are only the hashes. */
function dense(pieceCount: number): { metainfo: Metainfo; carried: CarriedLayer } {
  const pieceLength = 64 * KIB;
  const bytes = dataBytes(pieceCount * 32);
  const piecesRoot = rootOf(bytes, levelsAbove(pieceLength / (16 * KIB)));
  const length = pieceCount * pieceLength;
  const made = createInfo({ name: 'dense', length, pieceLength, piecesRoot });
  return { metainfo: made, ...carryLayer(made, makePieceLayer(made, bytes)) };
}

const large = dense(4_000);

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof ProtocolError) return error.code;
    throw error;
  }
  return 'none';
}

describe('packed piece layer', () => {
  it('is a bit for each piece that is zero, and the hashes of the others', () => {
    expect(layer.zeroCount).toBe(2);
    // Pieces 0 to 5, of which 2 and 3 are zero.
    expect(packed[0]).toBe(0b0011_0000);
    const hashes = [0, 1, 4, 5].map((index) => layer.bytes.subarray(index * 32, index * 32 + 32));
    expect(Buffer.from(packed.subarray(1))).toEqual(Buffer.concat(hashes));
  });

  it('unpacks to the same layer, and its length is known before', () => {
    fc.assert(
      fc.property(segmentLists, pieceLengths, (segments, pieceLength) => {
        const image = hashed(imageOf(segments), pieceLength);
        const bytes = packLayer(image.layer);
        const { pieceCount, zeroCount } = image.layer;
        expect(bytes.length).toBe(packedLayerLength(pieceCount, zeroCount));
        expect(unpackLayer(image.metainfo, bytes).bytes).toEqual(image.layer.bytes);
      }),
    );
  });

  it('is refused when any bit of it is flipped', () => {
    fc.assert(
      fc.property(fc.nat({ max: packed.length - 1 }), fc.nat({ max: 7 }), (at, bit) => {
        const flipped = packed.slice();
        flipped[at] ^= 1 << bit;
        expect(codeOf(() => unpackLayer(metainfo, flipped))).toMatch(/^(packed|piece)-layer-/);
      }),
    );
  });

  it('is refused at any other length, whatever is in it', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        expect(codeOf(() => unpackLayer(metainfo, bytes))).toMatch(/^(packed|piece)-layer-/);
      }),
    );
    expect(codeOf(() => unpackLayer(metainfo, packed.subarray(0, packed.length - 32)))).toBe(
      'packed-layer-malformed',
    );
  });

  it('is refused when a zero piece is not packed as one', () => {
    const bytes = new Uint8Array(1 + layer.bytes.length);
    bytes.set(layer.bytes, 1);
    expect(codeOf(() => unpackLayer(metainfo, bytes))).toBe('packed-layer-malformed');
  });
});

describe('carried layer', () => {
  const open = (signed: Uint8Array) => openSignedMetainfo(signed);

  it('travels in the metainfo while it is small', () => {
    const { carried } = carryLayer(metainfo, layer);
    expect(carried.type).toBe('inline');
    const { pieceLayer, layerTorrent } = open(signMetainfo(metainfo, key, carried));
    expect([pieceLayer?.bytes, layerTorrent]).toEqual([layer.bytes, undefined]);
  });

  it('has a swarm of its own when it is not, of pieces that grow with it and not in number', () => {
    for (const [pieceCount, pieces, pieceLength] of [
      [511, 2, 16],
      [4_000, 8, 16],
      [100_000, 50, 64],
    ]) {
      const { metainfo: image, carried } = dense(pieceCount);
      const { layerTorrent, pieceLayer } = open(signMetainfo(image, key, carried));
      expect(pieceLayer).toBeUndefined();
      expect(layerTorrent?.metainfo).toMatchObject({
        name: `${image.imageId}.layer`,
        length: packedLayerLength(pieceCount, 0),
        pieceCount: pieces,
        pieceLength: pieceLength * KIB,
      });
      expect(layerTorrent?.layer.pieceCount).toBe(pieces);
    }
    expect(dense(508).carried.type).toBe('inline');
  });

  it('is the same whoever publishes the image', () => {
    expect(dense(4_000)).toEqual(large);
  });

  it('adds at most 16 KiB to the metainfo in one form, and 3 KiB in the other', () => {
    for (const [pieceCount, bytesMax] of [
      [508, 17 * KIB],
      [511, 1 * KIB],
      [100_000, 3 * KIB],
    ]) {
      const { metainfo: image, carried } = dense(pieceCount);
      expect(signMetainfo(image, key, carried).length).toBeLessThan(bytesMax);
    }
  });

  it('is not needed in a .torrent with piece layers, and does no harm there', () => {
    const { carried } = carryLayer(metainfo, layer);
    const signature = makeSignature(metainfo, key, carried);
    const torrent = encodeTorrent({
      metainfo,
      pieceLayer: layer,
      carriedLayer: carried,
      signature,
    });
    expect(open(torrent).pieceLayer?.bytes).toEqual(layer.bytes);
    expect(parseTorrent(torrent).carriedLayer).toEqual(carried);
  });

  it('is signed: no other swarm can be put in its place, and none be left out', () => {
    const other = dense(4_001).carried;
    const signature = makeSignature(large.metainfo, key, large.carried);
    for (const carriedLayer of [undefined, { ...large.carried, ...dense(4_000).carried }, other]) {
      const bytes = encodeTorrent({ metainfo: large.metainfo, signature, carriedLayer });
      const isSame = carriedLayer !== undefined && carriedLayer !== other;
      expect(codeOf(() => open(bytes))).toMatch(isSame ? 'none' : /signature-invalid|layer-length/);
    }
  });

  it("is refused inline when the publisher signed one that is not the image's", () => {
    const wrong = packed.slice();
    wrong[40] ^= 1;
    const signed = signMetainfo(metainfo, key, { type: 'inline', packed: wrong });
    expect(codeOf(() => open(signed))).toBe('piece-layer-mismatch');
  });

  const { metainfo: named, layer: hashes } = large.carried as CarriedLayer & { type: 'swarm' };
  const huge = createInfo({ ...named, length: 2 ** 45, pieceLength: 16 * KIB * KIB });
  it.each<[string, BencodeInput, string]>([
    ['a number', 1, 'layer-malformed'],
    ['nothing', new Map(), 'layer-malformed'],
    [
      'both forms',
      new Map([
        ['packed', packed],
        ['info', named.infoBytes],
      ]),
      'layer-malformed',
    ],
    ['no hashes', new Map([['info', named.infoBytes]]), 'layer-malformed'],
    [
      'an inline layer of another length',
      new Map([['packed', packed.subarray(1)]]),
      'layer-length',
    ],
    [
      'an inline layer that is too long',
      new Map([['packed', dataBytes(17 * KIB)]]),
      'layer-length',
    ],
    [
      'a swarm longer than any layer of the image',
      new Map([
        ['info', huge.infoBytes],
        ['hashes', hashes.bytes],
      ]),
      'layer-length',
    ],
    [
      'the hashes of another',
      new Map([
        ['info', named.infoBytes],
        ['hashes', dataBytes(8 * 32)],
      ]),
      'piece-layer-mismatch',
    ],
    [
      'no metainfo',
      new Map([
        ['info', packed],
        ['hashes', hashes.bytes],
      ]),
      'bencode-malformed',
    ],
  ])('is refused as %s', (_, value, code) => {
    const parse = () => parseCarriedLayer(large.metainfo, value as never);
    if (code === 'bencode-malformed') expect(codeOf(parse)).toMatch(/^(bencode|info)-/);
    else expect(codeOf(parse)).toBe(code);
  });

  it('never makes room for more than the longest layer there can be', () => {
    expect(packedLayerLength(PIECE_COUNT_MAX, 0)).toBe(2 ** 22 * 32 + 2 ** 19);
  });
});
