import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ChildCommand } from '../../src/demo/child.ts';
import { ChildSet } from '../../src/demo/child-set.ts';

let dir: string;
let children: ChildSet;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'bootswarm-child-'));
  children = new ChildSet();
});

afterEach(async () => {
  await children.close();
  rmSync(dir, { recursive: true });
});

function shell(script: string): ChildCommand {
  return { name: 'child', argv: ['/bin/sh', '-c', script], logPath: join(dir, 'child.log') };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // A zombie has ended; only its parent has not looked yet.
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

test('finds the line it waits for, however it is written', async () => {
  const child = children.start(shell('echo noise; printf rea; printf "dy at 7\\n"; exec sleep 60'));
  const match = await child.line(/^ready at (\d+)$/, 10_000);
  expect(match[1]).toBe('7');
});

test('throws with the last words of a child that ends before it is ready', async () => {
  const child = children.start(shell('echo boom >&2; exit 3'));
  await expect(child.line(/ready/, 10_000)).rejects.toThrow(
    'child ended with code 3; its last words:\nboom',
  );
  expect(readFileSync(join(dir, 'child.log'), 'utf8')).toBe('boom\n');
});

test('throws when a child is not ready in time', async () => {
  const child = children.start(shell('exec sleep 60'));
  await expect(child.line(/ready/, 20)).rejects.toThrow('was not ready within 0.02 s');
});

test('says that a program is not there', async () => {
  const child = children.start({ ...shell(''), argv: ['/nonexistent/program'] });
  expect(await child.ended).toMatch(/^could not start: .*ENOENT/);
});

// Sooner than the demo gives up waiting: the grandchild holds the child's output open.
test('ends a child together with what the child has started', { timeout: 5_000 }, async () => {
  const child = children.start(shell('sleep 60 & echo grandchild $!; wait'));
  const [, pid] = await child.line(/^grandchild (\d+)$/, 10_000);
  await children.close();
  expect(await child.ended).toBe('was ended by SIGTERM');
  await expect.poll(() => isAlive(Number(pid))).toBe(false);
});

test('lets a child end in order, youngest first', async () => {
  const ends: string[] = [];
  for (const name of ['tracker', 'agent']) {
    const script = `trap "echo bye; exit 0" TERM; echo up; while :; do sleep 0.05; done`;
    const logPath = join(dir, name);
    const child = children.start({ ...shell(script), name, logPath });
    await child.line(/^up$/, 10_000);
    void child.ended.then((how) => ends.push(`${name} ${how}`));
  }
  await children.close();
  expect(ends).toEqual(['agent ended with code 0', 'tracker ended with code 0']);
});

test('starts nothing once the end has begun', async () => {
  await children.close();
  expect(() => children.start(shell('true'))).toThrow(/the demo ends/);
});
