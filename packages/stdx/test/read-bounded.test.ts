import { describe, expect, test } from 'vitest';
import { readBounded } from '../src/index.ts';

/** A body of these parts, and whether somebody has cancelled it. */
function bodyOf(...parts: readonly number[][]) {
  const state = { isCancelled: false };
  const waiting = [...parts];
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      const part = waiting.shift();
      if (part === undefined) controller.close();
      else controller.enqueue(Uint8Array.from(part));
    },
    cancel() {
      state.isCancelled = true;
    },
  });
  return { body, state };
}

describe('readBounded', () => {
  test('gives all bytes of a body that is as long as it may be', async () => {
    const { body } = bodyOf([1, 2], [], [3]);
    expect([...(await readBounded(body, 3))!]).toEqual([1, 2, 3]);
  });

  test('gives nothing of one that is longer, and cancels the rest', async () => {
    const { body, state } = bodyOf([1, 2], [3, 4], [5]);
    expect(await readBounded(body, 3)).toBeUndefined();
    expect(state.isCancelled).toBe(true);
  });

  test('gives no bytes of no body', async () => {
    expect(await readBounded(null, 0)).toHaveLength(0);
  });
});
