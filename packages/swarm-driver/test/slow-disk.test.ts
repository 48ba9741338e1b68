/** Guests of a node whose disk answers no more, or late: what the network or memory can give them, they are given. */
import { nodeDisk, type StoreDisk, type StoreFile } from '@bootswarm/piece-store';
import { noReadBytes } from '@bootswarm/swarm-driver';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { PIECE_LENGTH, read, type TestNode, TestSwarm } from './test-swarm.ts';

/** The real disk, until it stalls: then nothing that it is asked comes back before it goes on. */
class StallingDisk implements StoreDisk {
  #stalled: PromiseWithResolvers<void> | undefined;

  stall(): void {
    this.#stalled = Promise.withResolvers();
  }

  goOn(): void {
    this.#stalled?.resolve();
    this.#stalled = undefined;
  }

  async open(...args: Parameters<StoreDisk['open']>): Promise<StoreFile> {
    await this.#stalled?.promise;
    const file = await nodeDisk.open(...args);
    return {
      read: (...how) => this.#answer(() => file.read(...how)),
      readSync: (...how) => file.readSync(...how),
      write: (...how) => this.#answer(() => file.write(...how)),
      writePieces: (pieces) => this.#answer(() => file.writePieces(pieces)),
      datasync: () => this.#answer(() => file.datasync()),
      truncate: (length) => this.#answer(() => file.truncate(length)),
      identity: () => file.identity(),
      close: () => file.close(),
    };
  }

  syncDirectory(path: string): Promise<void> {
    return this.#answer(() => nodeDisk.syncDirectory(path));
  }

  async #answer<T>(work: () => Promise<T>): Promise<T> {
    await this.#stalled?.promise;
    return work();
  }
}

let swarm: TestSwarm;
let disk: StallingDisk;

beforeEach(() => {
  swarm = new TestSwarm();
  disk = new StallingDisk();
});

afterEach(async () => {
  disk.goOn();
  await swarm.end();
});

/** Pieces 0 to 3 are in its cache, from an earlier run: each needs the disk once. */
async function startedAgain(): Promise<TestNode> {
  const first = await swarm.startNode('a', { hotBytesMax: 0 });
  await introduce(first);
  await read(first.reader, 0, 4 * PIECE_LENGTH);
  const { directory } = first;
  await first.close();
  return swarm.startNode('a', { directory, disk, hotBytesMax: 0 });
}

async function introduce(node: TestNode): Promise<void> {
  const origin = await swarm.startOrigin();
  node.driver.setMembers([node.member], [origin]);
}

function expected(offset: number, length: number): Buffer {
  return swarm.image.subarray(offset, offset + length);
}

test('a read that the disk does not answer is answered by the swarm, and those after it at once', async () => {
  const node = await startedAgain();
  await introduce(node);
  disk.stall();
  const counted = noReadBytes();
  expect(await read(node.reader, 100, 2 * PIECE_LENGTH, counted)).toEqual(
    expected(100, 2 * PIECE_LENGTH),
  );
  expect(counted).toMatchObject({ cache: 0, origin: 2 * PIECE_LENGTH });
  expect(node.driver.pending.size).toBe(0);
  disk.goOn();
  await read(node.reader, 3 * PIECE_LENGTH, 10, counted);
  expect(counted.cache).toBe(10);
});

test('a disk that answers late is still the one that answers where there is no source', async () => {
  const node = await startedAgain();
  disk.stall();
  const late = new Promise<void>((resolve) => {
    const { handle } = node.driver;
    node.driver.handle = (input) => {
      handle.call(node.driver, input);
      if (input.type === 'demand') resolve();
    };
  });
  const counted = noReadBytes();
  const reading = read(node.reader, 7, 1_000, counted);
  await late;
  disk.goOn();
  expect(await reading).toEqual(expected(7, 1_000));
  expect(counted).toMatchObject({ cache: 1_000, origin: 0, peers: 0 });
  expect(node.driver.pending.size).toBe(0);
});

test('what arrives while the disk stalls is read from memory', async () => {
  const node = await swarm.startNode('a', { disk, hotBytesMax: 0 });
  await introduce(node);
  disk.stall();
  await read(node.reader, 20 * PIECE_LENGTH, PIECE_LENGTH);
  const counted = noReadBytes();
  const target = Buffer.alloc(500);
  expect(node.reader.guest(counted).readNow(20 * PIECE_LENGTH + 9, target)).toBe(true);
  expect(target).toEqual(expected(20 * PIECE_LENGTH + 9, 500));
});
