/**
 * The BEP 52 tree written as the specification reads, all of it in memory: every leaf of the whole image, padded to a power
 * of two, hashed level by level. Shares nothing with the code under test.
 */
import { createHash } from 'node:crypto';

export function sha256(...parts: Uint8Array[]): Buffer {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
}

/** levels[0] are the leaves, the last level is the root alone. */
export function referenceTree(image: Uint8Array): Buffer[][] {
  const leaves: Buffer[] = [];
  for (let offset = 0; offset < image.length; offset += 16_384) {
    leaves.push(sha256(image.subarray(offset, offset + 16_384)));
  }
  while (!Number.isInteger(Math.log2(leaves.length))) leaves.push(Buffer.alloc(32));
  const levels = [leaves];
  for (let below = leaves; below.length > 1; below = levels[levels.length - 1]) {
    const level: Buffer[] = [];
    for (let index = 0; index < below.length; index += 2) {
      level.push(sha256(below[index], below[index + 1]));
    }
    levels.push(level);
  }
  return levels;
}

export function referenceRoot(image: Uint8Array): Buffer {
  return referenceTree(image).at(-1)![0];
}

/** The piece layer without padding; of an image of one piece, the root. */
export function referenceLayer(image: Uint8Array, pieceLength: number): Buffer {
  if (image.length <= pieceLength) return referenceRoot(image);
  const pieceCount = Math.ceil(image.length / pieceLength);
  return Buffer.concat(referenceTree(image)[Math.log2(pieceLength / 16_384)].slice(0, pieceCount));
}
