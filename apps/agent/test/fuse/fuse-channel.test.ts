/** On a FIFO that is open for both sides: what is written comes back as a message. /dev/fuse itself is in test/e2e. */
import { execFileSync } from 'node:child_process';
import { constants, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { FuseChannel } from '../../src/fuse/fuse-channel.ts';

test('Node polls a descriptor that it knows nothing of, and stops when it is told to', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'bootswarm-fifo-'));
  const path = join(directory, 'fifo');
  execFileSync('mkfifo', [path]);
  const heard: string[] = [];
  let onMessage = Promise.withResolvers<void>();
  const channel = new FuseChannel({
    fd: openSync(path, constants.O_RDWR | constants.O_NONBLOCK),
    onMessage: (message) => {
      heard.push(Buffer.from(message).toString());
      onMessage.resolve();
    },
    onEnd: (reason) => heard.push(reason),
  });
  const next = async (): Promise<void> => {
    await onMessage.promise;
    onMessage = Promise.withResolvers();
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
  rmSync(directory, { recursive: true });
});
