import { describe, expect, test } from 'vitest';
import type { NbdExport } from '../src/index.ts';
import { READ_BYTES_IN_FLIGHT_MAX, READS_IN_FLIGHT_MAX } from '../src/index.ts';
import { simple, structured } from './conversation.ts';
import { CMD, chunk, EINVAL, join, request, simpleReply, u32 } from './wire.ts';

const MIB = 1024 * 1024;

/** 1 TiB in which every other 64 KiB is zero; one extentEnd() tells at most `stepMax` bytes. */
function stripes(stepMax = 65_536): NbdExport {
  return {
    name: 'stripes',
    description: '',
    length: 2 ** 40,
    preferredBlockLength: 65_536,
    isZeroAt: (offset) => Math.floor(offset / 65_536) % 2 === 1,
    extentEnd: (offset, limit) =>
      Math.min(limit, offset + stepMax, (Math.floor(offset / 65_536) + 1) * 65_536),
  };
}

const options = { exported: stripes(), answersAtOnce: false };

describe('reads in flight', () => {
  test('are 64 at most; the next is taken up when one is answered', () => {
    const conversation = simple(options);
    const reads = Array.from({ length: 70 }, (_, index) => request(CMD.read, index, 1));
    conversation.say(join(...reads));
    expect(conversation.reads).toHaveLength(READS_IN_FLIGHT_MAX);
    expect(conversation.session.wantsInput).toBe(false);
    conversation.answer(conversation.reads[5]);
    expect(conversation.reads).toHaveLength(READS_IN_FLIGHT_MAX);
    expect(conversation.reads.at(-1)?.offset).toBe(64);
  });

  test('take in one more segment when full, so that a vanished client is noticed', () => {
    const conversation = simple(options);
    const reads = Array.from({ length: 64 }, (_, index) => request(CMD.read, index, 1));
    conversation.say(join(...reads));
    expect(conversation.session.wantsInput).toBe(true);
    conversation.say(request(CMD.flush));
    expect(conversation.session.wantsInput).toBe(false);
    expect(() => conversation.say(request(CMD.flush))).toThrow('before the last is read');
  });

  test('come to 64 MiB at most', () => {
    const conversation = simple(options);
    conversation.say(join(...Array.from({ length: 5 }, () => request(CMD.read, 0, 32 * MIB - 1))));
    // Two stay a little short of the limit, so that a third still starts.
    expect(conversation.reads).toHaveLength(3);
    expect(3 * (32 * MIB - 1)).toBeLessThan(READ_BYTES_IN_FLIGHT_MAX + 32 * MIB);
  });

  test('are 64 at most for one read of 256 data extents, which goes on as they are answered', () => {
    const conversation = structured(options);
    conversation.say(request(CMD.read, 0, 32 * MIB));
    expect(conversation.reads).toHaveLength(READS_IN_FLIGHT_MAX);
    let answered = 0;
    let last: Uint8Array | undefined;
    while (conversation.reads.length > 0) {
      last = conversation.answer(conversation.reads[0]);
      answered++;
    }
    expect(answered).toBe(256);
    // The hole after the last data extent has gone out before: this data chunk is the one marked done.
    expect(Buffer.from(last!).readUInt16BE(4)).toBe(1);
  });

  test('of requests before the end of the stream are all answered, full or not', () => {
    const conversation = simple(options);
    conversation.say(join(...Array.from({ length: 70 }, () => request(CMD.read, 0, 1))));
    conversation.hangUp();
    let answered = 0;
    for (; conversation.reads.length > 0; answered++) conversation.answer(conversation.reads[0]);
    expect(answered).toBe(70);
    expect(conversation.close).toEqual({ type: 'close', error: undefined });
  });
});

test('a read of 32 MiB is taken, and of one byte more refused', () => {
  const conversation = simple(options);
  conversation.say(request(CMD.read, 1, 32 * MIB));
  expect(conversation.reads).toMatchObject([{ offset: 1, length: 32 * MIB }]);
  expect(conversation.say(request(CMD.read, 1, 32 * MIB + 1))).toEqual(simpleReply(EINVAL));
});

describe('BLOCK_STATUS', () => {
  function extentsOf(reply: Uint8Array): number[] {
    const view = Buffer.from(reply);
    const extents: number[] = [];
    for (let at = 24; at < view.length; at += 4) extents.push(view.readUInt32BE(at));
    return extents;
  }

  test('tells 1024 extents at most', () => {
    const conversation = structured(options);
    const extents = extentsOf(conversation.say(request(CMD.blockStatus, 0, 0xffffffff)));
    expect(extents).toEqual(Array(512).fill([65_536, 0, 65_536, 3]).flat());
  });

  test('puts together what extentEnd() tells piecemeal', () => {
    const conversation = structured({ exported: stripes(512) });
    expect(conversation.say(request(CMD.blockStatus, 1, 131_072))).toEqual(
      chunk(1, 5, join(...[1, 65_535, 0, 65_536, 3, 1, 0].map(u32))),
    );
  });

  test('stops at an export that tells an empty extent instead of answering with one', () => {
    const exported = { ...stripes(), extentEnd: (offset: number) => offset };
    const conversation = structured({ exported });
    expect(() => conversation.say(request(CMD.blockStatus, 0, 1))).toThrow('leaves its range');
  });
});
