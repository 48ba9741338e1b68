/**
 * A client that goes away at any point of the conversation costs nothing that lasts. The table mirrors QEMU's iotest 083, where
 * the server drops at 27 points: before and after each message, and in the middle of each of their fields.
 */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { errnoOf } from '@bootswarm/stdx';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  CLIENT_FLAGS,
  CMD,
  GREETING,
  infoData,
  join as joined,
  metaContextData,
  OPTION,
  option,
  request,
  simpleReply,
  text,
} from '../../../../packages/nbd-proto/test/wire.ts';
import type { ConnectionEnd } from '../../src/nbd/nbd-connection.ts';
import { NbdListener } from '../../src/nbd/nbd-listener.ts';
import { directoryOf, FileExport, imageBytes } from './file-export.ts';
import { RawClient } from './raw-client.ts';

const MIB = 1024 * 1024;
const image = imageBytes(512, 0);
const directory = mkdtempSync(join(tmpdir(), 'bootswarm-nbd-'));
const path = join(directory, 'nbd.sock');
let disk: FileExport;
let listener: NbdListener;
let onEnd: (end: ConnectionEnd) => void;
let descriptorsBefore: number;

beforeAll(async () => {
  writeFileSync(join(directory, 'image.raw'), image);
  disk = new FileExport('disk', join(directory, 'image.raw'), image);
  listener = await NbdListener.listen(
    { type: 'path', path },
    {
      directory: directoryOf(disk),
      halfClosedTimeoutMs: 20,
      onEvent: (event) => {
        if (event.type === 'connection-ended') onEnd(event);
      },
    },
  );
});

beforeEach(() => {
  disk.release();
  descriptorsBefore = openDescriptors();
});

afterAll(async () => {
  await listener.close();
  disk.destroy();
  rmSync(directory, { recursive: true });
});

function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

function nextEnd(): Promise<ConnectionEnd> {
  return new Promise((resolve) => {
    onEnd = resolve;
  });
}

/** What is left of a client that has gone: nothing. And the next one is served. */
async function expectNothingLeft(): Promise<void> {
  expect([listener.connectionCount, listener.replyBytes]).toEqual([0, 0]);
  expect([disk.openCount, disk.waiting.size]).toEqual([0, 0]);
  expect(openDescriptors()).toBe(descriptorsBefore);
  disk.release();
  const ended = nextEnd();
  const next = await RawClient.open(path, 'disk');
  next.send(request(CMD.read, 3, 5), request(CMD.disc));
  const expected = Buffer.from(simpleReply(0, image.subarray(3, 8)));
  expect(await next.receiveToEnd()).toEqual(expected);
  expect(await ended).toMatchObject({ reason: 'done' });
}

interface Field {
  readonly name: string;
  readonly length: number;
}

/** The fields of a message, in order: `name length, name length, …` */
function fields(message: string, layout: Readonly<Record<string, number>>): Field[] {
  return Object.entries(layout).map(([name, length]) => ({ name: `${message}: ${name}`, length }));
}

const OPTION_HEADER = { magic: 8, option: 4, length: 4 };
const REQUEST = { magic: 4, flags: 2, type: 2, cookie: 8, offset: 8, length: 4 };
const ALLOCATION = { 'query count': 4, 'query length': 4, query: 15 };

interface Script {
  readonly name: string;
  readonly fields: readonly Field[];
  readonly bytes: Uint8Array;
}

const SCRIPTS: readonly Script[] = [
  {
    name: 'as QEMU does',
    fields: [
      ...fields('handshake', { 'client flags': 4 }),
      ...fields('STRUCTURED_REPLY', OPTION_HEADER),
      ...fields('SET_META_CONTEXT', { ...OPTION_HEADER, 'name length': 4, name: 4, ...ALLOCATION }),
      ...fields('GO', { ...OPTION_HEADER, 'name length': 4, name: 4, 'info count': 2, info: 2 }),
      ...fields('READ', REQUEST),
      ...fields('WRITE', { ...REQUEST, payload: 512 }),
    ],
    bytes: joined(
      CLIENT_FLAGS,
      option(OPTION.structuredReply),
      option(OPTION.setMetaContext, metaContextData('disk', ['base:allocation'])),
      option(OPTION.go, infoData('disk', [3])),
      request(CMD.read, 1, 4096),
      request(CMD.write, 1, 512),
      new Uint8Array(512),
    ),
  },
  {
    name: 'classic',
    fields: [
      ...fields('handshake', { 'client flags': 4 }),
      ...fields('LIST', OPTION_HEADER),
      ...fields('EXPORT_NAME', { ...OPTION_HEADER, name: 4 }),
      ...fields('READ', REQUEST),
      ...fields('DISC', REQUEST),
    ],
    bytes: joined(
      CLIENT_FLAGS,
      option(OPTION.list),
      option(OPTION.exportName, text('disk')),
      request(CMD.read, 1, 4096),
      request(CMD.disc),
    ),
  },
];

interface Point {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Whether the READ is in `bytes`. */
  readonly hasRead: boolean;
}

/** Before each field, after half of it, and after the last. */
function pointsOf({ fields: all, bytes }: Script): Point[] {
  const points: Point[] = [];
  let at = 0;
  let hasRead = false;
  const add = (name: string, end: number) => {
    points.push({ name, bytes: bytes.subarray(0, end), hasRead });
  };
  for (const { name, length } of all) {
    add(`before ${name}`, at);
    add(`in the middle of ${name}`, at + Math.floor(length / 2));
    at += length;
    hasRead ||= name === 'READ: length';
  }
  expect(at).toBe(bytes.length);
  add('after all', at);
  return points;
}

/** How a client leaves: closing its side in order, gone, or gone while its read waits for the swarm. */
const WAYS = ['ends', 'vanishes', 'vanishes while its read waits'] as const;

describe.each(SCRIPTS)('a client that talks $name', (script) => {
  test.each(WAYS)('and %s at any point leaves nothing behind', async (way) => {
    for (const point of pointsOf(script)) {
      const doesWait = way === 'vanishes while its read waits' && point.hasRead;
      const isAsked = doesWait ? holdReads() : Promise.resolve();
      const client = await RawClient.connect(path);
      const ended = nextEnd();
      await client.receive(GREETING.length);
      await new Promise((resolve) => client.socket.write(point.bytes, resolve));
      await isAsked;
      client.socket.resume();
      if (way === 'ends') client.socket.end();
      else client.socket.destroy();
      const { reason, error } = await ended;
      expect(reason, point.name).toMatch(LEFT);
      if (error !== undefined) expect(GONE, point.name).toContain(errnoOf(error));
      await client.closed;
      await expectNothingLeft();
    }
  });
});

/** Whether its end of stream or the failure of a write is seen first is up to the kernel. */
const LEFT = /^(done|abandoned)$/;
const GONE = ['EPIPE', 'ECONNRESET'];

/** Reads wait from now on; resolves when one does. */
function holdReads(): Promise<void> {
  disk.hold(0, image.length);
  return new Promise((resolve) => {
    disk.onWaiting = resolve;
  });
}

describe('a client that stops reading', () => {
  const replyLength = 16 + 30 * MIB;

  const list = [option(OPTION.list)];
  const read = [option(OPTION.exportName, text('disk')), request(CMD.read, 1, 30 * MIB)];
  /** What comes before the reply: greeting, size and flags. */
  const before = GREETING.length + 10;

  test.each([
    ['before the greeting', [], 0],
    ['in the middle of the greeting', [], 8],
    ['after the greeting', [], GREETING.length],
    ['in the middle of an option reply', list, GREETING.length + 12],
    ['in the middle of the size', read, GREETING.length + 4],
    ['before the flags', read, GREETING.length + 8],
    ['before the reply', read, before],
    ['after 4 bytes of the reply', read, before + 4],
    ['after 8 bytes of the reply', read, before + 8],
    ['before the data', read, before + 16],
    ['in the middle of the data', read, before + replyLength / 2],
    ['before the last byte', read, before + replyLength - 1],
    ['after the data', read, before + replyLength],
  ])('and vanishes %s leaves nothing behind', async (_, messages, length) => {
    const client = await RawClient.connect(path);
    const ended = nextEnd();
    client.send(CLIENT_FLAGS, ...messages);
    await client.receive(length);
    client.socket.destroy();
    expect((await ended).reason).toMatch(LEFT);
    await client.closed;
    await expectNothingLeft();
  });
});
