import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  CLIENT_FLAGS,
  GREETING,
  OPTION,
  option,
  text,
} from '../../../../packages/nbd-proto/test/wire.ts';
import { NbdListener } from '../../src/nbd/nbd-listener.ts';
import { directoryOf } from './file-export.ts';
import { RawClient } from './raw-client.ts';

let directory: string;
let path: string;
let listener: NbdListener | undefined;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'bootswarm-nbd-'));
  path = join(directory, 'nbd.sock');
});

afterEach(async () => {
  await listener?.close();
  listener = undefined;
  rmSync(directory, { recursive: true });
});

async function listen(): Promise<void> {
  const options = { directory: directoryOf(), onEvent() {} };
  listener = await NbdListener.listen({ type: 'path', path }, options);
}

async function expectGreeting(client: RawClient): Promise<void> {
  expect(await client.receive(GREETING.length)).toEqual(Buffer.from(GREETING));
}

describe('the socket', () => {
  test('may be connected to by the owner and the group', async () => {
    await listen();
    expect(statSync(path).mode & 0o777).toBe(0o660);
  });

  test('is bound over a stale one', async () => {
    const program = `
      const server = require('node:net').createServer();
      server.listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'));`;
    await once(spawn(process.execPath, ['-e', program]), 'exit');
    expect(statSync(path).isSocket()).toBe(true);
    await listen();
    await expectGreeting(await RawClient.connect(path));
  });

  test('is not taken from a process that serves it', async () => {
    const other = createServer().listen(path);
    await once(other, 'listening');
    await expect(listen()).rejects.toMatchObject({ code: 'socket-in-use' });
    await new Promise((resolve) => other.close(resolve));
  });

  test.each([
    ['a file', (at: string) => writeFileSync(at, 'precious')],
    ['a symbolic link', (at: string) => symlinkSync(join(directory, 'elsewhere'), at)],
    ['a directory', (at: string) => mkdirSync(at)],
  ])('is not bound over %s', async (_, occupy) => {
    occupy(path);
    await expect(listen()).rejects.toMatchObject({ code: 'socket-path-occupied' });
  });

  test('may have a path of 107 bytes, and no longer one', async () => {
    const room = 107 - Buffer.byteLength(join(directory, '/'));
    path = join(directory, 'a'.repeat(room));
    await listen();
    await expectGreeting(await RawClient.connect(path));
    const options = { directory: directoryOf(), onEvent() {} };
    await expect(
      NbdListener.listen({ type: 'path', path: `${path}a` }, options),
    ).rejects.toMatchObject({ code: 'socket-path-too-long' });
  });

  test('held open by a parent takes clients to whoever serves it next', async () => {
    const module = JSON.stringify(new URL('../../src/nbd/nbd-listener.ts', import.meta.url).href);
    const agent = `
      import { NbdListener } from ${module};
      const find = () => process.kill(process.pid, 'SIGKILL');
      const socket = ${JSON.stringify(path)};
      const options = { directory: { find, list: () => [] }, onEvent() {} };
      await NbdListener.listen({ type: 'fd', fd: 3, path: socket }, options);
    `;
    // While spawnSync() waits for one agent after the other, nobody but they can accept.
    const holder = `
      const { spawnSync } = require('node:child_process');
      const server = require('node:net').createServer().listen(${JSON.stringify(path)}, () => {
        console.log('listening');
        for (let generation = 0; generation < 2; generation++) {
          const stdio = ['ignore', 'inherit', 'inherit', server._handle.fd];
          spawnSync(process.execPath, ['--input-type=module', '-e', ${JSON.stringify(agent)}], { stdio });
        }
        process.exit();
      });
    `;
    const child = spawn(process.execPath, ['-e', holder], { stdio: ['ignore', 'pipe', 'inherit'] });
    const exited = once(child, 'exit');
    await once(child.stdout, 'data');
    for (let generation = 0; generation < 2; generation++) {
      const client = await RawClient.connect(path);
      await expectGreeting(client);
      client.send(CLIENT_FLAGS, option(OPTION.exportName, text('the agent dies of this')));
      await client.receiveToEnd();
    }
    expect(await exited).toEqual([0, null]);
  });
});
