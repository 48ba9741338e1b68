/** What a power cut costs, with the store's own timers on a clock that the test moves. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { SetTimer } from '../src/cache-store-options.ts';
import { MemoryDisk } from './memory-disk.ts';
import { expectTruthfulAfterPowerCut, openStore, readAll } from './store-harness.ts';
import { makeImage } from './test-image.ts';

const IMAGE = makeImage({ pieceCount: 40, lastBytes: 5000, zeroPieces: [2] });
const LOST_MS_MAX = 1_000;

class Clock {
  now = 0;
  readonly #timers = new Map<object, { callback: () => void; at: number }>();

  readonly setTimer: SetTimer = (callback, delayMs) => {
    const key = {};
    this.#timers.set(key, { callback, at: this.now + delayMs });
    return () => this.#timers.delete(key);
  };

  /** Fires what is due up to then, in order, and lets each have its effects on the disk, which take no time. */
  async advanceTo(time: number): Promise<void> {
    for (;;) {
      const [next] = [...this.#timers].sort(([, a], [, b]) => a.at - b.at);
      if (next === undefined || next[1].at > time) break;
      this.#timers.delete(next[0]);
      this.now = next[1].at;
      next[1].callback();
      await settled();
    }
    this.now = time;
    await settled();
  }
}

/** The memory disk answers in microtasks: all of them are over by the second immediate. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await new Promise(setImmediate);
}

const gap = fc.oneof({ weight: 3, arbitrary: fc.nat(80) }, { weight: 1, arbitrary: fc.nat(2_500) });

test('a power cut at any moment loses no piece that was kept more than a second before', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(gap, { minLength: 1, maxLength: 39 }),
      fc.nat(1_500),
      fc.nat(1_000_000),
      async (gaps, rest, seed) => {
        const clock = new Clock();
        const disk = new MemoryDisk(seed);
        const { store } = await openStore(IMAGE, disk, { setTimer: clock.setTimer });
        const keptAt = new Map<number, number>();
        for (const [pieceIndex, gapMs] of gaps.entries()) {
          await clock.advanceTo(clock.now + gapMs);
          await store.write(pieceIndex, IMAGE.piece(pieceIndex), true);
          keptAt.set(pieceIndex, clock.now);
        }
        await clock.advanceTo(clock.now + rest);
        for (let cut = 0; cut < 4; cut += 1) {
          expectTruthfulAfterPowerCut(IMAGE, disk, seed + cut);
          const { store: next } = await openStore(IMAGE, disk.afterPowerCut(seed + cut));
          const read = await readAll(IMAGE, next);
          const safe = [...keptAt].filter(([, at]) => at < clock.now - LOST_MS_MAX);
          expect(read).toEqual(expect.arrayContaining(safe.map(([pieceIndex]) => pieceIndex)));
        }
      },
    ),
    { numRuns: 100 },
  );
});
