import { LIMITS } from '@bootswarm/tracker-proto';
import { beforeEach, expect, test } from 'vitest';
import { Prejoiner } from '../src/prejoiner.ts';
import { Queue } from './signal-rig.ts';

interface Opening {
  readonly image: string;
  done(): void;
  fail(): void;
}

let images: Set<string>;
let openings: Queue<Opening>;
let failed: Queue<string>;
let prejoiner: Prejoiner;

beforeEach(() => {
  images = new Set();
  openings = new Queue();
  failed = new Queue();
  prejoiner = new Prejoiner({
    imageCount: () => images.size,
    has: (image) => images.has(image),
    open: (image) =>
      new Promise<void>((resolve, reject) => {
        const done = () => {
          images.add(image);
          resolve();
        };
        openings.push({ image, done, fail: () => reject(new Error('away')) });
      }),
    onFailed: (image) => failed.push(image),
  });
});

test('opens the images one at a time, each once, and not those that are open', async () => {
  images.add('here');
  for (const image of ['a', 'here', 'b', 'a', 'c']) prejoiner.published(image);
  const first = await openings.next();
  expect(openings.isEmpty).toBe(true);
  // A guest wanted it in the meantime.
  images.add('b');
  first.done();
  const last = await openings.next();
  expect([first.image, last.image]).toEqual(['a', 'c']);
});

test('tells of a failure once, tries again when it is told again, and goes on with the others', async () => {
  for (const round of [1, 2]) {
    prejoiner.published('a');
    prejoiner.published(`b${round}`);
    (await openings.next()).fail();
    (await openings.next()).done();
  }
  expect(await failed.next()).toBe('a');
  expect(failed.isEmpty).toBe(true);
  prejoiner.published('a');
  (await openings.next()).done();
  expect(images.has('a')).toBe(true);
});

test('leaves room for what guests want, and does not queue without end', async () => {
  const { prejoinsPerAgentMax } = LIMITS;
  for (let index = 0; index < 2 * prejoinsPerAgentMax; index += 1) prejoiner.published(`i${index}`);
  for (let index = 0; index < prejoinsPerAgentMax; index += 1) (await openings.next()).done();
  expect(images.size).toBe(prejoinsPerAgentMax);
  prejoiner.published('more');
  expect(openings.isEmpty).toBe(true);
});

test('opens nothing more once it is closed', async () => {
  prejoiner.published('a');
  prejoiner.published('b');
  const first = await openings.next();
  prejoiner.close();
  first.fail();
  prejoiner.published('c');
  expect((await openings.next()).image).toBe('c');
  expect(failed.isEmpty).toBe(true);
});
