import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { PublisherPin } from '../src/publisher-pin.ts';

const KEY = 'a'.repeat(64);
const OTHER = 'b'.repeat(64);

let directory: string;
let file: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'publisher-pin-'));
  file = join(directory, 'publisher.pub');
});

afterEach(() => rmSync(directory, { recursive: true }));

test('believes the first key it is shown, from then on, over restarts', () => {
  const pin = new PublisherPin(directory, undefined);
  expect(pin.keyHex).toBeUndefined();
  pin.keep(KEY);
  pin.keep(KEY);
  expect(pin.keyHex).toBe(KEY);
  expect(new PublisherPin(directory, undefined).keyHex).toBe(KEY);
  expect(readdirSync(directory)).toEqual(['publisher.pub']);
});

test('refuses a second key, and stays with the first', () => {
  const pin = new PublisherPin(directory, undefined);
  pin.keep(KEY);
  expect(() => pin.keep(OTHER)).toThrow(expect.objectContaining({ code: 'publisher-pin' }));
  expect(pin.keyHex).toBe(KEY);
  expect(readFileSync(file, 'utf8')).toBe(`${KEY}\n`);
});

test('takes the key of the operator before the kept one, without keeping it', () => {
  writeFileSync(file, `${KEY}\n`);
  const pin = new PublisherPin(directory, OTHER);
  expect(pin.keyHex).toBe(OTHER);
  pin.keep(OTHER);
  expect(() => pin.keep(KEY)).toThrow(OTHER);
  expect(readFileSync(file, 'utf8')).toBe(`${KEY}\n`);
});

test.each(['', 'a'.repeat(63), `${'a'.repeat(64)}b`, 'A'.repeat(64), `${KEY}\n${OTHER}`])(
  'does not start with a kept key that is none: %j',
  (content) => {
    writeFileSync(file, content);
    expect(() => new PublisherPin(directory, undefined)).toThrow(
      expect.objectContaining({ code: 'publisher-pin', message: expect.stringContaining(file) }),
    );
    // The operator's word makes it start.
    expect(new PublisherPin(directory, KEY).keyHex).toBe(KEY);
  },
);

test('does not take a key it cannot read for no key', () => {
  mkdirSync(file);
  expect(() => new PublisherPin(directory, undefined)).toThrow(
    expect.objectContaining({ code: 'publisher-pin' }),
  );
});
