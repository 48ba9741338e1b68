/** Clients that waste the server's time or memory through a socket: what they get, and what all others still get. */
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import {
  CLIENT_FLAGS,
  CMD,
  option,
  request,
  simpleReply,
} from '../../../../packages/nbd-proto/test/wire.ts';
import { NbdListener, type NbdListenerEvent } from '../../src/nbd/nbd-listener.ts';
import { directoryOf, FileExport, imageBytes } from './file-export.ts';
import { RawClient } from './raw-client.ts';

const MIB = 1024 * 1024;
const image = imageBytes(64, 0);
const directory = mkdtempSync(join(tmpdir(), 'bootswarm-nbd-'));
const path = join(directory, 'nbd.sock');
let disk: FileExport;
let listener: NbdListener;
let events: NbdListenerEvent[];

beforeAll(() => {
  writeFileSync(join(directory, 'image.raw'), image);
  disk = new FileExport('disk', join(directory, 'image.raw'), image);
});

afterEach(async () => {
  await listener.close();
  expect([disk.openCount, listener.replyBytes]).toEqual([0, 0]);
});

afterAll(() => {
  disk.destroy();
  rmSync(directory, { recursive: true });
});

async function listen(handshakeTimeoutMs = 10_000): Promise<void> {
  events = [];
  listener = await NbdListener.listen(
    { type: 'path', path },
    { directory: directoryOf(disk), handshakeTimeoutMs, onEvent: (event) => events.push(event) },
  );
}

async function expectServes(client: RawClient): Promise<void> {
  client.send(request(CMD.read, 3, 5));
  expect(await client.receive(21)).toEqual(Buffer.from(simpleReply(0, image.subarray(3, 8))));
}

test('a client that says a byte now and then has no more time for its handshake than a silent one', async () => {
  await listen(50);
  const client = await RawClient.connect(path);
  client.socket.resume();
  client.send(CLIENT_FLAGS, option(99, new Uint8Array(), 0xffffffff));
  while (!client.socket.destroyed && !client.socket.readableEnded) {
    client.socket.write(Uint8Array.of(0));
    await nextTurn();
  }
  expect(events).toMatchObject([{ type: 'connection-ended', reason: 'handshake-timeout' }]);
});

test('a client that takes its replies a byte at a time gets them all, and keeps nobody waiting', async () => {
  await listen();
  const slow = await RawClient.open(path, 'disk');
  const other = await RawClient.open(path, 'disk');
  const reads = 100;
  slow.send(Buffer.alloc(reads * 28, request(CMD.read, 1, 10_000)));
  const reply = simpleReply(0, image.subarray(1, 10_001));
  const expected = Buffer.concat(Array.from({ length: reads }, () => reply));
  for (let at = 0; at < expected.length; ) {
    const byte: Buffer | null = slow.socket.read(1);
    if (byte === null) {
      await Promise.all([once(slow.socket, 'readable'), expectServes(other)]);
    } else {
      if (byte[0] !== expected[at]) expect.unreachable(`byte ${at} is wrong`);
      at += 1;
    }
  }
  expect(listener.replyBytes).toBe(0);
  slow.socket.destroy();
  other.socket.destroy();
});

test('a second client of an export is served beside the first: CAN_MULTI_CONN', async () => {
  await listen();
  const clients = await Promise.all([1, 2, 3].map(() => RawClient.open(path, 'disk')));
  for (const client of clients) await expectServes(client);
  expect(disk.openCount).toBe(3);
  clients[0].socket.destroy();
  for (const client of clients.slice(1)) await expectServes(client);
});

test('a client that prefetches without end is acknowledged as fast as it reads, and keeps nobody waiting', async () => {
  await listen();
  const flooder = await RawClient.open(path, 'disk');
  const other = await RawClient.open(path, 'disk');
  const count = 50_000;
  flooder.send(Buffer.alloc(count * 28, request(CMD.cache, 0, 4 * MIB)));
  const acknowledged = flooder.receive(count * 16);
  for (let index = 0; index < 50; index += 1) await expectServes(other);
  expect((await acknowledged).equals(Buffer.alloc(count * 16, simpleReply(0)))).toBe(true);
  expect(disk.prefetched).toHaveLength(count);
});
