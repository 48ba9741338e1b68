import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';

const BIN = fileURLToPath(new URL('../bin/bootswarm.mjs', import.meta.url));
const run = promisify(execFile);

let dir: string;
let copy: string;
let oldNode: string[];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'bootswarm-bin-'));
  copy = join(dir, 'bootswarm.mjs');
  copyFileSync(BIN, copy);
  // This Node, made to look like one that cannot run the sources.
  const preload = join(dir, 'old.cjs');
  writeFileSync(
    preload,
    `Object.defineProperty(process.versions, 'node', { value: '20.20.2' });
     Object.defineProperty(process, 'version', { value: 'v20.20.2' });`,
  );
  oldNode = ['--require', preload];
});

afterEach(() => rmSync(dir, { recursive: true }));

/** Puts a `node` where npm would, which runs `script` in a shell. */
function installNode(script: string): void {
  const binDir = join(dir, 'node_modules', '.bin');
  mkdirSync(binDir, { recursive: true });
  writeFileSync(join(binDir, 'node'), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
}

test('runs the sources on this Node', async () => {
  const { stdout } = await run(process.execPath, [BIN, '--version']);
  expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
});

test('says in one sentence that Node is too old', async () => {
  await expect(run(process.execPath, [...oldNode, copy, 'status'])).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringMatching(
      /^bootswarm: needs Node 24 or newer, and this is v20\.20\.2 \(.*\)\n {2}→ install Node 24, .*\n$/,
    ),
  });
});

test('starts again on the Node that npm installed, with its arguments and exit code', async () => {
  installNode('shift; echo "$@"; exit 7');
  await expect(run(process.execPath, [...oldNode, copy, 'vm', 'ls'])).rejects.toMatchObject({
    code: 7,
    stdout: 'vm ls\n',
  });
});

test('does not start again for ever when that Node is too old as well', async () => {
  installNode(`exec ${process.execPath} ${'--require'} ${join(dir, 'old.cjs')} "$@"`);
  await expect(run(process.execPath, [...oldNode, copy])).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringContaining('needs Node 24'),
  });
});

test('passes SIGTERM on and ends as the child did', async () => {
  installNode('trap "exit 9" TERM; echo up; while :; do sleep 0.05; done');
  const child = run(process.execPath, [...oldNode, copy]);
  child.child.stdout?.once('data', () => child.child.kill('SIGTERM'));
  await expect(child).rejects.toMatchObject({ code: 9 });
});

test('hands the sockets of systemd to the child', async () => {
  const socket = join(dir, 'listening');
  writeFileSync(socket, 'what it was given');
  installNode('echo "$LISTEN_PID,$LISTEN_PPID,$LISTEN_FDS,$PPID"; cat <&3');
  const script = 'exec 3<"$0"; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"';
  const args = ['-c', script, socket, process.execPath, ...oldNode, copy];
  const { stdout } = await run('sh', args);
  expect(stdout).toMatch(/^,(\d+),1,\1\nwhat it was given$/);
});

test('ends as other programs do when nobody reads on, without a stack trace', async () => {
  // The reader has ended before the command begins.
  const shell =
    'exec 3>&1; { sleep 0 & wait; "$0" "$1" --help 2>&3; echo "exit code $?" >&3; } | exec true';
  const { stdout } = await run('/bin/sh', ['-c', shell, process.execPath, BIN]);
  expect(stdout).toBe('exit code 141\n');
});
