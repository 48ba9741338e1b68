import { ProtocolError } from '@bootswarm/stdx';
import { describe, expect, test } from 'vitest';
import { NbdSession } from '../src/index.ts';
import { Conversation, DISK, directoryOf } from './conversation.ts';
import * as wire from './wire.ts';
import {
  CLIENT_FLAGS,
  hex,
  infoData,
  join,
  metaContextData,
  OPTION,
  option,
  optionReply,
  REP,
  text,
  u16,
  u32,
  u64,
} from './wire.ts';

/** HAS_FLAGS | READ_ONLY | SEND_FLUSH | CAN_MULTI_CONN | SEND_CACHE, and SEND_DF. */
const FLAGS_SIMPLE = 0x0507;
const FLAGS_STRUCTURED = 0x0587;
const SIZE_1_MIB = u64(1024 * 1024);

function negotiating(...before: readonly Uint8Array[]): Conversation {
  const conversation = new Conversation();
  conversation.say(CLIENT_FLAGS, ...before);
  return conversation;
}

/** The option and type of each reply in `bytes`. */
function replyTypes(bytes: Uint8Array): number[][] {
  const types: number[][] = [];
  const view = Buffer.from(bytes);
  for (let at = 0; at < view.length; at += 20 + view.readUInt32BE(at + 16)) {
    types.push([view.readUInt32BE(at + 8), view.readUInt32BE(at + 12)]);
  }
  return types;
}

function closeCode(conversation: Conversation): string | undefined {
  const error = conversation.close?.error;
  return error instanceof ProtocolError ? error.code : undefined;
}

describe('greeting', () => {
  test('offers fixed newstyle and no zeroes before the client has said anything', () => {
    const session = new NbdSession(directoryOf(DISK));
    expect(session.poll()).toEqual({ type: 'write', bytes: wire.GREETING });
    expect(session.poll()).toBeUndefined();
  });

  test.each([0, 1, 2, 3])('accepts client flags %i', (flags) => {
    const conversation = new Conversation();
    const reply = conversation.say(u32(flags), option(OPTION.list));
    expect(replyTypes(reply).at(-1)).toEqual([OPTION.list, REP.ack]);
  });

  test.each([4, 0x80000000, 0xffffffff])('drops a client that sets flags 0x%x', (flags) => {
    const conversation = new Conversation();
    expect(conversation.say(u32(flags))).toEqual(hex(''));
    expect(closeCode(conversation)).toBe('unknown-client-flags');
  });

  test('drops a client whose option does not begin with IHAVEOPT', () => {
    const conversation = negotiating(hex('49484156454f5055 00000003 00000000'));
    expect(closeCode(conversation)).toBe('bad-option-magic');
  });
});

describe('NBD_OPT_EXPORT_NAME', () => {
  test('is answered with size and flags', () => {
    const reply = negotiating().say(option(OPTION.exportName, text('disk')));
    expect(reply).toEqual(join(SIZE_1_MIB, u16(FLAGS_SIMPLE)));
  });

  test('is answered with 124 zeroes more for a client without NO_ZEROES', () => {
    const conversation = new Conversation();
    const reply = conversation.say(u32(1), option(OPTION.exportName, text('disk')));
    expect(reply).toEqual(join(SIZE_1_MIB, u16(FLAGS_SIMPLE), new Uint8Array(124)));
  });

  test('chooses the default export with an empty name', () => {
    const conversation = negotiating();
    conversation.say(option(OPTION.exportName));
    expect(conversation.session.export?.name).toBe('disk');
  });

  test.each([
    ['a missing export', text('other'), 'export-not-found'],
    ['another directory', text('../disk'), 'export-not-found'],
    ['a name of 4096 bytes', new Uint8Array(4096).fill(97), 'export-not-found'],
    ['a name of 4097 bytes', new Uint8Array(4097).fill(97), 'bad-export-name'],
    ['a name of 64 KiB', new Uint8Array(65_536).fill(97), 'export-name-too-long'],
    ['a name that is not UTF-8', hex('ff6469736b'), 'bad-export-name'],
    ['a name with a NUL', text('disk\0'), 'bad-export-name'],
  ])('drops a client that asks for %s, as it has no error reply', (_, name, code) => {
    const conversation = negotiating();
    expect(conversation.say(option(OPTION.exportName, name))).toEqual(hex(''));
    expect(closeCode(conversation)).toBe(code);
  });
});

describe('NBD_OPT_GO and NBD_OPT_INFO', () => {
  test('GO tells size and flags, and begins the transmission phase', () => {
    const conversation = negotiating();
    const reply = conversation.say(option(OPTION.go, infoData('disk')));
    expect(reply).toEqual(
      join(
        optionReply(OPTION.go, REP.info, join(u16(0), SIZE_1_MIB, u16(FLAGS_SIMPLE))),
        optionReply(OPTION.go, REP.ack),
      ),
    );
    expect(conversation.session.export?.name).toBe('disk');
  });

  test('INFO tells all that is asked for, and stays in the handshake', () => {
    const conversation = negotiating(option(OPTION.structuredReply));
    const reply = conversation.say(option(OPTION.info, infoData('', [3, 2, 1, 3, 99])));
    expect(reply).toEqual(
      join(
        optionReply(OPTION.info, REP.info, join(u16(0), SIZE_1_MIB, u16(FLAGS_STRUCTURED))),
        optionReply(OPTION.info, REP.info, join(u16(1), text('disk'))),
        optionReply(OPTION.info, REP.info, join(u16(2), text('a disk'))),
        optionReply(
          OPTION.info,
          REP.info,
          join(u16(3), u32(1), u32(65_536), u32(32 * 1024 * 1024)),
        ),
        optionReply(OPTION.info, REP.ack),
      ),
    );
    expect(conversation.session.export).toBeUndefined();
  });

  test('answer a missing export with ERR_UNKNOWN, and go on', () => {
    const conversation = negotiating();
    const reply = conversation.say(
      option(OPTION.go, infoData('other')),
      option(OPTION.go, infoData('disk')),
    );
    expect(replyTypes(reply)).toEqual([
      [OPTION.go, REP.errUnknown],
      [OPTION.go, REP.info],
      [OPTION.go, REP.ack],
    ]);
  });

  test('a second GO is a request with a bad magic', () => {
    const go = option(OPTION.go, infoData('disk', [3]));
    const conversation = negotiating(go);
    conversation.say(go);
    expect(closeCode(conversation)).toBe('bad-request-magic');
  });

  test.each([
    ['no data', hex('')],
    ['a name longer than the data', join(u32(5), text('disk'), u16(0))],
    ['a name of 2^32 - 1 bytes', join(u32(0xffffffff), text('disk'), u16(0))],
    ['more information types counted than sent', join(u32(4), text('disk'), u16(2), u16(0))],
    ['fewer information types counted than sent', join(u32(4), text('disk'), u16(0), u16(0))],
    ['a name of 4097 bytes', infoData('a'.repeat(4097))],
    ['a name that is not UTF-8', join(u32(1), hex('c3'), u16(0))],
    ['a name with a NUL', infoData('di\0sk')],
  ])('answer %s with ERR_INVALID, and go on', (_, data) => {
    const conversation = negotiating();
    const reply = conversation.say(option(OPTION.go, data), option(OPTION.info, infoData('disk')));
    expect(replyTypes(reply)).toEqual([
      [OPTION.go, REP.errInvalid],
      [OPTION.info, REP.info],
      [OPTION.info, REP.ack],
    ]);
  });
});

describe('NBD_OPT_LIST', () => {
  test('shows the names that the directory lists', () => {
    expect(negotiating().say(option(OPTION.list))).toEqual(
      join(
        optionReply(OPTION.list, REP.server, join(u32(4), text('disk'))),
        optionReply(OPTION.list, REP.server, join(u32(7), text('disk@vm'))),
        optionReply(OPTION.list, REP.ack),
      ),
    );
  });

  test('with data is answered with ERR_INVALID', () => {
    const reply = negotiating().say(option(OPTION.list, text('x')));
    expect(replyTypes(reply)).toEqual([[OPTION.list, REP.errInvalid]]);
  });
});

describe('meta contexts', () => {
  const SELECT = option(OPTION.setMetaContext, metaContextData('disk', ['base:allocation']));
  const BASE_ALLOCATION = text('base:allocation');

  test('SET selects base:allocation under an id, whatever else is asked for', () => {
    const queries = ['qemu:dirty-bitmap:b', 'base:allocation', 'base:', ''];
    const reply = negotiating(option(OPTION.structuredReply)).say(
      option(OPTION.setMetaContext, metaContextData('disk', queries)),
    );
    expect(reply).toEqual(
      join(
        optionReply(OPTION.setMetaContext, REP.metaContext, join(u32(1), BASE_ALLOCATION)),
        optionReply(OPTION.setMetaContext, REP.ack),
      ),
    );
  });

  test.each([
    ['no query', []],
    ['the namespace base:', ['base:']],
    ['base:allocation', ['x-unknown:y', 'base:allocation']],
  ])('LIST answers %s with base:allocation', (_, queries) => {
    const reply = negotiating(option(OPTION.structuredReply)).say(
      option(OPTION.listMetaContext, metaContextData('disk', queries)),
    );
    expect(reply).toEqual(
      join(
        optionReply(OPTION.listMetaContext, REP.metaContext, join(u32(0), BASE_ALLOCATION)),
        optionReply(OPTION.listMetaContext, REP.ack),
      ),
    );
  });

  test.each([
    ['SET with no query', OPTION.setMetaContext, []],
    ['SET of a namespace', OPTION.setMetaContext, ['base:']],
    ['SET of a thousand unknown contexts', OPTION.setMetaContext, Array(1000).fill('x:y')],
    ['LIST of an unknown namespace', OPTION.listMetaContext, ['qemu:']],
  ])('%s selects nothing, which is no error', (_, id, queries) => {
    const reply = negotiating(option(OPTION.structuredReply)).say(
      option(id, metaContextData('disk', queries)),
    );
    expect(reply).toEqual(optionReply(id, REP.ack));
  });

  test.each([
    ['before structured replies', [], metaContextData('disk', []), REP.errInvalid],
    [
      'for a missing export',
      [option(OPTION.structuredReply)],
      metaContextData('other', []),
      REP.errUnknown,
    ],
    [
      'with more queries counted than sent',
      [option(OPTION.structuredReply)],
      join(u32(4), text('disk'), u32(0xffffffff), u32(0)),
      REP.errInvalid,
    ],
  ])('SET %s is an error', (_, before, data, type) => {
    const reply = negotiating(...before).say(option(OPTION.setMetaContext, data));
    expect(replyTypes(reply)).toEqual([[OPTION.setMetaContext, type]]);
  });

  const status = wire.request(wire.CMD.blockStatus, 0, 65_536);
  const GRANTED = wire.chunk(1, 5, join(u32(1), u32(65_536), u32(0)));
  const REFUSED = wire.errorChunk(wire.EINVAL, 'no metadata context selected');

  test.each([
    ['selected', [SELECT], GRANTED],
    ['never selected', [], REFUSED],
    ['selected, then replaced by nothing', [SELECT, unselect('disk', [])], REFUSED],
    ['selected, then lost to a SET that fails', [SELECT, unselect('other', [])], REFUSED],
    ['selected for an export under another name', [unselect('', ['base:allocation'])], REFUSED],
  ])('BLOCK_STATUS with the context %s', (_, options, expected) => {
    const conversation = negotiating(option(OPTION.structuredReply), ...options);
    conversation.say(option(OPTION.go, infoData('disk')));
    expect(conversation.say(status)).toEqual(expected);
  });

  function unselect(name: string, queries: readonly string[]): Uint8Array {
    return option(OPTION.setMetaContext, metaContextData(name, queries));
  }
});

describe('other options', () => {
  test('STRUCTURED_REPLY may be asked for twice', () => {
    const reply = negotiating().say(option(OPTION.structuredReply), option(OPTION.structuredReply));
    const ack = optionReply(OPTION.structuredReply, REP.ack);
    expect(reply).toEqual(join(ack, ack));
  });

  test('STRUCTURED_REPLY with data is answered with ERR_INVALID, and not negotiated', () => {
    const conversation = negotiating(option(OPTION.structuredReply, text('x')));
    const reply = conversation.say(option(OPTION.exportName, text('disk')));
    expect(reply).toEqual(join(SIZE_1_MIB, u16(FLAGS_SIMPLE)));
  });

  test.each([[], [option(OPTION.structuredReply)]])(
    'STARTTLS is refused by policy, and the session goes on in the clear',
    (...before) => {
      const reply = negotiating(...before).say(option(OPTION.starttls), option(OPTION.list));
      expect(replyTypes(reply)[0]).toEqual([OPTION.starttls, REP.errPolicy]);
      expect(replyTypes(reply).at(-1)).toEqual([OPTION.list, REP.ack]);
    },
  );

  test('ABORT is acknowledged, the session ends, and what follows is not read', () => {
    const conversation = negotiating();
    const reply = conversation.say(join(option(OPTION.abort), option(OPTION.list)));
    expect(reply).toEqual(optionReply(OPTION.abort, REP.ack));
    expect(conversation.close).toEqual({ type: 'close', error: undefined });
    expect(conversation.say(option(OPTION.list))).toEqual(hex(''));
  });

  test.each([0, 4, OPTION.extendedHeaders, 12, 0xffffffff])(
    'option %i is answered with ERR_UNSUP, and its data is skipped',
    (id) => {
      const reply = negotiating().say(option(id, text('data')), option(OPTION.list));
      expect(replyTypes(reply)[0]).toEqual([id, REP.errUnsup]);
      expect(replyTypes(reply).at(-1)).toEqual([OPTION.list, REP.ack]);
    },
  );

  test('option data of 16 KiB is read, and of one byte more skipped with ERR_TOO_BIG', () => {
    const conversation = negotiating();
    const longest = option(OPTION.go, new Uint8Array(16_384));
    const tooLong = option(OPTION.go, new Uint8Array(16_385));
    expect(replyTypes(conversation.say(longest, tooLong))).toEqual([
      [OPTION.go, REP.errInvalid],
      [OPTION.go, REP.errTooBig],
    ]);
  });

  test.each([OPTION.go, OPTION.starttls, 999])(
    'option %i with 2^32 - 1 bytes announced waits for them without keeping any',
    (id) => {
      const conversation = negotiating();
      expect(conversation.say(option(id, hex(''), 0xffffffff))).toEqual(hex(''));
      for (let index = 0; index < 100; index++) {
        expect(conversation.say(new Uint8Array(65_536))).toEqual(hex(''));
      }
      expect(conversation.bufferedLengthMax).toBe(0);
      expect(conversation.close).toBeUndefined();
    },
  );

  test('the thousand-and-first option drops the client', () => {
    const conversation = negotiating();
    for (let index = 0; index < 1000; index++) conversation.say(option(999));
    expect(conversation.close).toBeUndefined();
    conversation.say(option(999));
    expect(closeCode(conversation)).toBe('too-many-options');
  });

  test('the end of the stream ends the session at every byte of the handshake', () => {
    const handshake = join(CLIENT_FLAGS, option(OPTION.list), option(OPTION.go, infoData('disk')));
    for (let length = 0; length < handshake.length; length++) {
      const conversation = new Conversation();
      conversation.say(handshake.subarray(0, length));
      expect(conversation.close).toBeUndefined();
      conversation.hangUp();
      expect(conversation.close).toEqual({ type: 'close', error: undefined });
    }
  });
});
