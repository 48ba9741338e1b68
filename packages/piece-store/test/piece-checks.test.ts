import { describe, expect, it } from 'vitest';
import { pieceBuffersOf } from '../src/piece-buffers.ts';
import { PieceChecks } from '../src/piece-checks.ts';
import { makeImage, type TestImage } from './test-image.ts';

/** The piece in a buffer that threads share. */
function shared(image: TestImage, pieceIndex: number, flippedByte?: number): Uint8Array {
  const bytes = pieceBuffersOf(image.metainfo.pieceLength).take();
  bytes.set(image.piece(pieceIndex));
  if (flippedByte !== undefined) bytes[flippedByte] ^= 1;
  return bytes;
}

function verdictsOf(checks: PieceChecks, pieces: readonly Uint8Array[]): Promise<boolean[]> {
  const verdicts: boolean[] = [];
  const { promise, resolve } = Promise.withResolvers<boolean[]>();
  for (const [pieceIndex, piece] of pieces.entries()) {
    checks.check(pieceIndex, piece, (isGood) => {
      verdicts[pieceIndex] = isGood;
      if (Object.keys(verdicts).length === pieces.length) resolve(verdicts);
    });
  }
  return promise;
}

describe('PieceChecks', () => {
  it.each([16, 64, 128, 256])(
    'tells right pieces of %i KiB from those with a wrong byte anywhere',
    async (kib) => {
      const pieceLength = kib * 1024;
      const pieceCount = Math.ceil((2 * 1024 * 1024) / pieceLength);
      const image = makeImage({ pieceCount, pieceLength });
      const wrong = new Map([
        [1, 0],
        [3, pieceLength - 1],
        [pieceCount - 1, pieceLength / 2],
      ]);
      const pieces = Array.from({ length: pieceCount }, (_, index) =>
        shared(image, index, wrong.get(index)),
      );
      const verdicts = await verdictsOf(new PieceChecks(image.layer, pieceLength), pieces);
      expect(verdicts).toEqual(pieces.map((_, index) => !wrong.has(index)));
    },
  );

  it('knows the short last piece, and memory that no thread shares, within the call', () => {
    const image = makeImage({ pieceCount: 3, pieceLength: 65_536, lastBytes: 32_768 });
    const checks = new PieceChecks(image.layer, 65_536);
    const verdicts: boolean[] = [];
    checks.check(0, image.piece(0), (isGood) => verdicts.push(isGood));
    checks.check(1, image.piece(0), (isGood) => verdicts.push(isGood));
    checks.check(2, image.piece(2), (isGood) => verdicts.push(isGood));
    expect(verdicts).toEqual([true, false, true]);
  });

  it('hashes within the call what is more than may wait', () => {
    const image = makeImage({ pieceCount: 2, pieceLength: 1024 * 1024 });
    const checks = new PieceChecks(image.layer, 1024 * 1024);
    const piece = shared(image, 0);
    let done = 0;
    for (let count = 0; count < 8; count += 1) checks.check(0, piece, () => (done += 1));
    expect(done).toBe(0);
    checks.check(0, piece, () => (done += 1));
    expect(done).toBe(1);
  });
});
