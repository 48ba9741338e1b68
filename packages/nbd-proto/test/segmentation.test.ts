import { ProtocolError } from '@bootswarm/stdx';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Conversation } from './conversation.ts';
import {
  CLIENT_FLAGS,
  CMD,
  infoData,
  join,
  metaContextData,
  OPTION,
  option,
  request,
  text,
  u32,
} from './wire.ts';

/** One of everything a client may send, right and wrong. */
const STREAM = join(
  CLIENT_FLAGS,
  option(OPTION.info, infoData('other', [1])),
  option(999, text('skipped')),
  option(OPTION.list),
  option(OPTION.structuredReply),
  option(OPTION.setMetaContext, metaContextData('disk', ['base:allocation'])),
  option(OPTION.go, infoData('disk', [1, 2, 3])),
  request(CMD.read, 65_530, 70_000),
  request(CMD.write, 0, 40),
  new Uint8Array(40),
  request(CMD.blockStatus, 0, 1024 * 1024),
  request(CMD.cache, 0, 4096),
  request(CMD.read, 0, 0),
  request(CMD.trim, 0, 512),
  request(CMD.flush),
  request(CMD.read, 1, 1, { cookie: 2n }),
  request(CMD.disc),
);

interface Outcome {
  readonly sent: Buffer;
  readonly cached: readonly unknown[];
  readonly close: unknown;
}

function outcomeOf(segments: readonly Uint8Array[]): Outcome {
  const conversation = new Conversation();
  const sent = Buffer.from(conversation.say(...segments));
  return { sent, cached: conversation.cached, close: conversation.close };
}

/** Cuts `bytes` after each of the given lengths in turn, over and over. */
function segmentsOf(bytes: Uint8Array, lengths: readonly number[]): Uint8Array[] {
  const segments: Uint8Array[] = [];
  for (let at = 0, index = 0; at < bytes.length; index++) {
    const length = lengths[index % lengths.length];
    segments.push(bytes.subarray(at, at + length));
    at += length;
  }
  return segments;
}

const WHOLE = outcomeOf([STREAM]);

describe('a stream cut into segments', () => {
  test('ends as it should when it is whole', () => {
    expect(WHOLE.close).toEqual({ type: 'close', error: undefined });
    expect(WHOLE.cached).toHaveLength(1);
  });

  test('does the same a byte at a time', () => {
    expect(outcomeOf(segmentsOf(STREAM, [1]))).toEqual(WHOLE);
  });

  test('does the same cut in two at any byte', () => {
    for (let at = 0; at <= STREAM.length; at++) {
      expect(outcomeOf([STREAM.subarray(0, at), STREAM.subarray(at)])).toEqual(WHOLE);
    }
  });

  test('does the same cut anywhere', () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(lengths, (cuts) => {
        expect(outcomeOf(segmentsOf(STREAM, cuts))).toEqual(WHOLE);
      }),
    );
  });
});

/** Options and requests that are nearly right, which random bytes alone would never be. */
const option32 = fc.oneof(fc.integer({ min: 0, max: 12 }), fc.nat(0xffffffff));
const bytes = fc.uint8Array({ maxLength: 64 });
const anyOption = fc
  .tuple(option32, bytes, fc.option(fc.nat(0xffffffff)))
  .map(([id, data, length]) => option(id, data, length ?? data.length));
const anyRequest = fc
  .tuple(
    fc.oneof(fc.integer({ min: 0, max: 9 }), fc.nat(0xffff)),
    fc.oneof(fc.bigInt(0n, 2n ** 21n), fc.bigInt(0n, 2n ** 64n - 1n)),
    fc.oneof(fc.nat(200_000), fc.nat(0xffffffff)),
    fc.oneof(fc.constant(0), fc.nat(0xffff)),
  )
  .map(([command, offset, length, flags]) => request(command, offset, length, { flags }));

function expectOnlyProtocolErrors(conversation: Conversation): void {
  expect(conversation.bufferedLengthMax).toBeLessThanOrEqual(16 * 1024);
  if (conversation.close?.error !== undefined) {
    expect(conversation.close.error).toBeInstanceOf(ProtocolError);
  }
}

describe('hostile bytes', () => {
  const lengths = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 9 });

  test('in the handshake never throw, and little is kept of them', () => {
    const messages = fc.array(fc.oneof({ weight: 9, arbitrary: anyOption }, bytes));
    fc.assert(
      fc.property(fc.nat(4), messages, lengths, (flags, stream, cuts) => {
        const conversation = new Conversation();
        conversation.say(...segmentsOf(join(u32(flags), ...stream), cuts));
        conversation.hangUp();
        expectOnlyProtocolErrors(conversation);
        expect(conversation.close).toBeDefined();
      }),
    );
  });

  test('in the transmission phase never throw, and little is kept of them', () => {
    const messages = fc.array(fc.oneof({ weight: 9, arbitrary: anyRequest }, bytes));
    fc.assert(
      fc.property(fc.boolean(), messages, lengths, (isStructured, stream, cuts) => {
        const conversation = new Conversation();
        conversation.say(CLIENT_FLAGS);
        if (isStructured) conversation.say(option(OPTION.structuredReply));
        conversation.say(option(OPTION.exportName, text('disk')));
        conversation.say(...segmentsOf(join(...stream), cuts));
        conversation.hangUp();
        expectOnlyProtocolErrors(conversation);
        expect(conversation.close).toBeDefined();
      }),
    );
  });
});
