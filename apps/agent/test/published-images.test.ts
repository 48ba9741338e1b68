import pino from 'pino';
import { expect, test } from 'vitest';
import { PublishedImages } from '../src/published-images.ts';

const log = pino({ level: 'silent' });

test('opens what is published and not here, and tells what there is', async () => {
  const opened: string[] = [];
  const listed: (readonly string[])[] = [];
  const done = Promise.withResolvers<void>();
  const images = new PublishedImages({
    list: async () => ['a', 'b', 'c'],
    has: (imageId) => imageId === 'b',
    open: async (imageId) => {
      opened.push(imageId);
      if (imageId === 'a') throw new Error('gone');
      done.resolve();
    },
    onListed: (imageIds) => listed.push(imageIds),
    log,
  });
  images.tick(0);
  images.tick(1_000);
  await done.promise;
  expect(opened).toEqual(['a', 'c']);
  expect(listed).toEqual([['a', 'b', 'c']]);
});

test('keeps what it knew while the tracker is away', async () => {
  const listed: (readonly string[])[] = [];
  const asked = Promise.withResolvers<void>();
  const images = new PublishedImages({
    list: async () => {
      asked.resolve();
      throw new Error('away');
    },
    has: () => true,
    open: async () => {},
    onListed: (imageIds) => listed.push(imageIds),
    log,
  });
  images.tick(0);
  await asked.promise;
  expect(listed).toEqual([]);
});
