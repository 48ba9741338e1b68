import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Attachments } from '../src/attachments.ts';

let directory: string;
let file: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'attachments-'));
  file = join(directory, 'attached.json');
});

afterEach(() => rmSync(directory, { recursive: true }));

test('are there again after a restart', () => {
  const attachments = new Attachments(directory);
  attachments.set('one', true);
  attachments.set('two', true);
  attachments.set('one', false);
  for (const each of [attachments, new Attachments(directory)]) {
    expect([each.has('one'), each.has('two'), [...each.images]]).toEqual([false, true, ['two']]);
  }
});

test.each(['', '{', 'null', '7', '{"images":7}', '[]'])('are none in a file like %j', (content) => {
  writeFileSync(file, content);
  const attachments = new Attachments(directory);
  expect([...attachments.images]).toEqual([]);
  attachments.set('one', true);
  expect(new Attachments(directory).has('one')).toBe(true);
});

test('are only the strings of a file', () => {
  writeFileSync(file, '{"images":["one",7,null,"two"]}');
  expect([...new Attachments(directory).images]).toEqual(['one', 'two']);
});

test('that could not be written are written the next time', () => {
  const attachments = new Attachments(directory);
  mkdirSync(`${file}.tmp`);
  expect(() => attachments.set('one', true)).toThrow('EISDIR');
  expect(attachments.has('one')).toBe(false);
  rmSync(`${file}.tmp`, { recursive: true });
  attachments.set('one', true);
  expect(new Attachments(directory).has('one')).toBe(true);
});
