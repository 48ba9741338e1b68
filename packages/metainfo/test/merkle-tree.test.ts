import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  fold,
  foldable,
  leavesOf,
  PieceTree,
  padHash,
  proofOf,
  rootOf,
  rootOfProof,
  zeroHash,
  zeroPieceHash,
} from '../src/merkle-tree.ts';
import { dataBytes, KIB } from './images.ts';
import { referenceLayer, referenceRoot, referenceTree, sha256 } from './reference-tree.ts';

describe('merkle tree', () => {
  it('knows the hashes of padding and of zeros', () => {
    const pad1 = sha256(Buffer.alloc(64));
    expect(Buffer.from(padHash(0))).toEqual(Buffer.alloc(32));
    expect(padHash(1)).toEqual(pad1);
    expect(padHash(2)).toEqual(sha256(pad1, pad1));
    for (const level of [0, 1, 2, 6]) {
      expect(zeroHash(level)).toEqual(referenceRoot(Buffer.alloc(16 * KIB * 2 ** level)));
    }
  });

  it('matches a vector computed by hand: three blocks of one byte value each', () => {
    // python: h=lambda b: hashlib.sha256(b).digest(); h(h(h(b'a'*16384)+h(b'b'*16384))+h(h(b'c'*100)+bytes(32)))
    const image = Buffer.concat([
      Buffer.alloc(16_384, 'a'),
      Buffer.alloc(16_384, 'b'),
      Buffer.alloc(100, 'c'),
    ]);
    expect(Buffer.from(rootOf(leavesOf(image), 0)).toString('hex')).toBe(
      '6745cd3dd5e66eb4754995c1d95784ad85f2b9afdbbf03128036019543dc2393',
    );
  });

  it('computes the root of any number of nodes', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 * 16 * KIB }), (length) => {
        const image = dataBytes(length, length);
        expect(Buffer.from(rootOf(leavesOf(image), 0))).toEqual(referenceRoot(image));
      }),
      { numRuns: 50 },
    );
  });

  it('folds runs of equal nodes like any others', () => {
    const [a, b] = [sha256(Buffer.from('a')), sha256(Buffer.from('b'))];
    // A first byte in common with the node before, and nothing else.
    const c = Buffer.from(b);
    c[0] = a[0];
    fc.assert(
      fc.property(fc.array(fc.constantFrom(a, b, c), { minLength: 1, maxLength: 40 }), (nodes) => {
        const level = nodes.map((node) => node);
        while (!Number.isInteger(Math.log2(level.length))) level.push(Buffer.alloc(32));
        let expected = level;
        while (expected.length > 1) {
          expected = expected
            .filter((_, index) => index % 2 === 0)
            .map((node, index) => sha256(node, expected[2 * index + 1]));
        }
        expect(Buffer.from(rootOf(Buffer.concat(nodes), 0))).toEqual(expected[0]);
      }),
    );
  });

  it('pads a level above the leaves with the hash of missing leaves', () => {
    const image = dataBytes(5 * 64 * KIB);
    const layer = referenceLayer(image, 64 * KIB);
    expect(Buffer.from(rootOf(layer, 2))).toEqual(referenceRoot(image));
    const work = foldable(layer);
    expect(fold(work, 5, 2, 1)).toBe(3);
    expect(work.subarray(0, 96)).toEqual(Buffer.concat(referenceTree(image)[3].slice(0, 3)));
  });

  it('hashes pieces one after another, whatever the one before was', () => {
    const tree = new PieceTree(8);
    const pieces = fc.record({
      length: fc.oneof(
        fc.integer({ min: 1, max: 8 * 16 * KIB }),
        fc.integer({ min: 1, max: 8 }).map((blocks) => blocks * 16 * KIB),
      ),
      isZero: fc.boolean(),
    });
    fc.assert(
      fc.property(pieces, ({ length, isZero }) => {
        const piece = isZero ? new Uint8Array(length) : dataBytes(length, length);
        // Eight leaves, the missing ones 32 zero bytes, as in a piece at the end of a larger image.
        const leaves: Uint8Array[] = [];
        for (let offset = 0; offset < length; offset += 16 * KIB) {
          leaves.push(sha256(piece.subarray(offset, offset + 16 * KIB)));
        }
        while (leaves.length < 8) leaves.push(Buffer.alloc(32));
        const [a, b, c, d, e, f, g, h] = leaves;
        const expected = sha256(
          sha256(sha256(a, b), sha256(c, d)),
          sha256(sha256(e, f), sha256(g, h)),
        );
        expect(Buffer.from(tree.hash(piece))).toEqual(expected);
        if (isZero) expect(Buffer.from(zeroPieceHash(length, 8))).toEqual(expected);
      }),
      { numRuns: 60 },
    );
  });
});

describe('proof', () => {
  it('proves a block against its piece and a piece against the root, and nothing else', () => {
    const pieceLength = 64 * KIB;
    const image = dataBytes(7 * pieceLength - 20_000);
    const root = referenceRoot(image);
    const layer = referenceLayer(image, pieceLength);
    for (let piece = 0; piece < 7; piece += 1) {
      const node = layer.subarray(piece * 32, piece * 32 + 32);
      const uncles = proofOf(layer, 2, piece);
      expect(uncles).toHaveLength(3);
      expect(Buffer.from(rootOfProof(node, piece, uncles))).toEqual(root);
      expect(Buffer.from(rootOfProof(node, piece ^ 1, uncles))).not.toEqual(root);
    }
    const leaves = leavesOf(image.subarray(0, pieceLength));
    for (let block = 0; block < 4; block += 1) {
      const leaf = sha256(image.subarray(block * 16 * KIB, (block + 1) * 16 * KIB));
      const uncles = proofOf(leaves, 0, block);
      expect(Buffer.from(rootOfProof(leaf, block, uncles))).toEqual(layer.subarray(0, 32));
      uncles[1][5] ^= 1;
      expect(Buffer.from(rootOfProof(leaf, block, uncles))).not.toEqual(layer.subarray(0, 32));
    }
  });

  it('is empty where the node is the root', () => {
    const root = sha256(Buffer.from('root'));
    expect(proofOf(root, 3, 0)).toEqual([]);
    expect(Buffer.from(rootOfProof(root, 0, []))).toEqual(root);
  });
});
