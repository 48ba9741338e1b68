import { openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { nodeDisk, type PieceStore, type StoreDisk } from '@bootswarm/piece-store';
import { Bitfield, BufferPool } from '@bootswarm/stdx';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { LENGTH, PIECE_LENGTH, read, TestSwarm } from './test-swarm.ts';

let swarm: TestSwarm;

beforeEach(() => {
  swarm = new TestSwarm();
});

afterEach(() => swarm.end());

/** Says it has everything, and hands out bytes that are nobody's. */
class LyingStore implements PieceStore {
  readonly pieceCount = swarm.metainfo.pieceCount;
  readonly have = Bitfield.full(this.pieceCount);
  readonly buffers = new BufferPool(PIECE_LENGTH, 4);

  readNow(_pieceIndex: number, _offset: number, target: Uint8Array): boolean {
    target.fill(0xee);
    return true;
  }

  async read(): Promise<boolean> {
    return false;
  }

  async write(): Promise<boolean> {
    return true;
  }

  async commit(): Promise<void> {}
  async close(): Promise<void> {}
}

/** A flush fails after each write, and takes the piece out of `have` before the write's promise is looked at. */
class ForgetfulStore extends LyingStore {
  override readonly have = new Bitfield(this.pieceCount);
  onLost: (pieceIndex: number) => void = () => {};
  wrote: Promise<unknown> = Promise.resolve();

  override readNow(): boolean {
    return false;
  }

  override write(pieceIndex?: number): Promise<boolean> {
    const kept = Promise.resolve().then(() => {
      this.onLost(pieceIndex as number);
      return true;
    });
    // The driver reacts before whoever waits for this does.
    this.wrote = kept.then(() => undefined);
    return kept;
  }
}

/** Writes fail from fill() on, as on a full disk. */
function fullDisk(): { disk: StoreDisk; fill: () => void } {
  let isFull = false;
  const noSpace = Object.assign(new Error('no space'), { code: 'ENOSPC' });
  const disk: StoreDisk = {
    ...nodeDisk,
    open: async (path, mode) => {
      const file = await nodeDisk.open(path, mode);
      return {
        read: (target, position) => file.read(target, position),
        readSync: (target, position) => file.readSync(target, position),
        write: async (bytes, position) => {
          if (isFull) throw noSpace;
          return file.write(bytes, position);
        },
        writePieces: async (pieces) =>
          isFull ? { writtenCount: 0, error: noSpace } : file.writePieces(pieces),
        datasync: () => file.datasync(),
        truncate: (length) => file.truncate(length),
        identity: () => file.identity(),
        close: () => file.close(),
      };
    },
  };
  return {
    disk,
    fill: () => {
      isFull = true;
    },
  };
}

test('a peer that sends a wrong piece loses its wire, and the reader gets the right bytes elsewhere', async () => {
  const liar = await swarm.startHost('liar', new LyingStore());
  const honest = await swarm.startNode('honest');
  const victim = await swarm.startNode('victim');
  const origin = await swarm.startOrigin();
  honest.driver.setMembers([honest.member], [origin]);
  await read(honest.reader, 0, LENGTH);
  // Only the victim dials, so that no wire is lost for being one of two.
  victim.driver.setMembers([liar.member, honest.member, victim.member], [origin]);

  const bytes = await read(victim.reader, 0, LENGTH);

  expect(bytes.equals(swarm.image)).toBe(true);
  const address = `127.0.0.1:${liar.member.port}`;
  const faults = victim.events.filter(({ type }) => type !== 'peer-connected');
  expect(faults[0]).toMatchObject({ type: 'piece-refuted', address });
  const closed = faults.filter(({ type }) => type === 'peer-closed');
  expect(closed).toEqual([{ type: 'peer-closed', address, code: 'piece-refuted' }]);
  expect(victim.driver.snapshot().stats.bytesWasted).toBeGreaterThanOrEqual(PIECE_LENGTH);
  await expect.poll(() => victim.driver.store.have.isFull).toBe(true);
});

test('a piece that rots in the cache is fetched again', async () => {
  const origin = await swarm.startOrigin();
  const first = await swarm.startNode('a');
  first.driver.setMembers([first.member], [origin]);
  await read(first.reader, 0, 3 * PIECE_LENGTH);
  await first.close();
  const cache = openSync(join(first.directory, 'cache.raw'), 'r+');
  writeSync(cache, Buffer.alloc(100, 0xee), 0, 100, PIECE_LENGTH + 5_000);

  const again = await swarm.startNode('a', { directory: first.directory });
  again.driver.setMembers([again.member], [origin]);
  const counted = { cache: 0, peers: 0, origin: 0, zero: 0 };
  const bytes = await read(again.reader, 0, 3 * PIECE_LENGTH, counted);

  expect(bytes.equals(swarm.image.subarray(0, 3 * PIECE_LENGTH))).toBe(true);
  expect(counted).toEqual({ cache: 2 * PIECE_LENGTH, peers: 0, origin: PIECE_LENGTH, zero: 0 });
  expect(origin.driver.snapshot().stats.piecesSent).toBe(4);
});

test('a member that does not answer is suspected, for the tracker to hear', async () => {
  const gone = await swarm.startNode('gone');
  await gone.close();
  const node = await swarm.startNode('a');
  node.driver.setMembers([gone.member, node.member], []);
  const suspected = () => node.events.filter(({ type }) => type === 'members-suspected');
  await expect.poll(suspected).toEqual([{ type: 'members-suspected', nodes: ['gone'] }]);
});

test('reads are answered when the disk is full, from the swarm each time if memory holds nothing', async () => {
  const { disk, fill } = fullDisk();
  const origin = await swarm.startOrigin();
  const node = await swarm.startNode('a', { disk, hotBytesMax: 0 });
  node.driver.setMembers([node.member], [origin]);
  fill();
  // The zero pieces are held, and nothing else.
  const length = 3 * PIECE_LENGTH;
  for (const times of [1, 2]) {
    const bytes = await read(node.reader, 0, length);
    expect(bytes.equals(swarm.image.subarray(0, length))).toBe(true);
    await expect.poll(() => node.driver.snapshot().have.count).toBe(10);
    expect(origin.driver.snapshot().stats.piecesSent).toBe(3 * times);
  }
});

test('a piece that is lost before the store has said that it keeps it is fetched again', async () => {
  const origin = await swarm.startOrigin();
  const store = new ForgetfulStore();
  const node = await swarm.startHost('a', store);
  store.onLost = (pieceIndex) => node.reader.pieceLost(pieceIndex);
  node.driver.setMembers([node.member], [origin]);
  for (const times of [1, 2]) {
    const bytes = await read(node.reader, 0, 100);
    expect(bytes.equals(swarm.image.subarray(0, 100))).toBe(true);
    await store.wrote;
    expect(origin.driver.snapshot().stats.piecesSent).toBe(times);
  }
});
