import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { OpenFiles, openFilesDir } from '../../src/fuse/open-files.ts';

const [A, B] = ['a'.repeat(40), 'b'.repeat(40)];
let runDir: string;

beforeEach(() => {
  runDir = mkdtempSync(join(tmpdir(), 'bootswarm-open-files-'));
});
afterEach(() => rmSync(runDir, { recursive: true }));

test('the next agent knows which files are open', () => {
  const first = new OpenFiles(runDir);
  first.add(2 ** 52, A);
  first.add(7, B);
  first.add(8, B);
  first.delete(7);
  const next = new OpenFiles(runDir);
  expect(next.marks()).toHaveLength(2);
  expect(next.imageOf(2 ** 52)).toBe(A);
  expect(next.isOpen(B)).toBe(true);
  next.delete(8);
  expect(next.isOpen(B)).toBe(false);
  expect(readdirSync(openFilesDir(runDir))).toEqual([`${2 ** 52}.${A}`]);
});

test('what is no mark is left alone, and what was never opened may be closed', () => {
  const open = new OpenFiles(runDir);
  writeFileSync(join(openFilesDir(runDir), 'README'), '');
  open.delete(1);
  expect(new OpenFiles(runDir).marks()).toEqual([]);
});
