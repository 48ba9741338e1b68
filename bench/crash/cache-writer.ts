/**
 * The process that is killed: `cache-writer.ts DIRECTORY` opens a cache, keeps the missing pieces of one image in it, commits
 * now and then, and closes it. It tells on stdout what it was promised: `kept N`, `lost N`,
 * `discarded`, `refused CODE`, `closed`.
 */
import { writeSync } from 'node:fs';
import { CacheDirectory, CachePieceStore } from '@bootswarm/piece-store';
import { errnoOf, OperatorError } from '@bootswarm/stdx';
import { makeCrashImage } from './crash-image.ts';

/** Pieces asked for at once: one log entry for each, in one write for all of them. */
const PIECES_AT_ONCE = 3;
/** Groups of pieces between two commits. */
const GROUPS_PER_COMMIT = 2;

const image = makeCrashImage();
const { metainfo, layer } = image;

/** Taken by the kernel before it returns, so that no kill can hold it back. */
function tell(line: string): void {
  writeSync(1, `${line}\n`);
}

async function life(directory: string): Promise<void> {
  const cache = await CacheDirectory.open(directory);
  await cache.writeFile(metainfo.imageId, 'metainfo', Buffer.from('not of interest here'));
  const store = await CachePieceStore.open({
    directory: await cache.openImage(metainfo.imageId),
    metainfo,
    layer,
    onEvent: (event) => {
      if (event.type === 'piece-lost') tell(`lost ${event.pieceIndex}`);
      if (event.type === 'cache-discarded') tell('discarded');
    },
    hotBytesMax: 0,
    // Commits are where this process asks for them, so that its calls come in the same order in every life.
    commitIntervalMs: 60_000,
  });
  const missing: number[] = [];
  for (let index = 0; index < store.pieceCount; index += 1) {
    if (!store.have.has(index)) missing.push(index);
    else if (!layer.isZero(index)) tell(`kept ${index}`);
  }
  for (let group = 0; group * PIECES_AT_ONCE < missing.length; group += 1) {
    const start = group * PIECES_AT_ONCE;
    const pieces = missing.slice(start, start + PIECES_AT_ONCE);
    await Promise.all(pieces.map((index) => keep(store, index)));
    if (group % GROUPS_PER_COMMIT === GROUPS_PER_COMMIT - 1) await store.commit();
  }
  await store.close();
  cache.close();
}

async function keep(store: CachePieceStore, pieceIndex: number): Promise<void> {
  const isKept = await store.write(pieceIndex, image.piece(pieceIndex), false);
  // A flush may have failed before this line runs: `have` is the last word.
  if (isKept && store.have.has(pieceIndex)) tell(`kept ${pieceIndex}`);
}

try {
  await life(process.argv[2]);
  tell('closed');
} catch (error) {
  // A disk that fails may refuse the opening, or the closing of a file.
  const code = error instanceof OperatorError ? error.code : errnoOf(error);
  if (code === undefined) throw error;
  tell(`refused ${code}`);
}
