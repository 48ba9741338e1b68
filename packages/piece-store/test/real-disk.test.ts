/** The store on real files: processes killed in the middle of writing, and a file system that is really full. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Random } from '@bootswarm/stdx';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { CachePieceStore } from '../src/cache-store.ts';
import type { StoreEvent } from '../src/store-event.ts';
import { readAll } from './store-harness.ts';
import { LARGE_IMAGE } from './writing-process.ts';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootswarm-store-'));
});

afterEach(() => rm(directory, { recursive: true }));

const WRITING_PROCESS = fileURLToPath(new URL('./writing-process.ts', import.meta.url));

function startWriting(): { child: ChildProcess; lines: AsyncIterable<string> } {
  const child = spawn(process.execPath, [WRITING_PROCESS, 'write', directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return { child, lines: createInterface({ input: child.stdout! }) };
}

async function reopened(): Promise<{ store: CachePieceStore; events: StoreEvent[] }> {
  const events: StoreEvent[] = [];
  const { metainfo, layer } = LARGE_IMAGE;
  const onEvent = (event: StoreEvent) => events.push(event);
  const store = await CachePieceStore.open({ directory, metainfo, layer, onEvent });
  return { store, events };
}

test('a process killed in the middle of writing loses no piece it had reported', async () => {
  const random = new Random(7);
  const reported = new Set<number>();
  for (let life = 0; life < 6; life += 1) {
    const { child, lines } = startWriting();
    let left = 1 + random.below(40);
    for await (const line of lines) {
      // What had been reported before the signal arrived counts as well.
      reported.add(Number(line));
      left -= 1;
      if (left === 0) child.kill('SIGKILL');
    }
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    expect(child.signalCode).toBe('SIGKILL');
    const { store, events } = await reopened();
    const read = await readAll(LARGE_IMAGE, store);
    expect(read).toEqual(expect.arrayContaining([...reported]));
    expect(events).toEqual([]);
    await store.close();
  }
  expect(reported.size).toBeGreaterThan(20);
});

test('a closed store is read back by the next one without a single loss', async () => {
  const first = await reopened();
  for (let index = 0; index < LARGE_IMAGE.metainfo.pieceCount; index += 1) {
    expect(await first.store.write(index, LARGE_IMAGE.piece(index), true)).toBe(true);
  }
  await first.store.close();
  const { store, events } = await reopened();
  expect(store.have.isFull).toBe(true);
  expect(await readAll(LARGE_IMAGE, store)).toHaveLength(LARGE_IMAGE.metainfo.pieceCount);
  expect(events).toEqual([]);
  await store.close();
});

/** How this user gets a file system of its own that vanishes with the process: as root, or in a user namespace. */
function unshareOptions(): string[] | undefined {
  const mount = ['sh', '-c', `mount -t tmpfs -o size=1m none ${directory}`];
  for (const options of [['-m'], ['-r', '-m']]) {
    const { status } = spawnSync('unshare', [...options, ...mount], { stdio: 'ignore' });
    if (status === 0) return options;
  }
  return undefined;
}

test('on a full file system reads go on from memory, and caching resumes when there is space', async (context) => {
  const options = unshareOptions();
  if (options === undefined) {
    context.skip('mounting a tmpfs is allowed neither directly nor in a user namespace');
    return;
  }
  // 1 MiB of disk for an image of 3 MiB.
  const script = `mount -t tmpfs -o size=1m none "$1" && exec "$2" "$3" fill "$1"`;
  const args = ['sh', '-c', script, 'sh', directory, process.execPath, WRITING_PROCESS];
  const { stdout, stderr, status } = spawnSync('unshare', [...options, ...args], {
    encoding: 'utf8',
  });
  expect(status, stderr).toBe(0);
  const report = JSON.parse(stdout);
  expect(report.eventTypes[0]).toBe('disk-full');
  expect(report.modeWhenFull).toBe('memory-only');
  expect(report.keptBeforeFull).toBeGreaterThan(20);
  expect(report.keptBeforeFull).toBeLessThan(64);
  // The hot pieces held everything, also what the disk did not take.
  expect(report.readableWhenFull).toBe(LARGE_IMAGE.metainfo.pieceCount);
  expect(report.eventTypes.at(-1)).toBe('caching-resumed');
  expect(report.keptAfterSpace).toBeGreaterThan(report.keptBeforeFull);
  expect(report.readAfterReopening).toBe(report.keptAfterSpace);
});
