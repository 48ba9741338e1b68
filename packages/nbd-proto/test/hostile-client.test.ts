/** What a client may get wrong, or do on purpose, for every value of a field: the rows of docs/protocol/nbd.md. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Conversation, DISK, diskBytes, simple, structured } from './conversation.ts';
import {
  CLIENT_FLAGS,
  CMD,
  chunk,
  dataChunk,
  EINVAL,
  EPERM,
  errorChunk,
  FLAG,
  hex,
  infoData,
  join,
  metaContextData,
  OPTION,
  option,
  REP,
  request,
  simpleReply,
  text,
  u16,
  u32,
} from './wire.ts';

const DONE = 1;

function negotiating(): Conversation {
  const conversation = new Conversation();
  conversation.say(CLIENT_FLAGS, option(OPTION.structuredReply));
  return conversation;
}

/** The reply types to one option. */
function typesOf(bytes: Uint8Array): number[] {
  const types: number[] = [];
  const view = Buffer.from(bytes);
  for (let at = 0; at < view.length; at += 20 + view.readUInt32BE(at + 16)) {
    types.push(view.readUInt32BE(at + 12));
  }
  return types;
}

describe('an option', () => {
  const anyOption = fc.oneof(fc.integer({ min: 2, max: 12 }), fc.nat(0xffffffff));

  test('of length 0 gets exactly one last reply, an ACK or an error', () => {
    fc.assert(
      fc.property(anyOption, (id) => {
        fc.pre(id !== OPTION.exportName);
        const types = typesOf(negotiating().say(option(id)));
        const isLast = (type: number) => type === REP.ack || type >= 0x80000000;
        expect(types.filter(isLast)).toHaveLength(1);
        expect(isLast(types.at(-1)!)).toBe(true);
      }),
    );
  });

  test.each([0x7fffffff, 0x80000000, 0xffffffff])(
    'of %i bytes is waited for, not kept',
    (length) => {
      fc.assert(
        fc.property(anyOption, (id) => {
          fc.pre(id !== OPTION.exportName);
          const conversation = negotiating();
          conversation.say(option(id, hex(''), length), new Uint8Array(65_536));
          expect(conversation.close).toBeUndefined();
          expect(conversation.bufferedLengthMax).toBe(0);
          conversation.hangUp();
          expect(conversation.close).toEqual({ type: 'close', error: undefined });
        }),
      );
    },
  );

  test('is one of a thousand at most: ten thousand in one stream drop the client', () => {
    const conversation = negotiating();
    conversation.say(join(...Array.from({ length: 10_000 }, () => option(OPTION.list))));
    expect(conversation.close?.error).toMatchObject({ code: 'too-many-options' });
  });
});

describe('an export name', () => {
  const NAMES: [string, Uint8Array, number][] = [
    ['of no bytes: the default export', hex(''), REP.ack],
    ['of 256 bytes', new Uint8Array(256).fill(97), REP.errUnknown],
    ['of 4096 bytes', new Uint8Array(4096).fill(97), REP.errUnknown],
    ['of 4097 bytes', new Uint8Array(4097).fill(97), REP.errInvalid],
    ['of 64 KiB', new Uint8Array(65_536).fill(97), REP.errTooBig],
    ['that is not UTF-8', hex('fffe'), REP.errInvalid],
    ['with a NUL', text('disk\0'), REP.errInvalid],
    ['that leads elsewhere', text('../disk'), REP.errUnknown],
    ['of another image', text('f'.repeat(40)), REP.errUnknown],
  ];

  test.each(NAMES)('%s is answered as such by GO, INFO and the meta contexts', (_, name, type) => {
    const named = join(u32(name.length), name);
    for (const id of [OPTION.go, OPTION.info]) {
      expect(typesOf(negotiating().say(option(id, join(named, u16(0))))).at(-1)).toBe(type);
    }
    for (const id of [OPTION.setMetaContext, OPTION.listMetaContext]) {
      expect(typesOf(negotiating().say(option(id, join(named, u32(0))))).at(-1)).toBe(type);
    }
  });
});

describe('a count that lies', () => {
  test('about the information types of GO is ERR_INVALID, whatever it says', () => {
    const types = fc.array(fc.nat(0xffff), { maxLength: 20 });
    fc.assert(
      fc.property(types, fc.nat(0xffff), (sent, count) => {
        const data = join(u32(4), text('disk'), u16(count), ...sent.map(u16));
        const last = typesOf(negotiating().say(option(OPTION.info, data))).at(-1);
        expect(last).toBe(count === sent.length ? REP.ack : REP.errInvalid);
      }),
    );
  });

  test('about the queries of SET_META_CONTEXT is ERR_INVALID, whatever it says', () => {
    const count32 = fc.oneof(fc.nat(9), fc.nat(0xffffffff));
    fc.assert(
      fc.property(fc.array(fc.string({ maxLength: 9 })), count32, (queries, count) => {
        fc.pre(queries.every((query) => !query.includes('\0')));
        const data = metaContextData('disk', queries);
        data.set(u32(count), 8);
        const last = typesOf(negotiating().say(option(OPTION.setMetaContext, data))).at(-1);
        expect(last).toBe(count === queries.length ? REP.ack : REP.errInvalid);
      }),
    );
  });
});

describe('a read', () => {
  const offsets = fc.oneof(fc.nat(DISK.length + 9), fc.bigInt(0n, 2n ** 64n - 1n));
  const lengths = fc.oneof(fc.nat(70_000), fc.nat(DISK.length), fc.nat(0xffffffff));

  test('at any offset, of any length, aligned or not, is served within the export and refused elsewhere', () => {
    fc.assert(
      fc.property(offsets, lengths, (offset, length) => {
        const isWithin = length > 0 && BigInt(offset) + BigInt(length) <= BigInt(DISK.length);
        const expected = isWithin
          ? simpleReply(0, diskBytes(Number(offset), length))
          : simpleReply(EINVAL);
        const reply = simple().say(request(CMD.read, offset, length));
        expect(Buffer.from(reply).equals(expected)).toBe(true);
      }),
      { numRuns: 50 },
    );
  });

  test('under a cookie that is in flight already is answered as any other', () => {
    const conversation = simple({ answersAtOnce: false });
    conversation.say(request(CMD.read, 7, 1), request(CMD.read, 9, 1));
    const [first, second] = conversation.reads;
    expect(conversation.answer(second)).toEqual(simpleReply(0, hex('09')));
    expect(conversation.answer(first)).toEqual(simpleReply(0, hex('07')));
  });
});

describe('flags', () => {
  /** What each command takes, with structured replies; a write is refused before anybody looks at its flags. */
  const TAKEN: [command: number, flags: number, refusal: number][] = [
    [CMD.read, FLAG.df, EINVAL],
    [CMD.flush, 0, EINVAL],
    [CMD.cache, 0, EINVAL],
    [CMD.blockStatus, FLAG.reqOne, EINVAL],
    [CMD.write, 0xffff, EPERM],
    [CMD.trim, 0xffff, EPERM],
    [CMD.writeZeroes, 0xffff, EPERM],
    [CMD.resize, 0xffff, EINVAL],
  ];

  test('that a command does not take are refused, in all combinations, and the session goes on', () => {
    fc.assert(
      fc.property(fc.constantFrom(...TAKEN), fc.nat(0xffff), ([command, taken, error], flags) => {
        const length = command === CMD.flush || command === CMD.write ? 0 : 1;
        const conversation = structured();
        const reply = Buffer.from(conversation.say(request(command, 0, length, { flags })));
        const isRefused = reply.readUInt16BE(6) === 0x8001;
        const isWrite = error === EPERM || command === CMD.resize;
        expect(isRefused).toBe(isWrite || (flags & ~taken) !== 0);
        if (isRefused) expect(reply.readUInt32BE(20)).toBe(error);
        expect(conversation.say(request(CMD.read, 1, 1))).toEqual(dataChunk(DONE, 1, hex('01')));
      }),
    );
  });
});

describe('BLOCK_STATUS', () => {
  test('of any range tells extents that are not empty, differ from their neighbours and stay within', () => {
    const offsets = fc.nat(DISK.length - 1);
    fc.assert(
      fc.property(offsets, fc.nat(0xffffffff), fc.boolean(), (offset, any, isOne) => {
        const length = 1 + (any % (DISK.length - offset));
        const flags = isOne ? FLAG.reqOne : 0;
        const reply = structured().say(request(CMD.blockStatus, offset, length, { flags }));
        const view = Buffer.from(reply);
        let total = 0;
        for (let at = 24; at < view.length; at += 8) {
          expect(view.readUInt32BE(at)).toBeGreaterThan(0);
          if (at > 24) expect(view.readUInt32BE(at + 4)).not.toBe(view.readUInt32BE(at - 4));
          total += view.readUInt32BE(at);
        }
        expect(view.length).toBe(isOne ? 32 : view.length);
        expect(total).toBeGreaterThan(0);
        expect(total).toBeLessThanOrEqual(length);
        if (!isOne) expect(total).toBe(length);
      }),
    );
  });

  test('asked for with no context is refused, and asked of nothing too', () => {
    const conversation = new Conversation();
    conversation.say(CLIENT_FLAGS, option(OPTION.structuredReply));
    conversation.say(option(OPTION.go, infoData('disk')));
    expect(conversation.say(request(CMD.blockStatus, 0, 1))).toEqual(
      errorChunk(EINVAL, 'no metadata context selected'),
    );
    expect(structured().say(request(CMD.blockStatus, 0, 0))).toEqual(
      errorChunk(EINVAL, 'empty range'),
    );
  });
});

test('a flood of CACHE gets an acknowledgement each and keeps nothing', () => {
  const conversation = structured();
  const flood = join(...Array.from({ length: 1000 }, () => request(CMD.cache, 0, DISK.length)));
  const acknowledged = chunk(DONE, 0, hex(''));
  expect(conversation.say(flood)).toHaveLength(1000 * acknowledged.length);
  expect(conversation.cached).toHaveLength(1000);
  expect(conversation.session.bufferedLength).toBe(0);
});
