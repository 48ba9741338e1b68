/** On a FIFO that is open for both sides: what is written comes back as a message. /dev/fuse itself is in test/e2e. */
import { execFileSync } from 'node:child_process';
import { constants, mkdtempSync, openSync, rmSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FuseChannel } from '../../src/fuse/fuse-channel.ts';

let directory: string;
let channel: FuseChannel;
let onMessage: (message: Uint8Array) => void;
let ends: string[];
/** Of a machine that never pauses. */
let nowMs = 0;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'bootswarm-fifo-'));
  const path = join(directory, 'fifo');
  execFileSync('mkfifo', [path]);
  ends = [];
  channel = new FuseChannel({
    fd: openSync(path, constants.O_RDWR | constants.O_NONBLOCK),
    onMessage: (message) => onMessage(message),
    onEnd: (reason) => ends.push(reason),
    now: () => {
      nowMs += 0.002;
      return nowMs;
    },
  });
});

afterEach(() => {
  channel.close();
  rmSync(directory, { recursive: true });
  expect(ends).toEqual([]);
});

test('Node polls a descriptor that it knows nothing of, and stops when it is told to', async () => {
  const heard: string[] = [];
  let came = Promise.withResolvers<void>();
  onMessage = (message) => {
    heard.push(Buffer.from(message).toString());
    came.resolve();
  };
  const next = async (): Promise<void> => {
    await came.promise;
    came = Promise.withResolvers();
  };
  expect(channel.write(Buffer.from('one'))).toBeUndefined();
  await next();
  channel.write(Buffer.from('two'));
  channel.pause();
  await next();
  channel.write(Buffer.from('three'));
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  expect(heard).toEqual(['one', 'two']);
  channel.resume();
  await next();
  expect(heard).toEqual(['one', 'two', 'three']);
  channel.close();
  expect(channel.write(Buffer.from('four'))).toBe('ENODEV');
});

test('messages that come without a pause hold nothing up, and when they end the loop sleeps', async () => {
  let count = 0;
  let isOver = false;
  onMessage = (message) => {
    count += 1;
    if (!isOver) channel.write(message);
  };
  channel.write(Buffer.from('and another'));
  for (let turn = 0; turn < 50; turn += 1) await stat(directory);
  await delay(1);
  expect(count).toBeGreaterThan(50);
  isOver = true;
  await delay(1);
  // One that is kept awake turns 200 times in this time.
  const { loopCount } = performance.nodeTiming.uvMetricsInfo;
  await delay(20);
  expect(performance.nodeTiming.uvMetricsInfo.loopCount - loopCount).toBeLessThan(50);
});
