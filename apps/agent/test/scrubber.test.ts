import { expect, test } from 'vitest';
import { SCRUB_REST_MS, type Scrubbed, Scrubber } from '../src/scrubber.ts';

const PIECE = 100;

/** As many pieces as are given; notes in `read` which image was looked at. */
function cacheOf(name: string, pieceCount: number, read: string[]): Scrubbed {
  let next = 0;
  return {
    scrubDueAt: 0,
    scrubNext: async () => {
      if (next === pieceCount) {
        next = 0;
        return 0;
      }
      next += 1;
      read.push(name);
      return PIECE;
    },
  };
}

/** Ticks once a second; each tick's work is over before the next. */
async function run(scrubber: Scrubber, fromMs: number, seconds: number): Promise<void> {
  for (let second = 0; second <= seconds; second += 1) {
    scrubber.tick(fromMs + second * 1_000);
    await new Promise(setImmediate);
  }
}

test('reads no more than it may in a second, whatever the length of a piece', async () => {
  const read: string[] = [];
  const sessions = [cacheOf('a', 1_000, read)];
  const slow = new Scrubber({ bytesPerSecond: 30, sessions: () => sessions });
  await run(slow, 0, 100);
  // 3,000 bytes in 100 seconds; a piece is begun when there is anything left.
  expect(read.length).toBeGreaterThanOrEqual(30);
  expect(read.length).toBeLessThanOrEqual(31);
  read.length = 0;
  const fast = new Scrubber({ bytesPerSecond: 1_000, sessions: () => sessions });
  await run(fast, 0, 10);
  expect(read.length).toBe(100);
});

test('a time without ticks is not made up for', async () => {
  const read: string[] = [];
  const sessions = [cacheOf('a', 1_000, read)];
  const scrubber = new Scrubber({ bytesPerSecond: 1_000, sessions: () => sessions });
  scrubber.tick(0);
  scrubber.tick(3_600_000);
  await new Promise(setImmediate);
  expect(read.length).toBe(10);
});

test('goes through one image after the other, and rests when all are done', async () => {
  const read: string[] = [];
  const sessions = [cacheOf('a', 3, read), cacheOf('b', 2, read)];
  const scrubber = new Scrubber({ bytesPerSecond: 1_000, sessions: () => sessions });
  await run(scrubber, 0, 20);
  expect(read.join('')).toBe('aaabb');
  await run(scrubber, SCRUB_REST_MS + 1_000, 20);
  expect(read.join('')).toBe('aaabbaaabb');
  // What was written by somebody else is due at once.
  sessions[1].scrubDueAt = 0;
  await run(scrubber, SCRUB_REST_MS + 60_000, 3);
  expect(read.join('')).toBe('aaabbaaabbbb');
});

test('turned off it reads nothing', async () => {
  const read: string[] = [];
  const scrubber = new Scrubber({ bytesPerSecond: 0, sessions: () => [cacheOf('a', 3, read)] });
  await run(scrubber, 0, 10);
  expect(read).toEqual([]);
  await scrubber.close();
});
