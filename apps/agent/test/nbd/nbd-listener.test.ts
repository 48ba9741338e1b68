import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ProtocolError } from '@bootswarm/stdx';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  CLIENT_FLAGS,
  CMD,
  GREETING,
  infoData,
  OPTION,
  option,
  request,
  simpleReply,
  text,
} from '../../../../packages/nbd-proto/test/wire.ts';
import type { ExportBinding, ExportSource } from '../../src/nbd/export-source.ts';
import type { NbdListenerEvent, NbdListenerOptions } from '../../src/nbd/nbd-listener.ts';
import { NbdListener } from '../../src/nbd/nbd-listener.ts';
import { ReplyBudget } from '../../src/nbd/reply-budget.ts';
import { directoryOf, FileExport, imageBytes } from './file-export.ts';
import { RawClient } from './raw-client.ts';

const MIB = 1024 * 1024;
const image = imageBytes(512, 0);
const directory = mkdtempSync(join(tmpdir(), 'bootswarm-nbd-'));
const imagePath = join(directory, 'image.raw');
writeFileSync(imagePath, image);
let path: string;
let socketCount = 0;
let disk: FileExport;
let listener: NbdListener | undefined;
let events: NbdListenerEvent[];
let onEvent: (event: NbdListenerEvent) => void;

beforeEach(() => {
  path = join(directory, `${socketCount++}.sock`);
  disk = new FileExport('disk', imagePath, image);
  events = [];
  onEvent = () => {};
});

afterEach(async () => {
  await listener?.close();
  listener = undefined;
  disk.destroy();
});

afterAll(() => rmSync(directory, { recursive: true }));

async function listen(
  options: Partial<NbdListenerOptions> = {},
  ...others: readonly ExportBinding[]
): Promise<NbdListener> {
  listener = await NbdListener.listen(
    { type: 'path', path },
    {
      directory: directoryOf(disk, ...others),
      onEvent: (event) => {
        events.push(event);
        onEvent(event);
      },
      ...options,
    },
  );
  return listener;
}

function nextEvent(): Promise<NbdListenerEvent> {
  return new Promise((resolve) => {
    onEvent = resolve;
  });
}

function read(offset: number, length: number): Uint8Array {
  return request(CMD.read, offset, length);
}

function replyOf(offset: number, length: number): Uint8Array {
  return simpleReply(0, image.subarray(offset, offset + length));
}

async function expectServes(client: RawClient, offset = 3, length = 5): Promise<void> {
  client.send(read(offset, length));
  const expected = replyOf(offset, length);
  expect((await client.receive(expected.length)).equals(expected)).toBe(true);
}

/** An export of 1 GiB whose source does as the test says. */
function exportOf(name: string, source: Partial<ExportSource>): ExportBinding {
  return {
    name,
    description: '',
    length: 1024 * MIB,
    preferredBlockLength: 4096,
    isZeroAt: () => false,
    extentEnd: (_, limit) => limit,
    open: () => ({
      readNow: () => true,
      read: () => ({ cancel() {} }),
      prefetch() {},
      close() {},
      ...source,
    }),
  };
}

describe('the handshake', () => {
  test('times out for a client that stays silent', async () => {
    await listen({ handshakeTimeoutMs: 20 });
    const client = await RawClient.connect(path);
    expect(await client.receiveToEnd()).toEqual(Buffer.from(GREETING));
    expect(events).toMatchObject([{ type: 'connection-ended', reason: 'handshake-timeout' }]);
  });

  test('does not time out once it is over', async () => {
    await listen({ handshakeTimeoutMs: 1000 });
    const patient = await RawClient.open(path, 'disk');
    const silent = await RawClient.connect(path);
    await silent.receiveToEnd();
    await expectServes(patient);
  });

  test('may be left at every byte', async () => {
    const server = await listen();
    const handshake = Buffer.concat([
      CLIENT_FLAGS,
      option(OPTION.list),
      option(OPTION.go, infoData('disk', [3])),
      read(0, 4096),
    ]);
    for (let length = 0; length <= handshake.length; length++) {
      const client = await RawClient.connect(path);
      const ended = nextEvent();
      client.socket.end(handshake.subarray(0, length));
      client.socket.resume();
      expect(await ended).toMatchObject({ type: 'connection-ended', error: undefined });
      await client.closed;
    }
    expect(server.connectionCount).toBe(0);
    expect(disk.openCount).toBe(0);
  });

  test('that breaks a rule costs that connection only', async () => {
    await listen();
    const good = await RawClient.open(path, 'disk');
    const bad = await RawClient.connect(path);
    bad.send(CLIENT_FLAGS, option(OPTION.exportName, text('other')));
    await bad.receiveToEnd();
    expect(events).toMatchObject([{ type: 'connection-ended', reason: 'failed' }]);
    expect(events[0]).toHaveProperty('error', expect.any(ProtocolError));
    await expectServes(good);
  });
});

describe('reads', () => {
  test('longer than the reply buffer are served, and their memory is given back', async () => {
    const server = await listen();
    const client = await RawClient.open(path, 'disk');
    await expectServes(client, 1, 31 * MIB);
    await expectServes(client);
    expect(server.replyBytes).toBe(0);
  });

  test('that wait are passed by others, and answered when their bytes come', async () => {
    const server = await listen();
    disk.hold(0, 1);
    const client = await RawClient.open(path, 'disk');
    client.send(read(0, 10), read(70_000, 10));
    expect(await client.receive(26)).toEqual(Buffer.from(replyOf(70_000, 10)));
    expect(server.replyBytes).toBe(26);
    disk.release();
    expect(await client.receive(26)).toEqual(Buffer.from(replyOf(0, 10)));
  });

  test('in flight at DISC are answered before the socket closes', async () => {
    await listen();
    disk.hold(0, 1);
    const client = await RawClient.open(path, 'disk');
    client.send(read(0, 10), request(CMD.disc));
    disk.onWaiting = () => setImmediate(() => disk.release());
    expect(await client.receiveToEnd()).toEqual(Buffer.from(replyOf(0, 10)));
    expect(events).toMatchObject([{ reason: 'done', exportName: 'disk', error: undefined }]);
  });

  test('in flight when the client closes its side are answered before the socket closes', async () => {
    await listen();
    disk.isSlow = true;
    const client = await RawClient.open(path, 'disk');
    const offsets = Array.from({ length: 200 }, (_, index) => index * 1000);
    client.socket.end(Buffer.concat(offsets.map((offset) => read(offset, 10))));
    const expected = Buffer.concat(offsets.map((offset) => replyOf(offset, 10)));
    expect(await client.receiveToEnd()).toEqual(expected);
  });

  test('of a client that vanished are cancelled, and their memory is given back', async () => {
    const server = await listen({ halfClosedTimeoutMs: 20 });
    disk.hold(0, image.length);
    const client = await RawClient.open(path, 'disk');
    const asked = new Promise<void>((resolve) => {
      disk.onWaiting = () => disk.waiting.size === 4 && resolve();
    });
    client.send(...[0, 1, 2, 3].map((index) => read(index * 2 * MIB, 2 * MIB)));
    await asked;
    expect(server.replyBytes).toBe(4 * (2 * MIB + 16));
    const ended = nextEvent();
    client.socket.destroy();
    expect(await ended).toMatchObject({ reason: 'abandoned' });
    expect(disk.waiting.size).toBe(0);
    expect(disk.openCount).toBe(0);
    expect(server.replyBytes).toBe(0);
  });

  test('of a client that dies in the middle of a reply cost nothing that lasts', async () => {
    const server = await listen();
    const client = await RawClient.open(path, 'disk');
    client.send(read(0, 30 * MIB));
    await client.receive(100_000);
    expect(server.replyBytes).toBe(30 * MIB + 16);
    const ended = nextEvent();
    client.socket.destroy();
    await ended;
    expect(server.replyBytes).toBe(0);
    await expectServes(await RawClient.open(path, 'disk'));
  });

  test('answered while they are asked for are as good as others', async () => {
    const eager = exportOf('eager', {
      readNow: () => false,
      read(offset, target, done) {
        target.fill(offset);
        done();
        return { cancel() {} };
      },
    });
    const server = await listen({}, eager);
    const client = await RawClient.open(path, 'eager');
    client.send(read(7, 2), read(8, 1));
    const expected = Buffer.concat([simpleReply(0, text('\x07\x07')), simpleReply(0, text('\b'))]);
    expect(await client.receive(expected.length)).toEqual(expected);
    expect(server.replyBytes).toBe(0);
  });

  test('answered in parts send the part that ends the reply after the others', async () => {
    const half = 65_536;
    const parts = exportOf('parts', {
      readNow: (offset) => offset === 0,
      read(_, __, done) {
        done();
        return { cancel() {} };
      },
    });
    // Three extents: data at hand, zeroes, and data that comes while it is asked for.
    const extents: ExportBinding = {
      ...parts,
      isZeroAt: (offset) => offset >= half && offset < 2 * half,
      extentEnd: (offset, limit) => Math.min(limit, (Math.floor(offset / half) + 1) * half),
    };
    await listen({}, extents);
    const client = await RawClient.connect(path);
    client.send(CLIENT_FLAGS, option(OPTION.structuredReply));
    client.send(option(OPTION.exportName, text('parts')), read(0, 2 * half + 1));
    await client.receive(GREETING.length + 20 + 10);
    const reply = await client.receive(28 + half + 32 + 29);
    const flags = [0, 28 + half, 28 + half + 32].map((at) => reply.readUInt16BE(at + 4));
    expect(flags).toEqual([0, 0, 1]);
  });

  test('of a source that throws cut that connection and no other', async () => {
    const server = await listen(
      {},
      exportOf('broken', {
        readNow: () => {
          throw new Error('no such piece');
        },
      }),
    );
    const good = await RawClient.open(path, 'disk');
    const bad = await RawClient.open(path, 'broken');
    bad.send(read(0, 1));
    expect(await bad.receiveToEnd()).toEqual(Buffer.alloc(0));
    expect(events).toMatchObject([{ reason: 'failed', error: { message: 'no such piece' } }]);
    await expectServes(good);
    expect(server.connectionCount).toBe(1);
  });
});

describe('a client that asks too much', () => {
  test('and never reads replies is left waiting: reads served and bytes held stop growing', async () => {
    let served = 0;
    const counted = exportOf('counted', { readNow: () => ++served > 0 });
    const server = await listen({}, counted);
    const greedy = await RawClient.open(path, 'counted');
    const modest = await RawClient.open(path, 'disk');
    greedy.send(Buffer.alloc(1_000_000 * 28, read(0, 4096)));
    async function roundTrips(): Promise<number> {
      for (let index = 0; index < 200; index++) await expectServes(modest);
      return served;
    }
    const before = await roundTrips();
    expect(await roundTrips()).toBe(before);
    // The kernel's socket buffers, Node's 64 KiB and one reply buffer: not a megabyte.
    expect(before * 4096).toBeLessThan(MIB);
    expect(before).toBeGreaterThan(0);
    expect(server.replyBytes).toBe(0);
    greedy.socket.destroy();
  });

  test('for a long time at once lets others in between', async () => {
    let served = 0;
    const slow = exportOf('slow', {
      readNow() {
        const until = performance.now() + 1;
        while (performance.now() < until);
        return ++served > 0;
      },
    });
    await listen({}, slow);
    const modest = await RawClient.open(path, 'disk');
    const greedy = await RawClient.open(path, 'slow');
    greedy.send(Buffer.alloc(1000 * 28, read(0, 1)));
    await greedy.receive(17);
    await expectServes(modest);
    expect(served).toBeLessThan(500);
    greedy.socket.destroy();
  });

  test('beyond the reply budget waits for it, while small reads of others go on', async () => {
    const server = await listen({ budget: new ReplyBudget(24 * MIB) });
    disk.hold(0, image.length);
    const hoarder = await RawClient.open(path, 'disk');
    const guest = await RawClient.open(path, 'disk');
    const waiting = (count: number) =>
      new Promise<void>((resolve) => {
        disk.onWaiting = () => disk.waiting.size === count && resolve();
      });
    const hoarded = waiting(4);
    hoarder.send(...Array.from({ length: 10 }, () => read(0, 2 * MIB)));
    await hoarded;
    const guestWaits = waiting(5);
    guest.send(read(0, MIB));
    await guestWaits;
    expect(server.replyBytes).toBe(4 * (2 * MIB + 16) + MIB + 16);
    disk.release();
    const reply = 2 * MIB + 16;
    expect((await hoarder.receive(10 * reply)).length).toBe(10 * reply);
    expect((await guest.receive(MIB + 16)).length).toBe(MIB + 16);
  });

  test('by connecting once too often is refused', async () => {
    await listen({ connectionsMax: 2 });
    await RawClient.open(path, 'disk');
    const second = await RawClient.open(path, 'disk');
    const third = await RawClient.connect(path);
    await third.receiveToEnd();
    expect(events).toEqual([{ type: 'connection-refused', connectionsMax: 2 }]);
    await expectServes(second);
  });
});

describe('cutting', () => {
  test('an export cuts its clients, unanswered, and no others', async () => {
    const other = new FileExport('disk@vm', imagePath, image);
    const server = await listen({}, other);
    other.hold(0, image.length);
    const client = await RawClient.open(path, 'disk');
    const cut = await RawClient.open(path, 'disk@vm');
    const asked = new Promise<void>((resolve) => {
      other.onWaiting = resolve;
    });
    cut.send(read(0, 1));
    await asked;
    expect(server.cut('disk@vm')).toBe(1);
    expect(await cut.receiveToEnd()).toEqual(Buffer.alloc(0));
    expect(other.waiting.size).toBe(0);
    expect(events).toMatchObject([{ reason: 'cut', exportName: 'disk@vm' }]);
    await expectServes(client);
    other.destroy();
  });

  test('close() cuts every client, unanswered, and leaves no socket behind', async () => {
    const server = await listen();
    disk.hold(0, 1);
    const client = await RawClient.open(path, 'disk');
    const asked = new Promise<void>((resolve) => {
      disk.onWaiting = resolve;
    });
    client.send(read(0, 1));
    await asked;
    await server.close();
    listener = undefined;
    expect(await client.receiveToEnd()).toEqual(Buffer.alloc(0));
    expect(() => statSync(path)).toThrow('ENOENT');
  });
});
