/** What STARTTLS does to a handshake. The encryption itself is the runner's. */
import { ProtocolError } from '@bootswarm/stdx';
import { describe, expect, test } from 'vitest';
import { Conversation } from './conversation.ts';
import {
  CLIENT_FLAGS,
  CMD,
  EINVAL,
  hex,
  infoData,
  join,
  metaContextData,
  OPTION,
  option,
  optionReply,
  REP,
  request,
  simpleReply,
  text,
  u32,
} from './wire.ts';

function required(...before: readonly Uint8Array[]): Conversation {
  const conversation = new Conversation({ tls: 'required' });
  conversation.say(CLIENT_FLAGS, ...before);
  return conversation;
}

function secured(...before: readonly Uint8Array[]): Conversation {
  const conversation = required(...before, option(OPTION.starttls));
  expect(conversation.isSecured).toBe(true);
  return conversation;
}

function typeOf(reply: Uint8Array): number {
  return Buffer.from(reply).readUInt32BE(12);
}

function codeOf({ close }: Conversation): string | undefined {
  return close?.error instanceof ProtocolError ? close.error.code : undefined;
}

const STARTTLS = option(OPTION.starttls);
const EXPORT_NAME = option(OPTION.exportName, text('disk'));

describe('where TLS is required', () => {
  test.each([
    ['LIST', OPTION.list, hex('')],
    ['INFO', OPTION.info, infoData('disk')],
    ['GO', OPTION.go, infoData('disk')],
    ['STRUCTURED_REPLY', OPTION.structuredReply, hex('')],
    ['SET_META_CONTEXT', OPTION.setMetaContext, metaContextData('disk', [])],
    ['an option nobody knows', 99, text('data')],
  ])('%s before it is answered with ERR_TLS_REQD, and tells nothing', (_, id, data) => {
    const conversation = required();
    const reply = conversation.say(option(id, data));
    expect(typeOf(reply)).toBe(REP.errTlsReqd);
    expect(Buffer.from(reply).toString('latin1')).not.toContain('disk');
    expect(conversation.close).toBeUndefined();
    conversation.say(STARTTLS);
    expect(conversation.isSecured).toBe(true);
  });

  test('EXPORT_NAME before it drops the client, as it has no error reply', () => {
    const conversation = required();
    expect(conversation.say(EXPORT_NAME)).toEqual(hex(''));
    expect(codeOf(conversation)).toBe('tls-required');
  });

  test('ABORT before it is acknowledged', () => {
    const conversation = required();
    expect(conversation.say(option(OPTION.abort))).toEqual(optionReply(OPTION.abort, REP.ack));
    expect(conversation.close).toEqual({ type: 'close', error: undefined });
  });

  test('STARTTLS is acknowledged, and the session goes on under it', () => {
    const conversation = required();
    expect(conversation.say(STARTTLS)).toEqual(optionReply(OPTION.starttls, REP.ack));
    conversation.say(EXPORT_NAME);
    expect(conversation.say(request(CMD.read, 1, 1))).toEqual(simpleReply(0, hex('01')));
  });

  test('STARTTLS with data is answered with ERR_INVALID, and begins nothing', () => {
    const conversation = required();
    expect(typeOf(conversation.say(option(OPTION.starttls, text('x'))))).toBe(REP.errInvalid);
    expect(conversation.isSecured).toBe(false);
  });

  test('STARTTLS under TLS is answered with ERR_INVALID', () => {
    expect(typeOf(secured().say(STARTTLS))).toBe(REP.errInvalid);
  });

  test.each([
    ['an option', option(OPTION.structuredReply)],
    ['a part of one', option(OPTION.structuredReply).subarray(0, 1)],
    ['a request', request(CMD.read, 0, 1)],
  ])('%s sent in the clear right behind STARTTLS drops the client', (_, injected) => {
    const conversation = required();
    expect(conversation.say(join(STARTTLS, injected))).toEqual(hex(''));
    expect(codeOf(conversation)).toBe('plaintext-after-starttls');
    expect(conversation.isSecured).toBe(false);
  });

  test('structured replies asked for in the clear are not negotiated under TLS', () => {
    const conversation = secured(option(OPTION.structuredReply));
    conversation.say(EXPORT_NAME);
    expect(conversation.say(request(CMD.read, 1, 1))).toEqual(simpleReply(0, hex('01')));
  });

  test('a meta context asked for in the clear is not selected under TLS', () => {
    const context = option(OPTION.setMetaContext, metaContextData('disk', ['base:allocation']));
    const conversation = secured(option(OPTION.structuredReply), context);
    conversation.say(option(OPTION.structuredReply), option(OPTION.go, infoData('disk')));
    const reply = conversation.say(request(CMD.blockStatus, 0, 1));
    expect(Buffer.from(reply).readUInt32BE(20)).toBe(EINVAL);
  });

  test('the flags of the client hold under TLS: its zeroes are sent or not', () => {
    const zeroes = new Conversation({ tls: 'required' });
    zeroes.say(u32(1), STARTTLS);
    expect(zeroes.say(EXPORT_NAME)).toHaveLength(10 + 124);
    expect(secured().say(EXPORT_NAME)).toHaveLength(10);
  });
});

test('where there is no TLS, STARTTLS is refused by policy', () => {
  const conversation = new Conversation();
  conversation.say(CLIENT_FLAGS);
  expect(typeOf(conversation.say(STARTTLS))).toBe(REP.errPolicy);
  expect(conversation.isSecured).toBe(false);
});
