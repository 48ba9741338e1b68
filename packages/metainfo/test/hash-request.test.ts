import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type HashRequest, hashesFor, rootOfProof } from '../src/index.ts';
import { rootOf } from '../src/merkle-tree.ts';
import { dataBytes, hashed, KIB } from './images.ts';
import { referenceTree } from './reference-tree.ts';

describe('hashesFor', () => {
  it('answers every request of BEP 52 with base hashes and uncles that lead to the root', () => {
    const pieceLength = 32 * KIB;
    const image = dataBytes(37 * pieceLength - 5_000);
    const { metainfo, layer } = hashed(image, pieceLength);
    const [, ...levels] = referenceTree(image);
    const height = levels.length - 1;
    expect(height).toBe(6);
    for (let spanLevel = 1; spanLevel <= height; spanLevel += 1) {
      const length = 2 ** spanLevel;
      for (let index = 0; index < 2 ** height; index += length) {
        for (let proofLayers = 0; proofLayers < height; proofLayers += 1) {
          const request: HashRequest = {
            piecesRoot: metainfo.piecesRoot,
            baseLayer: 1,
            index,
            length,
            proofLayers,
          };
          const uncles: Buffer[] = [];
          // BEP 52: the first log2(length) - 1 proof layers are omitted and still counted.
          for (let level = spanLevel; level <= proofLayers; level += 1) {
            uncles.push(levels[level][(index >> level) ^ 1]);
          }
          const expected = Buffer.concat([...levels[0].slice(index, index + length), ...uncles]);
          const answer = Buffer.from(hashesFor(layer, metainfo, request)!);
          if (!answer.equals(expected)) expect(answer).toEqual(expected);
          if (proofLayers === height - 1) {
            const span = rootOf(answer.subarray(0, length * 32), 1);
            expect(rootOfProof(span, index / length, uncles)).toEqual(metainfo.piecesRoot);
          }
        }
      }
    }
  });

  it('answers when a piece is one block: then the piece layer is the leaves', () => {
    const image = dataBytes(3 * 16 * KIB);
    const { metainfo, layer } = hashed(image, 16 * KIB);
    const request = {
      piecesRoot: metainfo.piecesRoot,
      baseLayer: 0,
      index: 2,
      length: 2,
      proofLayers: 1,
    };
    const [leaves, pairs] = referenceTree(image);
    expect(Buffer.from(hashesFor(layer, metainfo, request)!)).toEqual(
      Buffer.concat([leaves[2], Buffer.alloc(32), pairs[0]]),
    );
  });

  const { metainfo, layer } = hashed(dataBytes(1025 * 32 * KIB), 32 * KIB);
  const good = {
    piecesRoot: metainfo.piecesRoot,
    baseLayer: 1,
    index: 512,
    length: 512,
    proofLayers: 10,
  };

  it('sends 512 hashes and the uncles of a large image', () => {
    expect(hashesFor(layer, metainfo, good)).toHaveLength((512 + 2) * 32);
  });

  it.each<[string, Partial<HashRequest>]>([
    ['another file', { piecesRoot: new Uint8Array(32) }],
    ['a pieces root of another length', { piecesRoot: metainfo.piecesRoot.subarray(1) }],
    ['leaves', { baseLayer: 0 }],
    ['a layer above the pieces', { baseLayer: 2 }],
    ['an index that is no multiple of the length', { index: 256 }],
    ['an index beyond the tree', { index: 2048 }],
    ['an index far beyond the tree', { index: 0xffff_fe00 }],
    ['no hash', { length: 0 }],
    ['one hash', { length: 1 }],
    ['a length that is no power of two', { length: 384, index: 384 }],
    ['more than 512 hashes', { length: 1024, index: 1024 }],
    ['2^31 hashes', { length: 2 ** 31, index: 0 }],
    ['the root as a proof', { proofLayers: 11 }],
    ['2^32 - 1 proof layers', { proofLayers: 0xffff_ffff }],
  ])('rejects a request for %s', (_, change) => {
    expect(hashesFor(layer, metainfo, { ...good, ...change })).toBeUndefined();
  });

  it('rejects any request for an image of one piece, whose root everybody has', () => {
    const one = hashed(dataBytes(32 * KIB), 32 * KIB);
    const request = { ...good, piecesRoot: one.metainfo.piecesRoot, index: 0, length: 2 };
    for (const proofLayers of [0, 1]) {
      expect(hashesFor(one.layer, one.metainfo, { ...request, proofLayers })).toBeUndefined();
    }
  });

  it('never throws and never sends more than was asked for', () => {
    const u32 = fc.oneof(fc.integer({ min: 0, max: 2 ** 32 - 1 }), fc.integer({ min: 0, max: 12 }));
    const powers = fc.integer({ min: 0, max: 31 }).map((power) => 2 ** power);
    fc.assert(
      fc.property(u32, fc.oneof(u32, powers), u32, (index, length, proofLayers) => {
        const request = { ...good, index, length, proofLayers };
        const answer = hashesFor(layer, metainfo, request);
        if (answer !== undefined) {
          expect(answer.length).toBeLessThanOrEqual((length + proofLayers) * 32);
          expect(length).toBeLessThanOrEqual(512);
        }
      }),
      { numRuns: 1000 },
    );
  });
});
