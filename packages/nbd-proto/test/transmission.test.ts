import { ProtocolError } from '@bootswarm/stdx';
import { describe, expect, test } from 'vitest';
import { diskBytes, simple, structured } from './conversation.ts';
import {
  CMD,
  chunk,
  dataChunk,
  EINVAL,
  EPERM,
  errorChunk,
  FLAG,
  hex,
  holeChunk,
  join,
  request,
  simpleReply,
  u32,
} from './wire.ts';

const KIB = 1024;
const MIB = 1024 * 1024;
const DONE = 1;

describe('NBD_CMD_READ', () => {
  test('is answered with a simple reply, zeroes and all', () => {
    const reply = simple().say(request(CMD.read, 65_535, 65_538));
    expect(reply).toEqual(simpleReply(0, diskBytes(65_535, 65_538)));
  });

  test('of data is answered with one data chunk', () => {
    const reply = structured().say(request(CMD.read, 1, 3));
    expect(reply).toEqual(dataChunk(DONE, 1, diskBytes(1, 3)));
  });

  test('of zeroes is answered with one hole chunk and asks nobody for bytes', () => {
    const conversation = structured({ answersAtOnce: false });
    expect(conversation.say(request(CMD.read, 65_536, 4096))).toEqual(
      holeChunk(DONE, 65_536, 4096),
    );
    expect(conversation.reads).toEqual([]);
  });

  test('across extents is answered with a chunk for each, the last of them done', () => {
    const reply = structured().say(request(CMD.read, 65_535, 65_538));
    expect(reply).toEqual(
      join(
        dataChunk(0, 65_535, diskBytes(65_535, 1)),
        holeChunk(0, 65_536, 65_536),
        dataChunk(DONE, 131_072, diskBytes(131_072, 1)),
      ),
    );
  });

  test('with DF is answered with one data chunk across extents', () => {
    const reply = structured().say(request(CMD.read, 65_535, 65_538, { flags: FLAG.df }));
    expect(reply).toEqual(dataChunk(DONE, 65_535, diskBytes(65_535, 65_538)));
  });

  test('marks the chunk that is sent last, in whatever order the data comes', () => {
    const conversation = structured({ answersAtOnce: false });
    const hole = conversation.say(request(CMD.read, 65_535, 65_538));
    expect(hole).toEqual(holeChunk(0, 65_536, 65_536));
    const [first, second] = conversation.reads;
    expect(conversation.answer(second)).toEqual(dataChunk(0, 131_072, diskBytes(131_072, 1)));
    expect(conversation.answer(first)).toEqual(dataChunk(DONE, 65_535, diskBytes(65_535, 1)));
  });

  test('a hole at the end of a read is not done while data before it is awaited', () => {
    const conversation = structured({ answersAtOnce: false });
    expect(conversation.say(request(CMD.read, 65_535, 2))).toEqual(holeChunk(0, 65_536, 1));
    const [data] = conversation.reads;
    expect(conversation.answer(data)).toEqual(dataChunk(DONE, 65_535, diskBytes(65_535, 1)));
  });

  test('waits as long as it takes while later reads are answered', () => {
    const conversation = simple({ answersAtOnce: false });
    expect(conversation.say(request(CMD.read, 0, 1, { cookie: 1n }))).toEqual(hex(''));
    conversation.say(request(CMD.read, 5, 1, { cookie: 2n }));
    const [first, second] = conversation.reads;
    expect(conversation.answer(second)).toEqual(simpleReply(0, hex('05'), 2n));
    expect(conversation.answer(first)).toEqual(simpleReply(0, hex('00'), 1n));
  });

  test('keeps all 64 bits of the cookie, and serves one cookie in flight twice', () => {
    const cookie = 0xfedcba9876543210n;
    const read = request(CMD.read, 7, 1, { cookie });
    const reply = simpleReply(0, hex('07'), cookie);
    expect(simple().say(join(read, read))).toEqual(join(reply, reply));
  });

  test.each([
    ['the last byte', MIB - 1, 1],
    ['the whole export', 0, MIB],
  ])('serves %s', (_, offset, length) => {
    expect(simple().say(request(CMD.read, offset, length))).toHaveLength(16 + length);
  });

  test('cannot be answered twice', () => {
    const conversation = simple({ answersAtOnce: false });
    conversation.say(request(CMD.read, 0, 1));
    const [read] = conversation.reads;
    conversation.answer(read);
    expect(() => conversation.answer(read)).toThrow('answered twice');
  });
});

describe('a refused request', () => {
  const PAST_END = 'range past the end of the export';
  const BAD_FLAG = 'flag not valid for this command';
  test.each([
    ['a read of nothing', request(CMD.read, 0, 0), EINVAL, 'empty range'],
    ['a read past the end', request(CMD.read, MIB, 1), EINVAL, PAST_END],
    ['a read across the end', request(CMD.read, MIB - 1, 2), EINVAL, PAST_END],
    ['a read at 2^53', request(CMD.read, 2n ** 53n, 1), EINVAL, PAST_END],
    ['a read that overflows 2^64', request(CMD.read, 2n ** 64n - 1n, 2), EINVAL, PAST_END],
    ['a read of 2^32 - 1 bytes', request(CMD.read, 0, 0xffffffff), EINVAL, PAST_END],
    ['a read with FUA', request(CMD.read, 0, 1, { flags: FLAG.fua }), EINVAL, BAD_FLAG],
    ['a read with REQ_ONE', request(CMD.read, 0, 1, { flags: FLAG.reqOne }), EINVAL, BAD_FLAG],
    ['a read with all flags', request(CMD.read, 0, 1, { flags: 0xffff }), EINVAL, BAD_FLAG],
    ['a trim', request(CMD.trim, 0, 1), EPERM, 'read-only export'],
    ['a write of zeroes', request(CMD.writeZeroes, 0, 1), EPERM, 'read-only export'],
    ['a write of nothing', request(CMD.write, 0, 0), EPERM, 'read-only export'],
    ['a flush of a range', request(CMD.flush, 0, 1), EINVAL, 'flush of a range'],
    ['a flush with FUA', request(CMD.flush, 0, 0, { flags: FLAG.fua }), EINVAL, BAD_FLAG],
    ['a prefetch of nothing', request(CMD.cache, 0, 0), EINVAL, 'empty range'],
    ['a prefetch past the end', request(CMD.cache, MIB, 1), EINVAL, PAST_END],
    ['a prefetch with DF', request(CMD.cache, 0, 1, { flags: FLAG.df }), EINVAL, BAD_FLAG],
    ['a resize', request(CMD.resize, 0, 1), EINVAL, 'unknown command'],
    [
      'an unknown command with the payload flag',
      request(9, 0, 1, { flags: FLAG.payload }),
      EINVAL,
      'unknown command',
    ],
    ['command 0xffff', request(0xffff, 0, 1), EINVAL, 'unknown command'],
  ])('%s is answered with its errno, and the session goes on', (_, refused, error, message) => {
    const read = request(CMD.read, 1, 1);
    expect(simple().say(join(refused, read))).toEqual(
      join(simpleReply(error), simpleReply(0, hex('01'))),
    );
    expect(structured().say(join(refused, read))).toEqual(
      join(errorChunk(error, message), dataChunk(DONE, 1, hex('01'))),
    );
  });

  test('a read with DF is refused where structured replies were not negotiated', () => {
    const reply = simple().say(request(CMD.read, 0, 1, { flags: FLAG.df }));
    expect(reply).toEqual(simpleReply(EINVAL));
  });
});

describe('NBD_CMD_WRITE', () => {
  test('is refused after its payload has run past, a byte at a time', () => {
    const conversation = structured();
    expect(conversation.say(request(CMD.write, 0, 3), hex('25'), hex('60'))).toEqual(hex(''));
    expect(conversation.say(hex('95'))).toEqual(errorChunk(EPERM, 'read-only export'));
  });

  test('past the end is refused as read-only all the same', () => {
    const reply = simple().say(join(request(CMD.write, 2n ** 60n, 2), hex('0000')));
    expect(reply).toEqual(simpleReply(EPERM));
  });

  test('of 4 GiB is waited for without keeping any of it', () => {
    const conversation = simple();
    conversation.say(request(CMD.write, 0, 0xffffffff));
    for (let index = 0; index < 100; index++) {
      expect(conversation.say(new Uint8Array(65_536))).toEqual(hex(''));
    }
    expect(conversation.bufferedLengthMax).toBe(0);
  });

  test('cut off by the end of the stream ends the session', () => {
    const conversation = simple();
    conversation.say(request(CMD.write, 0, 10), hex('00'));
    conversation.hangUp();
    expect(conversation.close).toEqual({ type: 'close', error: undefined });
  });
});

describe('NBD_CMD_FLUSH and NBD_CMD_CACHE', () => {
  test('a flush succeeds: there is nothing to flush', () => {
    expect(simple().say(request(CMD.flush))).toEqual(simpleReply(0));
    expect(structured().say(request(CMD.flush))).toEqual(chunk(DONE, 0, hex('')));
  });

  test('a prefetch is acknowledged and passed on', () => {
    const conversation = structured();
    expect(conversation.say(request(CMD.cache, 4096, MIB - 4096))).toEqual(chunk(DONE, 0, hex('')));
    expect(conversation.cached).toMatchObject([
      { type: 'cache', offset: 4096, length: MIB - 4096 },
    ]);
  });
});

describe('NBD_CMD_BLOCK_STATUS', () => {
  const HOLE_AND_ZERO = 3;
  function status(...extents: readonly number[]): Uint8Array {
    return chunk(DONE, 5, join(u32(1), ...extents.map((value) => u32(value))));
  }

  test('of the whole export tells data and zeroes apart', () => {
    expect(structured().say(request(CMD.blockStatus, 0, MIB))).toEqual(
      status(64 * KIB, 0, 64 * KIB, HOLE_AND_ZERO, 832 * KIB, 0, 64 * KIB, HOLE_AND_ZERO),
    );
  });

  test('stays within the range it is asked for', () => {
    expect(structured().say(request(CMD.blockStatus, 65_537, 2))).toEqual(status(2, HOLE_AND_ZERO));
  });

  test('with REQ_ONE tells one extent', () => {
    const flags = FLAG.reqOne;
    expect(structured().say(request(CMD.blockStatus, 1, MIB - 1, { flags }))).toEqual(
      status(64 * KIB - 1, 0),
    );
  });

  test.each([
    ['nothing', 0, 0, 0, 'empty range'],
    ['a range past the end', MIB - 1, 2, 0, 'range past the end of the export'],
    ['a range with DF', 0, 1, FLAG.df, 'flag not valid for this command'],
  ])('of %s is refused', (_, offset, length, flags, message) => {
    expect(structured().say(request(CMD.blockStatus, offset, length, { flags }))).toEqual(
      errorChunk(EINVAL, message),
    );
  });

  test('is refused where structured replies were not negotiated', () => {
    expect(simple().say(request(CMD.blockStatus, 0, 1))).toEqual(simpleReply(EINVAL));
  });
});

describe('the end', () => {
  test('a bad magic drops the client', () => {
    const conversation = simple();
    conversation.say(request(CMD.read, 0, 1).fill(0xff, 0, 4));
    expect(conversation.close?.error).toBeInstanceOf(ProtocolError);
    expect(conversation.close?.error?.code).toBe('bad-request-magic');
  });

  test('DISC finishes what is in flight, reads nothing more, and closes', () => {
    const conversation = simple({ answersAtOnce: false });
    const stream = join(request(CMD.read, 3, 1), request(CMD.disc), request(CMD.flush));
    expect(conversation.say(stream)).toEqual(hex(''));
    expect(conversation.say(request(CMD.flush))).toEqual(hex(''));
    expect(conversation.close).toBeUndefined();
    expect(conversation.answer(conversation.reads[0])).toEqual(simpleReply(0, hex('03')));
    expect(conversation.close).toEqual({ type: 'close', error: undefined });
  });

  test('the end of the stream finishes what is in flight, then closes', () => {
    const conversation = simple({ answersAtOnce: false });
    conversation.say(join(request(CMD.read, 3, 1), hex('2560')));
    conversation.hangUp();
    expect(conversation.close).toBeUndefined();
    expect(conversation.answer(conversation.reads[0])).toEqual(simpleReply(0, hex('03')));
    expect(conversation.close).toEqual({ type: 'close', error: undefined });
  });
});
