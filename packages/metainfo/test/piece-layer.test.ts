import { ProtocolError } from '@bootswarm/stdx';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createInfo, makePieceLayer, PieceHasher, pieceLengthAt } from '../src/index.ts';
import { dataBytes, hashed, imageOf, KIB, pieceLengths, segmentLists } from './images.ts';
import { referenceTree } from './reference-tree.ts';

describe('PieceLayer', () => {
  it('accepts each piece at its own place and no other bytes', () => {
    fc.assert(
      fc.property(
        segmentLists,
        pieceLengths,
        fc.nat(),
        fc.nat(),
        (segments, pieceLength, at, bit) => {
          const image = imageOf(segments);
          const { metainfo, layer } = hashed(image, pieceLength);
          expect(layer.pieceCount).toBe(Math.ceil(image.length / pieceLength));
          let zeroCount = 0;
          for (let index = 0; index < layer.pieceCount; index += 1) {
            const start = index * pieceLength;
            const piece = image.subarray(start, start + pieceLengthAt(metainfo, index));
            expect(layer.verify(index, piece)).toBe(true);
            const isZero = piece.every((byte) => byte === 0);
            expect(layer.isZero(index)).toBe(isZero);
            if (isZero) zeroCount += 1;
            const wrong = piece.slice();
            wrong[at % wrong.length] ^= 1 << (bit % 8);
            expect(layer.verify(index, wrong)).toBe(false);
          }
          expect(layer.zeroCount).toBe(zeroCount);
        },
      ),
      { numRuns: 30 },
    );
  });

  it('rejects a piece of another length, even one that pads to the same hash', () => {
    const pieceLength = 64 * KIB;
    const { layer } = hashed(dataBytes(pieceLength + 100), pieceLength);
    const image = dataBytes(pieceLength + 100);
    const last = image.subarray(pieceLength);
    expect(layer.verify(1, last)).toBe(true);
    expect(layer.verify(1, last.subarray(0, 99))).toBe(false);
    expect(layer.verify(1, image.subarray(0, pieceLength))).toBe(false);
    expect(layer.verify(1, new Uint8Array())).toBe(false);
    expect(layer.verify(0, image)).toBe(false);
  });

  it('is the pieces root for an image of one piece', () => {
    const { metainfo, layer } = hashed(dataBytes(20_000), 64 * KIB);
    expect(layer.bytes).toEqual(metainfo.piecesRoot);
    expect(layer.pieceCount).toBe(1);
    expect(makePieceLayer(metainfo, metainfo.piecesRoot).verify(0, dataBytes(20_000))).toBe(true);
  });

  it('is refused unless every hash is right and in its place', () => {
    const pieceLength = 16 * KIB;
    const { metainfo, layer } = hashed(dataBytes(5 * pieceLength), pieceLength);
    const refuse = (bytes: Uint8Array) =>
      expect(() => makePieceLayer(metainfo, bytes)).toThrow(
        expect.objectContaining({ name: ProtocolError.name, code: 'piece-layer-mismatch' }),
      );
    for (let index = 0; index < 5; index += 1) {
      const wrong = layer.bytes.slice();
      wrong[index * 32 + 31] ^= 1;
      refuse(wrong);
    }
    refuse(Buffer.concat([layer.bytes.subarray(32), layer.bytes.subarray(0, 32)]));
    refuse(layer.bytes.subarray(32));
    refuse(layer.bytes.subarray(0, 159));
    refuse(Buffer.concat([layer.bytes, new Uint8Array(32)]));
    refuse(new Uint8Array());
  });

  it('knows every node above the pieces, padding included', () => {
    // 600 pieces: levels below and above the one from which nodes are kept.
    const pieceLength = 16 * KIB;
    const image = dataBytes(600 * pieceLength - 5);
    const { layer } = hashed(image, pieceLength);
    const levels = referenceTree(image);
    expect(levels).toHaveLength(11);
    for (const [level, nodes] of levels.entries()) {
      for (const [index, node] of nodes.entries()) {
        if (!node.equals(layer.node(level, index))) {
          expect(Buffer.from(layer.node(level, index)), `node ${index} of level ${level}`).toEqual(
            node,
          );
        }
      }
    }
  });

  it('recognises zero pieces of a large image, the short last one too', () => {
    const length = 100_000 * 64 * KIB + 7;
    const hasher = new PieceHasher({ length, pieceLength: 64 * KIB });
    hasher.skipZeros(77_777 * 64 * KIB);
    hasher.push(dataBytes(1));
    hasher.skipZeros(length - hasher.offset);
    const { pieceLayer, piecesRoot } = hasher.finish();
    const metainfo = createInfo({ name: 'sparse', length, pieceLength: 64 * KIB, piecesRoot });
    const layer = makePieceLayer(metainfo, pieceLayer);
    expect(layer.zeroCount).toBe(100_000);
    expect(layer.isZero(77_777)).toBe(false);
    expect(layer.isZero(100_000)).toBe(true);
  });
});
