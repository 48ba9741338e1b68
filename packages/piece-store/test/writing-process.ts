/** The other processes of real-disk.test.ts: `write DIRECTORY` until killed, `fill DIRECTORY` until it is full. */
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CachePieceStore } from '../src/cache-store.ts';
import type { StoreEvent } from '../src/store-event.ts';
import { makeImage } from './test-image.ts';

export const LARGE_IMAGE = makeImage({ pieceCount: 192, lastBytes: 100, zeroPieces: [3, 100] });

function openStore(directory: string, onEvent: (event: StoreEvent) => void) {
  const { metainfo, layer } = LARGE_IMAGE;
  return CachePieceStore.open({
    directory,
    metainfo,
    layer,
    onEvent,
    commitIntervalMs: 5,
    probeIntervalMs: 5,
    // Unlike the default, it keeps this process alive.
    setTimer: (callback, delayMs) => {
      const timer = setTimeout(callback, delayMs);
      return () => clearTimeout(timer);
    },
  });
}

/** Reports each piece as soon as it is kept, commits every 5 ms, and never ends by itself. */
async function write(directory: string): Promise<void> {
  const store = await openStore(directory, (event) => console.error(event));
  // A disk that is slow is not asked again and again, which would report one piece many times.
  const underWay = new Set<number>();
  for (;;) {
    for (let index = 0; index < store.pieceCount; index += 1) {
      if (store.have.has(index) || underWay.has(index)) continue;
      underWay.add(index);
      void store.write(index, LARGE_IMAGE.piece(index), true).then((isKept) => {
        underWay.delete(index);
        // Written by the kernel before this returns, so that a kill cannot hold it back.
        if (isKept) process.stdout.write(`${index}\n`);
      });
      if (index % 5 === 0) await new Promise(setImmediate);
    }
    await new Promise(setImmediate);
    if (store.have.isFull) process.stdout.write('0\n');
  }
}

async function writeAll(store: CachePieceStore): Promise<number> {
  let kept = 0;
  for (let index = 0; index < store.pieceCount; index += 1) {
    if (await store.write(index, LARGE_IMAGE.piece(index), false)) kept += 1;
  }
  return kept;
}

async function readable(store: CachePieceStore): Promise<number> {
  let count = 0;
  for (let index = 0; index < store.pieceCount; index += 1) {
    const expected = LARGE_IMAGE.piece(index);
    const target = new Uint8Array(expected.length);
    if (!(await store.read(index, 0, target))) continue;
    if (!Buffer.from(target).equals(expected)) throw new Error(`piece ${index} is wrong`);
    count += 1;
  }
  return count;
}

async function fill(directory: string): Promise<void> {
  const ballast = join(directory, 'ballast');
  await writeFile(ballast, Buffer.alloc(300_000, 1));
  const eventTypes: string[] = [];
  let resumed = () => {};
  const store = await openStore(directory, (event) => {
    eventTypes.push(event.type);
    if (event.type === 'caching-resumed') resumed();
  });
  const keptBeforeFull = await writeAll(store);
  const modeWhenFull = store.stats.mode;
  const readableWhenFull = await readable(store);
  const resuming = new Promise<void>((resolve) => {
    resumed = resolve;
  });
  await rm(ballast);
  await resuming;
  for (let index = 0; index < store.pieceCount; index += 1) {
    if (store.have.has(index)) continue;
    // One more: all of them would fill the disk again.
    await store.write(index, LARGE_IMAGE.piece(index), false);
    break;
  }
  const keptAfterSpace = store.have.count;
  await store.close();
  const second = await openStore(directory, (event) => console.error(event));
  const readAfterReopening = await readable(second);
  await second.close();
  const counts = { keptBeforeFull, readableWhenFull, keptAfterSpace, readAfterReopening };
  console.log(JSON.stringify({ ...counts, modeWhenFull, eventTypes }));
}

const [command, directory] = process.argv.slice(2);
if (command === 'write') await write(directory);
if (command === 'fill') await fill(directory);
