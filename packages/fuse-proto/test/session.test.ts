import { encodeResend, type FuseEffect, FuseSession, uniqueKey } from '@bootswarm/fuse-proto';
import { describe, expect, test } from 'vitest';
import {
  initMessage,
  message,
  name,
  type Reply,
  readMessage,
  replyOf,
  setattrMessage,
  TestDirectory,
  TestFile,
  words,
} from './kernel.ts';

const ROOT = 1;
const FILE = 4_000_000_000_123;
const LENGTH = 1024 * 1024 + 4096;
const ERRNO = { EPERM: -1, ENOENT: -2, EIO: -5, ENXIO: -6, ENOTDIR: -20, EISDIR: -21 };
const [EINVAL, EROFS, ENOSYS, EPROTO, ESTALE] = [-22, -30, -38, -71, -116];

const file = new TestFile(FILE, 'a.raw', LENGTH);
const directory = new TestDirectory(file);
const session = new FuseSession(directory);

function answer(bytes: Uint8Array): Reply {
  const effect = session.handle(bytes);
  if (effect.type !== 'reply') throw new Error(`${effect.type} instead of a reply`);
  return replyOf(effect.bytes);
}

describe('INIT', () => {
  test('agrees on the lower version and reads of 1 MiB', () => {
    const { error, payload, length } = answer(initMessage(38, 0xffff_ffff));
    expect({ error, length }).toEqual({ error: 0, length: 80 });
    expect(payload.readUInt32LE(0)).toBe(7);
    expect(payload.readUInt32LE(4)).toBe(38);
    const flags = payload.readUInt32LE(12);
    const [asyncRead, asyncDirectIo, maxPages] = [0, 15, 22].map((bit) => (flags >>> bit) & 1);
    // With ASYNC_DIO, who waits for an O_DIRECT read cannot be killed.
    expect({ asyncRead, asyncDirectIo, maxPages }).toEqual({
      ...{ asyncRead: 1, asyncDirectIo: 0, maxPages: 1 },
    });
    // Locks stay the kernel's, and nothing is written behind our back.
    const [posixLocks, flockLocks, writeback] = [1, 10, 16].map((bit) => (flags >>> bit) & 1);
    expect({ posixLocks, flockLocks, writeback }).toEqual({
      ...{ posixLocks: 0, flockLocks: 0, writeback: 0 },
    });
    expect(payload.readUInt16LE(28)).toBe(256);
  });

  test('offers nothing that the kernel does not know', () => {
    expect(answer(initMessage(45, 1)).payload.readUInt32LE(12)).toBe(1);
    expect(answer(initMessage(99, 1)).payload.readUInt32LE(4)).toBe(45);
  });

  test('is refused by version', () => {
    expect(answer(initMessage(30, 0)).error).toBe(EPROTO);
    expect(answer(initMessage(38, 0, 8)).error).toBe(EPROTO);
  });
});

describe('a file', () => {
  test('has mode 0644, its length and the blocks that are there', () => {
    const { payload, unique } = answer(message(1, ROOT, name('a.raw'), 99n));
    expect(unique).toBe(99n);
    expect(payload).toHaveLength(128);
    expect(payload.readBigUInt64LE(0)).toBe(BigInt(FILE));
    const stat = payload.subarray(40);
    expect(stat.readBigUInt64LE(8)).toBe(BigInt(LENGTH));
    expect(stat.readBigUInt64LE(16)).toBe(16n);
    expect(stat.readUInt32LE(60)).toBe(0o100644);
    expect(answer(message(3, FILE, words(0, 0, 0n))).payload.subarray(16)).toEqual(stat);
  });

  test('takes utime(2), which shows, and neither chown(2), chmod(2) nor truncate(2)', () => {
    const [mode, uid, gid, size, atime, mtime] = [1, 2, 4, 8, 16, 32];
    const { error, payload } = answer(setattrMessage(FILE, { valid: atime | mtime, mtime: 77n }));
    expect(error).toBe(0);
    expect(payload.readBigUInt64LE(16 + 32)).toBe(77n);
    expect(file.mtime).toBe(77);
    for (const valid of [uid, gid, uid | gid, mode])
      expect(answer(setattrMessage(FILE, { valid })).error).toBe(ERRNO.EPERM);
    expect(answer(setattrMessage(FILE, { valid: size })).error).toBe(EROFS);
    expect(
      answer(setattrMessage(FILE, { valid: mtime, mtime: -1n & (2n ** 64n - 1n) })).error,
    ).toBe(EINVAL);
  });

  test('is opened for reading, with O_DIRECT too, and for nothing else', () => {
    const O_DIRECT = 0o40000;
    const effect = session.handle(message(14, FILE, words(O_DIRECT, 0)));
    expect(effect).toEqual({ type: 'open', unique: { low: 7, high: 0 }, file });
    const { payload } = replyOf(session.opened({ low: 7, high: 0 }, 2 ** 52));
    expect(payload.readBigUInt64LE(0)).toBe(2n ** 52n);
    // FOPEN_KEEP_CACHE, not FOPEN_DIRECT_IO.
    expect(payload.readUInt32LE(8)).toBe(2);
    for (const access of [1, 2, 3])
      expect(answer(message(14, FILE, words(access, 0))).error).toBe(EROFS);
  });

  test('is read within its length', () => {
    expect(session.handle(readMessage(FILE, 5n, 4096n, 8192))).toEqual({
      ...{ type: 'read', unique: { low: 7, high: 0 }, file },
      ...{ handle: 5, offset: 4096, length: 8192 },
    });
    const last = session.handle(readMessage(FILE, 5n, BigInt(LENGTH - 100), 4096));
    expect(last).toMatchObject({ type: 'read', length: 100 });
    for (const offset of [BigInt(LENGTH), 2n ** 62n, 2n ** 64n - 1n])
      expect(answer(readMessage(FILE, 5n, offset, 4096))).toMatchObject({ error: 0, length: 16 });
    expect(answer(readMessage(FILE, 5n, 0n, 1024 * 1024 + 1)).error).toBe(EINVAL);
    expect(answer(readMessage(ROOT, 5n, 0n, 4096)).error).toBe(ERRNO.EISDIR);
  });

  test('is answered for behind the header of its reply', () => {
    const effect = session.handle(readMessage(FILE, 5n, 0n, 4)) as FuseEffect<TestFile>;
    if (effect.type !== 'read') throw new Error(effect.type);
    const bytes = Buffer.from('................data');
    session.encodeReadReply(effect, bytes);
    expect(replyOf(bytes)).toEqual({
      ...{ length: 20, error: 0, unique: 7n, payload: Buffer.from('data') },
    });
  });

  test('tells data from holes', () => {
    const [SEEK_SET, SEEK_DATA, SEEK_HOLE] = [0, 3, 4];
    const seek = (offset: number, whence: number) =>
      answer(message(46, FILE, words(5n, BigInt(offset), whence, 0)));
    expect(seek(0, SEEK_DATA).payload.readBigUInt64LE()).toBe(0n);
    expect(seek(10, SEEK_HOLE).payload.readBigUInt64LE()).toBe(BigInt(LENGTH / 2));
    expect(seek(LENGTH - 1, SEEK_DATA).error).toBe(ERRNO.ENXIO);
    expect(seek(LENGTH, SEEK_HOLE).error).toBe(ERRNO.ENXIO);
    expect(seek(0, SEEK_SET).error).toBe(EINVAL);
  });

  test('that is not there may be elsewhere, by name or by an open file', () => {
    expect(session.handle(message(1, ROOT, name('b.raw')))).toMatchObject({
      ...{ type: 'find', name: 'b.raw' },
    });
    expect(replyOf(session.found({ low: 1, high: 0 }, undefined)).error).toBe(ERRNO.ENOENT);
    expect(session.handle(readMessage(FILE + 1, 5n, 0n, 4))).toMatchObject({
      ...{ type: 'absent', handle: 5 },
    });
    expect(answer(message(3, FILE + 1, words(0, 0, 0n))).error).toBe(ESTALE);
    expect(answer(message(1, FILE, name('a.raw'))).error).toBe(ERRNO.ENOTDIR);
  });
});

describe('the directory', () => {
  const many = Array.from({ length: 50 }, (_, index) => {
    return new TestFile(100 + index * 3, `${String(index).padStart(40, '0')}.raw`, 4096);
  });

  /** Whole, as getdents(2) of a small buffer would. */
  function list(of: FuseSession<TestFile>, opcode: number, length: number): string[] {
    const names: string[] = [];
    for (let offset = 0n; ; ) {
      const effect = of.handle(message(opcode, ROOT, words(0n, offset, length, 0, 0n, 0, 0)));
      if (effect.type !== 'reply') throw new Error(effect.type);
      const { payload } = replyOf(effect.bytes);
      if (payload.length === 0) return names;
      expect(payload.length).toBeLessThanOrEqual(length);
      const prefix = opcode === 44 ? 128 : 0;
      for (let at = 0; at < payload.length; ) {
        const entry = payload.subarray(at + prefix);
        offset = entry.readBigUInt64LE(8);
        const nameLength = entry.readUInt32LE(16);
        const text = entry.subarray(24, 24 + nameLength).toString();
        names.push(text);
        const isDot = text.startsWith('.');
        if (prefix > 0) {
          expect(payload.readBigUInt64LE(at)).toBe(isDot ? 0n : entry.readBigUInt64LE(0));
        }
        at += (prefix + 24 + nameLength + 7) & ~7;
      }
    }
  }

  test.each([28, 44])('is listed whole, in parts (opcode %i)', (opcode) => {
    const of = new FuseSession(new TestDirectory(...many));
    const names = ['.', '..', ...many.map((each) => each.name)];
    expect(list(of, opcode, 4096)).toEqual(names);
    expect(list(of, opcode, 1_000_000)).toEqual(names);
  });

  test('is listed on when files have gone and come meanwhile', () => {
    const changing = new TestDirectory(...many);
    const of = new FuseSession(changing);
    const first = of.handle(message(28, ROOT, words(0n, 0n, 1024, 0, 0n, 0, 0)));
    if (first.type !== 'reply') throw new Error(first.type);
    changing.files.splice(0, 20);
    const second = of.handle(
      message(28, ROOT, words(0n, BigInt(many[30].nodeId), 96, 0, 0n, 0, 0)),
    );
    if (second.type !== 'reply') throw new Error(second.type);
    expect(replyOf(second.bytes).payload.readBigUInt64LE(0)).toBe(BigInt(many[31].nodeId));
  });

  test('changes for nobody', () => {
    for (const opcode of [6, 8, 9, 10, 11, 12, 13, 16, 35, 43, 45])
      expect(answer(message(opcode, ROOT, name('x'))).error).toBe(EROFS);
    expect(answer(setattrMessage(ROOT, { valid: 2 })).error).toBe(ERRNO.EPERM);
  });

  test('is opened anew for each listing, or the kernel would keep the first', () => {
    expect(answer(message(27, ROOT, words(0, 0)))).toMatchObject({ error: 0, length: 32 });
    expect(answer(message(27, FILE, words(0, 0))).error).toBe(ERRNO.ENOTDIR);
    expect(answer(message(29, ROOT, words(0n, 0, 0, 0n))).error).toBe(0);
  });

  test('has no room', () => {
    const { payload } = answer(message(17, ROOT, Buffer.alloc(0)));
    expect(payload.readBigUInt64LE(0)).toBe(BigInt(LENGTH / 4096));
    expect(payload.readBigUInt64LE(8)).toBe(0n);
  });
});

test('extended attributes, locks, flush and what is not known are left to the kernel', () => {
  for (const opcode of [21, 22, 23, 24, 20, 25, 31, 32, 34, 39, 40, 52, 4096])
    expect(answer(message(opcode, FILE, Buffer.alloc(24))).error).toBe(ENOSYS);
});

test('what is forgotten gets no answer, what is interrupted is named, what is closed is told', () => {
  expect(session.handle(message(2, FILE, words(1n)))).toEqual({ type: 'none' });
  expect(session.handle(message(42, 0, words(1, 0, 5n, 1n)))).toEqual({ type: 'none' });
  expect(session.handle(message(36, 0, words(2n ** 63n + 12n)))).toEqual({
    ...{ type: 'interrupt', unique: { low: 12, high: 2 ** 31 } },
  });
  expect(uniqueKey({ low: 12, high: 2 ** 31 })).toBe(uniqueKey({ low: 12, high: 0 }));
  const released = session.handle(message(18, FILE, words(9n, 0, 0, 0n)));
  expect(released).toMatchObject({ type: 'release', handle: 9 });
  expect(replyOf(session.interrupted({ low: 1, high: 0 })).error).toBe(-4);
});

test('a request that was sent before is answered under the number it has', () => {
  const unique = 2n ** 63n + 99n;
  expect(answer(message(3, ROOT, words(0, 0, 0n), unique)).unique).toBe(unique);
  expect(Buffer.from(encodeResend()).toString('hex')).toBe('10000000070000000000000000000000');
});
