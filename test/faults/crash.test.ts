/** A process that writes a cache ends at any of its system calls: what it was promised is there, and nothing else is. */
import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { allPoints, isKill, runPoints, shortPoints } from '../../bench/crash/crash-points.ts';
import { type CrashPoint, CrashRun } from '../../bench/crash/crash-run.ts';

let run: CrashRun;
let points: readonly CrashPoint[];

beforeAll(async () => {
  run = new CrashRun();
  await run.prepare();
  points = await shortPoints(run);
});

afterAll(() => run.close());

test('killed before or half way through any system call, a process loses no piece it was promised', async () => {
  const kills = points.filter(({ kind }) => isKill(kind));
  expect(kills.length).toBeGreaterThanOrEqual(200);
  expect(await runPoints(run, kills)).toEqual([]);
});

test('a system call that fails costs no piece that was promised and not taken back', async () => {
  const failures = points.filter(({ kind }) => !isKill(kind));
  expect(failures.length).toBeGreaterThanOrEqual(20);
  expect(await runPoints(run, failures)).toEqual([]);
});

test('the benchmark that does the same says how, and with --every fails every call in every way', async () => {
  const main = new URL('../../bench/main.ts', import.meta.url).pathname;
  const bench = (option: string) =>
    spawnSync(process.execPath, [main, 'crash', option], { encoding: 'utf8' });
  expect(bench('--help')).toMatchObject({ status: 0, stdout: expect.stringMatching('--every') });
  expect(bench('--some')).toMatchObject({ status: 2, stderr: expect.stringMatching('--help') });
  const every = await allPoints(run);
  const writes = every.filter(({ kind }) => kind === 'torn').length;
  const calls = every.filter(({ kind }) => kind === 'kill').length;
  expect(every.length).toBe(calls * 5 + writes * 3);
});
