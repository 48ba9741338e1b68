/**
 * How fast images are hashed and pieces verified, against plain SHA-256 over the same bytes. Random data, since zeros are
 * not hashed. Medians of five; usage: node bench/publish/hash-speed.ts [MiB, default 512].
 */
import { createHash, randomFillSync } from 'node:crypto';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInfo, hashImageFile, makePieceLayer, PieceHasher } from '@bootswarm/metainfo';

const MIB = 1024 * 1024;
const RUNS = 5;
const length = Number(process.argv[2] ?? 512) * MIB;
const pieceLength = 64 * 1024;
const image = { length, pieceLength };
const pattern = randomFillSync(Buffer.alloc(64 * MIB));

const directory = await mkdtemp(join(tmpdir(), 'bootswarm-bench-'));
try {
  const path = join(directory, 'image');
  const file = await open(path, 'w');
  for (let offset = 0; offset < length; offset += pattern.length) await file.write(pattern);
  await file.close();

  const plain = await median('createHash over memory', length, () => {
    const hash = createHash('sha256');
    for (let offset = 0; offset < length; offset += pattern.length) hash.update(pattern);
    hash.digest();
  });
  await median('PieceHasher over memory, pushes of 1 MiB', length, () => hashMemory(MIB), plain);
  await median(
    'PieceHasher over memory, pushes of 60,000',
    length,
    () => hashMemory(60_000),
    plain,
  );
  const hashes = await hashImageFile(path, image);
  await median('hashImageFile, page cache', length, () => hashImageFile(path, image), plain);

  const metainfo = createInfo({ name: 'image', ...image, piecesRoot: hashes.piecesRoot });
  const layer = makePieceLayer(metainfo, hashes.pieceLayer);
  const piecesPerPattern = pattern.length / pieceLength;
  await median(
    'PieceLayer.verify',
    length,
    () => {
      for (let index = 0; index < layer.pieceCount; index += 1) {
        const start = (index % piecesPerPattern) * pieceLength;
        if (!layer.verify(index, pattern.subarray(start, start + pieceLength)))
          throw new Error('!');
      }
    },
    plain,
  );

  const data = 100 * MIB;
  const sparse = join(directory, 'sparse');
  const sparseLength = 10 * 1024 * MIB;
  const sparseFile = await open(sparse, 'w');
  await sparseFile.truncate(sparseLength);
  await sparseFile.write(pattern, 0, pattern.length, 5 * 1024 * MIB);
  await sparseFile.write(pattern, 0, data - pattern.length, 7 * 1024 * MIB);
  await sparseFile.close();
  const extents = [
    { offset: 5 * 1024 * MIB, length: pattern.length },
    { offset: 7 * 1024 * MIB, length: data - pattern.length },
  ];
  const sparseImage = { length: sparseLength, pieceLength };
  await median(
    '10 GiB sparse, 100 MiB data, extents given',
    data,
    () => hashImageFile(sparse, { ...sparseImage, extents }),
    plain,
  );
  await median(
    '10 GiB sparse, holes read',
    sparseLength,
    () => hashImageFile(sparse, sparseImage),
    plain,
  );
  const sparseHashes = await hashImageFile(sparse, { ...sparseImage, extents });
  const sparseInfo = createInfo({
    name: 'sparse',
    ...sparseImage,
    piecesRoot: sparseHashes.piecesRoot,
  });
  await median('makePieceLayer of 163,840 pieces', 163_840 * 32, () => {
    makePieceLayer(sparseInfo, sparseHashes.pieceLayer);
  });
} finally {
  await rm(directory, { recursive: true });
}

function hashMemory(step: number): void {
  const hasher = new PieceHasher(image);
  while (hasher.offset < length) {
    const start = hasher.offset % pattern.length;
    const end = Math.min(start + step, pattern.length, start + length - hasher.offset);
    hasher.push(pattern.subarray(start, end));
  }
  hasher.finish();
}

/** Prints and returns MB/s. */
async function median(
  name: string,
  bytes: number,
  run: () => unknown,
  plain?: number,
): Promise<number> {
  const seconds: number[] = [];
  for (let round = 0; round < RUNS; round += 1) {
    const start = performance.now();
    await run();
    seconds.push((performance.now() - start) / 1000);
  }
  const middle = seconds.sort((a, b) => a - b)[(RUNS - 1) / 2];
  const rate = bytes / 1e6 / middle;
  const ratio = plain === undefined ? '' : `${(rate / plain).toFixed(2)} × plain`;
  console.log(
    `${name.padEnd(44)} ${rate.toFixed(0).padStart(6)} MB/s  ${(middle * 1000).toFixed(0).padStart(6)} ms  ${ratio}`,
  );
  return rate;
}
