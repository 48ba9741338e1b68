/** The store against a disk that fails, dies and forgets: at every operation in turn, then in random lives. */
import { OperatorError } from '@bootswarm/stdx';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { CachePieceStore } from '../src/cache-store.ts';
import { type FaultKind, MemoryDisk } from './memory-disk.ts';
import {
  BITS,
  DATA,
  DIRECTORY,
  expectTruthfulAfterPowerCut,
  type Opened,
  openStore,
  readAll,
  readPiece,
} from './store-harness.ts';
import { makeImage } from './test-image.ts';

const IMAGE = makeImage({ pieceCount: 6, lastBytes: 5000, zeroPieces: [2] });

/** Pieces the owner was told are kept, and not told are lost. */
class Promises {
  readonly kept = new Set<number>();
  /** Those that a good commit has covered. */
  readonly committed = new Set<number>();
  /** Events that say the disk failed. */
  failures = 0;

  lose(pieceIndex: number): void {
    this.kept.delete(pieceIndex);
    this.committed.delete(pieceIndex);
  }
}

async function write(store: CachePieceStore, promises: Promises, pieceIndex: number) {
  const isKept = await store.write(pieceIndex, IMAGE.piece(pieceIndex), false);
  // It may have been kept and lost again before this line runs: `have` is the last word.
  if (isKept && store.have.has(pieceIndex)) promises.kept.add(pieceIndex);
}

/** What was kept before a commit without any failure is durable after it. */
async function commit({ store }: Opened, promises: Promises) {
  const before = [...promises.kept];
  const { failures } = promises;
  if (store.stats.mode !== 'normal') return store.commit();
  await store.commit();
  if (promises.failures !== failures) return;
  for (const index of before) if (promises.kept.has(index)) promises.committed.add(index);
}

async function open(disk: MemoryDisk, promises: Promises): Promise<Opened> {
  // From then on only what is durable is promised, though a process killed at once never gets to say so.
  disk.onFlushFailed = () => {
    for (const index of promises.kept) {
      if (!promises.committed.has(index)) promises.lose(index);
    }
  };
  let isDiscarded = false;
  const opened = await openStore(IMAGE, disk, {
    onEvent: (event) => {
      // A killed process tells nobody anything.
      if (event.type === 'piece-lost' && !disk.isDead) promises.lose(event.pieceIndex);
      if (event.type === 'cache-discarded') isDiscarded = true;
      if (/-failed$|^disk-full$/.test(event.type)) promises.failures += 1;
    },
  });
  for (const index of isDiscarded ? [...promises.kept] : []) {
    if (!opened.store.have.has(index)) promises.lose(index);
  }
  return opened;
}

/** A short life that touches every kind of operation. */
async function shortLife(disk: MemoryDisk, promises: Promises): Promise<void> {
  const opened = await open(disk, promises);
  const { store, timers } = opened;
  await Promise.all([0, 3].map((index) => write(store, promises, index)));
  await commit(opened, promises);
  await Promise.all([1, 5].map((index) => write(store, promises, index)));
  await readPiece(IMAGE, store, 0);
  timers.fireAll();
  await write(store, promises, 4);
  await commit(opened, promises);
  await readAll(IMAGE, store);
  await store.close();
}

async function operationsOf(life: (disk: MemoryDisk) => Promise<void>): Promise<number> {
  const disk = new MemoryDisk();
  await life(disk);
  return disk.operations;
}

/** A life after an earlier one that was killed, so that log entries are replayed too. */
async function killedOnce(): Promise<{ disk: MemoryDisk; promises: Promises }> {
  const disk = new MemoryDisk();
  const promises = new Promises();
  const opened = await open(disk, promises);
  await write(opened.store, promises, 0);
  await commit(opened, promises);
  await write(opened.store, promises, 1);
  return { disk: disk.afterKill(), promises };
}

describe('every operation in turn', () => {
  const faults: { kind: FaultKind; count: number }[] = [
    { kind: 'EIO', count: 1 },
    { kind: 'EIO', count: Number.POSITIVE_INFINITY },
    { kind: 'ENOSPC', count: 1 },
    { kind: 'ENOSPC', count: Number.POSITIVE_INFINITY },
    { kind: 'short-write', count: 1 },
    { kind: 'short-write', count: 3 },
  ];

  test.each(faults)('fails ($kind, $count times): no wrong byte, no lying bit', async (fault) => {
    const total = await operationsOf((disk) => shortLife(disk, new Promises()));
    expect(total).toBeGreaterThan(30);
    for (let at = 1; at <= total; at += 1) {
      for (const isSecondLife of [false, true]) {
        const { disk, promises } = isSecondLife
          ? await killedOnce()
          : { disk: new MemoryDisk(at), promises: new Promises() };
        disk.faults = [{ at, ...fault }];
        try {
          await shortLife(disk, promises);
        } catch (error) {
          // Opening may be refused, and closing may report that a file could not be closed.
          expect(error instanceof OperatorError || String(error).includes('injected')).toBe(true);
        }
        for (let seed = 0; seed < 6; seed += 1) expectTruthfulAfterPowerCut(IMAGE, disk, seed);
        await expectKept(disk.afterKill(), promises.kept);
        await expectKept(disk.afterPowerCut(at), promises.committed);
      }
    }
  });

  test('is where the process is killed: no piece it kept is lost', async () => {
    const total = await operationsOf((disk) => shortLife(disk, new Promises()));
    for (let at = 1; at <= total; at += 1) {
      for (const isSecondLife of [false, true]) {
        const { disk, promises } = isSecondLife
          ? await killedOnce()
          : { disk: new MemoryDisk(at), promises: new Promises() };
        disk.killAt = at;
        await Promise.race([shortLife(disk, promises), disk.death]);
        for (let seed = 0; seed < 6; seed += 1) expectTruthfulAfterPowerCut(IMAGE, disk, seed);
        await expectKept(disk.afterKill(), promises.kept);
        await expectKept(disk.afterPowerCut(at), promises.committed);
      }
    }
  });
});

async function expectKept(disk: MemoryDisk, kept: ReadonlySet<number>): Promise<void> {
  const { store } = await openStore(IMAGE, disk);
  const read = await readAll(IMAGE, store);
  expect(read).toEqual(expect.arrayContaining([...kept]));
  await store.commit();
  expectTruthfulAfterPowerCut(IMAGE, disk, 1);
}

type Action =
  | { type: 'write'; pieceIndex: number }
  | { type: 'read'; pieceIndex: number }
  | { type: 'commit' | 'timers' | 'settle' | 'restart' | 'kill' | 'power-cut' }
  | { type: 'kill-later' | 'fail-later'; after: number; kind: FaultKind; count: number };

const index = fc.nat(IMAGE.metainfo.pieceCount - 1);
const later = {
  after: fc.nat(12),
  kind: fc.constantFrom<FaultKind>('EIO', 'ENOSPC', 'short-write'),
};
const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ type: fc.constant('write' as const), pieceIndex: index }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('read' as const), pieceIndex: index }) },
  {
    weight: 5,
    arbitrary: fc.record({ type: fc.constantFrom('commit' as const, 'timers', 'settle') }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constantFrom('restart' as const, 'kill', 'power-cut') }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constantFrom('kill-later' as const, 'fail-later'),
      ...later,
      count: fc.integer({ min: 1, max: 5 }),
    }),
  },
);

/** Runs actions over any number of lives, checking after each what must never be false. */
class RandomLives {
  readonly #promises = new Promises();
  #disk: MemoryDisk;
  #opened: Opened | undefined;
  #pending: Promise<unknown>[] = [];
  #seed: number;

  constructor(seed: number) {
    this.#seed = seed;
    this.#disk = new MemoryDisk(seed);
  }

  async run(actions: readonly Action[]): Promise<void> {
    for (const next of actions) {
      await this.#ensureOpen();
      const end = await Promise.race([this.#do(next), this.#disk.death]);
      if (end !== undefined) await this.#reincarnate(end === 'power-cut' ? end : 'kill');
      expectTruthfulAfterPowerCut(IMAGE, this.#disk, this.#nextSeed());
    }
    await this.#reincarnate('kill');
    await this.#ensureOpen();
    await readAll(IMAGE, this.#opened!.store);
  }

  /** Returns how this life ends, if it does. */
  async #do(next: Action): Promise<'kill' | 'power-cut' | undefined> {
    const { store, timers } = this.#opened!;
    const promises = this.#promises;
    switch (next.type) {
      case 'write':
        this.#pending.push(write(store, promises, next.pieceIndex));
        return;
      case 'read':
        this.#pending.push(readPiece(IMAGE, store, next.pieceIndex));
        return;
      case 'commit':
        await commit(this.#opened!, promises);
        return;
      case 'timers':
        timers.fireAll();
        return;
      case 'settle':
        await Promise.all(this.#pending);
        this.#pending = [];
        return;
      case 'kill-later':
        this.#disk.killAt = this.#disk.operations + 1 + next.after;
        return;
      case 'fail-later':
        this.#disk.faults.push({ ...next, at: this.#disk.operations + 1 + next.after });
        return;
      case 'restart':
        // A close that fails still counts: it is what the next process finds that matters.
        await store.close().catch(() => undefined);
        return 'kill';
      case 'kill':
      case 'power-cut':
        return next.type;
    }
  }

  /** The disk is well again, and the next process must find what the last one was promised. */
  async #reincarnate(how: 'kill' | 'power-cut'): Promise<void> {
    const { kept, committed } = this.#promises;
    this.#disk.kill();
    const seed = this.#nextSeed();
    this.#disk = how === 'kill' ? this.#disk.afterKill(seed) : this.#disk.afterPowerCut(seed);
    this.#opened = undefined;
    this.#pending = [];
    const expected = how === 'kill' ? [...kept] : [...committed];
    await this.#ensureOpen();
    // No fault was injected into the opening, so nothing may have been discarded either.
    for (const pieceIndex of expected) {
      expect(this.#opened!.store.have.has(pieceIndex), `piece ${pieceIndex} after ${how}`).toBe(
        true,
      );
    }
    for (const pieceIndex of [...kept]) {
      if (!this.#opened!.store.have.has(pieceIndex)) this.#promises.lose(pieceIndex);
    }
  }

  async #ensureOpen(): Promise<void> {
    this.#opened ??= await open(this.#disk, this.#promises);
  }

  #nextSeed(): number {
    this.#seed += 1;
    return this.#seed;
  }
}

test('over random lives: no wrong byte, no lying bit, nothing kept is lost to a kill', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(action, { minLength: 5, maxLength: 60, size: 'max' }),
      fc.nat(1_000_000),
      (actions, seed) => new RandomLives(seed).run(actions),
    ),
    { numRuns: 300 },
  );
});

describe('bit rot', () => {
  /** Two commits and a log with something in it: every file has content. */
  async function filled(): Promise<MemoryDisk> {
    const disk = new MemoryDisk();
    const { store } = await openStore(IMAGE, disk);
    for (const index of [0, 1]) {
      await store.write(index, IMAGE.piece(index), false);
      await store.commit();
    }
    await store.write(3, IMAGE.piece(3), false);
    return disk;
  }

  async function flipAndRead(disk: MemoryDisk, path: string, bit: number): Promise<number[]> {
    const next = disk.afterKill();
    next.cached(path)[bit >>> 3] ^= 1 << (bit & 7);
    const { store } = await openStore(IMAGE, next);
    return readAll(IMAGE, store);
  }

  test('in any byte of have.bits never makes a wrong byte, and costs no more than a re-fetch', async () => {
    const disk = await filled();
    const slots = [0, 4096].flatMap((start) => Array.from({ length: 130 }, (_, at) => start + at));
    for (const byte of slots) {
      const read = await flipAndRead(disk, BITS, byte * 8 + (byte % 8));
      expect([0, 2, 3, 1].filter((index) => read.includes(index)).length).toBeGreaterThanOrEqual(3);
    }
  });

  test('in any byte of the log never makes a wrong byte, and costs at most the piece it names', async () => {
    const disk = await filled();
    const path = `${DIRECTORY}/have.log.1`;
    expect(disk.cached(path).length).toBe(20);
    for (let byte = 0; byte < 20; byte += 1) {
      expect(await flipAndRead(disk, path, byte * 8 + (byte % 8))).toEqual([0, 1, 2]);
    }
  });

  test('anywhere in cache.raw never makes a wrong byte, and costs exactly the piece it is in', async () => {
    const disk = await filled();
    await fc.assert(
      fc.asyncProperty(fc.nat(IMAGE.bytes.length * 8 - 1), async (bit) => {
        const damaged = Math.floor(bit / 8 / IMAGE.metainfo.pieceLength);
        const read = await flipAndRead(disk, DATA, bit);
        expect(read).toEqual([0, 1, 2, 3].filter((index) => index === 2 || index !== damaged));
      }),
      { numRuns: 200 },
    );
  });

  test('several files damaged, cut or exchanged at once never make a wrong byte', async () => {
    const disk = await filled();
    const paths = [...disk.contents.keys()];
    const damage = fc.record({
      path: fc.constantFrom(...paths),
      how: fc.constantFrom('flip', 'cut', 'overwrite'),
      at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      bytes: fc.uint8Array({ minLength: 1, maxLength: 64 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(damage, { minLength: 1, maxLength: 6 }), async (damages) => {
        const next = disk.afterKill();
        for (const { path, how, at, bytes } of damages) {
          const file = next.cached(path);
          const start = Math.floor(at * file.length);
          if (how === 'cut') next.tamper(path, Buffer.from(file.subarray(0, start)));
          else if (how === 'overwrite') file.set(bytes.subarray(0, file.length - start), start);
          else if (file.length > 0) file[start] ^= bytes[0] | 1;
        }
        const { store } = await openStore(IMAGE, next);
        await readAll(IMAGE, store);
        await store.close();
        const { store: second } = await openStore(IMAGE, next.afterPowerCut());
        await readAll(IMAGE, second);
      }),
      { numRuns: 200 },
    );
  });
});
