/**
 * The same bytes to our NBD server and to nbdkit, on standard input: the same class of answer to each option and request. What
 * may differ is listed in docs/protocol/nbd.md and left out by nbd-transcript.ts, or by what is generated here.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  CLIENT_FLAGS,
  CMD,
  FLAG,
  infoData,
  join as joined,
  metaContextData,
  OPTION,
  option,
  request,
  text,
  u32,
} from '../../packages/nbd-proto/test/wire.ts';
import { answerTo } from './nbd-stdin.ts';
import { type SentRequest, type Transcript, transcriptOf } from './nbd-transcript.ts';

const LENGTH = 1024 * 1024;
const PROGRAM = new URL('nbd-stdin.ts', import.meta.url).pathname;
let directory: string;
let path: string;
let file: number;

/** [256 KiB, 512 KiB) and the last 64 KiB are holes, in the file as in what is served. */
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'bootswarm-nbd-'));
  path = join(directory, 'disk.raw');
  const disk = Buffer.alloc(LENGTH);
  for (let at = 0; at < LENGTH; at += 1) disk[at] = 1 + (at % 251);
  writeFileSync(path, '');
  const written = openSync(path, 'r+');
  writeSync(written, disk, 0, 256 * 1024, 0);
  writeSync(written, disk, 512 * 1024, 448 * 1024, 512 * 1024);
  writeSync(written, Buffer.alloc(0));
  closeSync(written);
  spawnSync('truncate', ['-s', `${LENGTH}`, path]);
  file = openSync(path, 'r');
});

afterAll(() => {
  closeSync(file);
  rmSync(directory, { recursive: true });
});

interface Sent {
  readonly bytes: Uint8Array;
  readonly requests: readonly SentRequest[];
}

/** From a file, as it closes a pipe from which it has no more to read. */
function nbdkitTo(input: Uint8Array): Buffer {
  const inputPath = join(directory, 'input');
  writeFileSync(inputPath, input);
  const stdin = openSync(inputPath, 'r');
  const { stdout, error } = spawnSync('nbdkit', ['-s', '-t', '1', '-r', 'file', path], {
    ...{ stdio: [stdin, 'pipe', 'ignore'], timeout: 20_000, maxBuffer: 64 * LENGTH },
  });
  closeSync(stdin);
  if (error !== undefined) throw error;
  return stdout;
}

/** BLOCK_STATUS may tell less than it was asked for, so the shorter of two maps is what both must say. */
function expectAlike(ours: Transcript, theirs: Transcript): void {
  expect(ours.options).toEqual(theirs.options);
  expect([...ours.replies.keys()].sort()).toEqual([...theirs.replies.keys()].sort());
  for (const [cookie, { error, digest, map }] of ours.replies) {
    const other = theirs.replies.get(cookie)!;
    const told = Math.min(map.length, other.map.length);
    const answer = { cookie, error, digest, map: map.slice(0, told) };
    expect(answer).toEqual({ cookie, ...other, map: other.map.slice(0, told) });
  }
}

function compare({ bytes, requests }: Sent): Transcript {
  const ours = transcriptOf(answerTo(bytes, file), requests);
  expectAlike(ours, transcriptOf(nbdkitTo(bytes), requests));
  return ours;
}

/** A whole conversation; `requests` are [command, offset, length, flags], and get their index as cookie. */
function conversation(
  options: readonly Uint8Array[],
  requests: readonly (readonly [number, number, number, number?])[] = [],
  clientFlags = CLIENT_FLAGS,
): Sent {
  const sent = requests.map(([command, offset, length], cookie) => {
    return { command, offset, length, cookie };
  });
  const messages = requests.map(([command, offset, length, flags = 0], cookie) => {
    const header = request(command, offset, length, { flags, cookie: BigInt(cookie) });
    return command === CMD.write ? joined(header, new Uint8Array(length)) : header;
  });
  return { bytes: joined(clientFlags, ...options, ...messages), requests: sent };
}

const NAMED = option(OPTION.exportName, text('disk'));
const GO = option(OPTION.go, infoData('disk', [3]));
const STRUCTURED = option(OPTION.structuredReply);
const CONTEXT = option(OPTION.setMetaContext, metaContextData('disk', ['base:allocation']));
const QEMU = [STRUCTURED, CONTEXT, GO];

/** After the seeds of nbdkit's fuzzing: connections with each kind of reply, and each command once. */
const SEEDS: [string, Sent][] = [
  ['nothing at all', { bytes: new Uint8Array(), requests: [] }],
  ['an abort', conversation([option(OPTION.abort)])],
  ['a list', conversation([option(OPTION.list), option(OPTION.abort)])],
  ['an empty session', conversation([NAMED], [[CMD.disc, 0, 0]])],
  ['zeroes after the export name', conversation([NAMED], [[CMD.read, 0, 512]], u32(1))],
  [
    'simple reads',
    conversation(
      [NAMED],
      [
        [CMD.read, 0, 512],
        [CMD.read, 300_000, 4096],
      ],
    ),
  ],
  [
    'structured reads',
    conversation(QEMU, [
      [CMD.read, 0, 512],
      [CMD.read, 200_000, 400_000],
    ]),
  ],
  ['a read that may not be cut', conversation(QEMU, [[CMD.read, 200_000, 400_000, FLAG.df]])],
  [
    'block status',
    conversation(QEMU, [
      [CMD.blockStatus, 0, LENGTH],
      [CMD.disc, 0, 0],
    ]),
  ],
  ['one extent', conversation(QEMU, [[CMD.blockStatus, 512, LENGTH - 512, FLAG.reqOne]])],
  ['block status without a context', conversation([STRUCTURED, GO], [[CMD.blockStatus, 0, 512]])],
  [
    'all that writes',
    conversation(
      QEMU,
      [4, 6].map((command) => [command, 0, 512] as const),
    ),
  ],
  [
    'a write, and a read after it',
    conversation(QEMU, [
      [CMD.write, 0, 512],
      [CMD.read, 0, 512],
    ]),
  ],
  [
    'flush and cache',
    conversation(QEMU, [
      [CMD.flush, 0, 0],
      [CMD.cache, 0, 4096],
    ]),
  ],
  ['unknown client flags', conversation([NAMED], [], u32(0xfc))],
  ['an option with a bad magic', conversation([new Uint8Array(16), NAMED])],
  [
    'a request with a bad magic',
    { bytes: joined(CLIENT_FLAGS, NAMED, new Uint8Array(28)), requests: [] },
  ],
  ['TLS, which neither has', conversation([option(OPTION.starttls), GO], [[CMD.read, 0, 1]])],
];

test.each(SEEDS)('%s: nbdkit says the same', (_, sent) => {
  compare(sent);
});

describe('whatever a client sends', () => {
  const name = fc.constantFrom('', 'disk', 'other');
  const queries = fc.array(fc.constantFrom('base:allocation', 'base:', 'x:y'), { maxLength: 3 });
  const infoTypes = fc.array(fc.nat(4), { maxLength: 4 });
  const metaOption = fc.constantFrom(OPTION.setMetaContext, OPTION.listMetaContext);
  const anyOption = fc.oneof(
    fc.constant(STRUCTURED),
    fc
      .tuple(metaOption, name, queries)
      .map(([id, of, asked]) => option(id, metaContextData(of, asked))),
    fc.tuple(name, infoTypes).map(([of, asked]) => option(OPTION.info, infoData(of, asked))),
    fc.constantFrom(OPTION.list, OPTION.starttls, 4, 12, 99).map((id) => option(id)),
    // Cut short, or with something behind it.
    fc
      .constantFrom(0, 1, 4, 5, 11)
      .map((length) => option(OPTION.info, new Uint8Array(length).fill(1))),
    fc.constantFrom(OPTION.list, OPTION.structuredReply, 99).map((id) => option(id, text('data'))),
  );
  const optionIn = (bytes: Uint8Array) => Buffer.from(bytes).readUInt32BE(8);
  /** nbdkit lists exports once, and meta contexts to clients without structured replies too. */
  const isComparable = (each: Uint8Array, index: number, all: readonly Uint8Array[]) => {
    const before = all.slice(0, index);
    if (optionIn(each) === OPTION.listMetaContext) return before.includes(STRUCTURED);
    return (
      optionIn(each) !== OPTION.list || !before.some((other) => optionIn(other) === OPTION.list)
    );
  };
  const entry = fc.oneof(
    {
      weight: 6,
      arbitrary: fc
        .tuple(name, infoTypes)
        .map(([of, asked]) => option(OPTION.go, infoData(of, asked))),
    },
    { weight: 3, arbitrary: name.map((of) => option(OPTION.exportName, text(of))) },
    { weight: 1, arbitrary: fc.constant(option(OPTION.abort)) },
  );
  const offset = fc.oneof(
    fc.constantFrom(0, LENGTH - 512, LENGTH - 1, LENGTH),

    fc.nat(LENGTH / 512).map((sector) => sector * 512),
    fc.nat(LENGTH + 9),
  );
  const length = fc.oneof(
    fc.constantFrom(0, 1, 512),

    fc.nat(64).map((sectors) => sectors * 512),
    fc.nat(LENGTH),
  );
  const flags = fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.nat(31));
  const command = fc.oneof(fc.nat(8), fc.constantFrom(CMD.read, 99));
  const anyRequest = fc.tuple(command, offset, length, flags);
  const session = fc.tuple(
    fc.array(anyOption, { maxLength: 8 }).map((all) => all.filter(isComparable)),
    entry,
    fc.array(anyRequest, { maxLength: 12 }),
    fc.constantFrom(1, 3),
  );

  test('nbdkit answers it alike', () => {
    fc.assert(
      fc.property(session, fc.option(fc.double({ min: 0, max: 1, noNaN: true })), (said, cut) => {
        const [options, last, requests, clientFlags] = said;
        const sent = conversation([...options, last], requests, u32(clientFlags));
        const end = cut === null ? sent.bytes.length : Math.floor(cut * sent.bytes.length);
        compare({ ...sent, bytes: sent.bytes.subarray(0, end) });
      }),
      { numRuns: 300 },
    );
  });
});

test('the program says on standard output what the server says, however its input is cut', () => {
  const { bytes } = conversation(QEMU, [
    [CMD.read, 1, 300_000],
    [CMD.blockStatus, 0, LENGTH],
  ]);
  const { stdout, status } = spawnSync(process.execPath, [PROGRAM, path], {
    ...{ input: bytes, maxBuffer: 2 * LENGTH },
  });
  expect(status).toBe(0);
  expect(stdout.equals(answerTo(bytes, file))).toBe(true);
  expect(answerTo(bytes, file, 1).equals(stdout)).toBe(true);
});
