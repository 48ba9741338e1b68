import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { isCloneOf } from '../src/clone-file.ts';

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'clone-'));
});

afterEach(() => rmSync(directory, { recursive: true }));

const at = (name: string): string => join(directory, name);

it('makes a clone, or nothing where the file system cannot', async () => {
  writeFileSync(at('from'), 'bytes');
  const isCloned = await isCloneOf(at('from'), at('to'));
  expect(existsSync(at('to')) && readFileSync(at('to'), 'utf8')).toBe(isCloned && 'bytes');
});

it('makes none between file systems', async () => {
  expect(await isCloneOf('/proc/self/status', at('to'))).toBe(false);
  expect(existsSync(at('to'))).toBe(false);
});

it('throws what is no answer of a file system that cannot', async () => {
  await expect(isCloneOf(at('missing'), at('to'))).rejects.toMatchObject({ code: 'ENOENT' });
  expect(existsSync(at('to'))).toBe(false);
  writeFileSync(at('from'), 'bytes');
  writeFileSync(at('to'), 'of somebody else');
  await expect(isCloneOf(at('from'), at('to'))).rejects.toMatchObject({ code: 'EEXIST' });
  expect(readFileSync(at('to'), 'utf8')).toBe('of somebody else');
});
