import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import {
  AssertionError,
  assert,
  errnoOf,
  messageOf,
  OperatorError,
  ProtocolError,
  unreachable,
} from '../src/index.ts';

test('an assertion that holds is silent, one that fails says what', () => {
  assert(true, 'never said');
  expect(() => assert(false, 'piece 7 of 5')).toThrow(new AssertionError('piece 7 of 5'));
});

test('a tag that nobody handles is told', () => {
  expect(() => unreachable({ type: 'odd' } as never)).toThrow('unreachable: {"type":"odd"}');
});

test('a protocol error shows its code and data in its message', () => {
  const error = new ProtocolError('message-too-long', { length: 9 });
  expect(error).toMatchObject({ name: 'ProtocolError', code: 'message-too-long' });
  expect(error.data).toEqual({ length: 9 });
  expect(error.message).toBe('message-too-long {"length":9}');
});

test('an operator error keeps what, what next, and why', () => {
  const cause = new Error('deeper');
  const error = new OperatorError('disk-full', 'No space', 'Make some.', { cause });
  expect(error).toMatchObject({
    code: 'disk-full',
    message: 'No space',
    hint: 'Make some.',
    cause,
  });
});

test('tells the errno of a system error, and of nothing else', () => {
  let missing: unknown;
  try {
    readFileSync('/nonexistent');
  } catch (error) {
    missing = error;
  }
  expect(errnoOf(missing)).toBe('ENOENT');
  const others = [undefined, null, 'ENOENT', new Error('ENOENT'), { code: 5 }, { code: 'disk' }];
  for (const other of [...others, { code: 'ERR_SOCKET_CLOSED' }]) {
    expect(errnoOf(other)).toBeUndefined();
  }
});

test('tells the message of anything that was thrown', () => {
  expect(messageOf(new Error('why'))).toBe('why');
  expect([messageOf('text'), messageOf(undefined), messageOf(7)]).toEqual([
    ...['text', 'undefined', '7'],
  ]);
});
