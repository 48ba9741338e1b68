/**
 * Kills a process that writes a cache at its system calls, and fails them, one after the other; after each, the cache must hold
 * every piece that the process was promised, and no other. Every call is killed before it and half way through; `--every` fails
 * every call too, in each way, once and for good, of which the short form that the tests run does a few.
 */
import { benchFlags, given } from '../bench-flags.ts';
import { type BenchRow, reportBench } from '../bench-report.ts';
import { allPoints, isKill, runPoints, shortPoints } from './crash-points.ts';
import { CrashRun } from './crash-run.ts';

const { every, json } = benchFlags('crash', {
  every: given('fail every call too, in each way, once and for good'),
});

const run = new CrashRun();
let problemCount = 0;
const rows: BenchRow[] = [];
try {
  await run.prepare();
  const points = await (every ? allPoints(run) : shortPoints(run));
  const startedAt = performance.now();
  const problems = await runPoints(run, points);
  for (const problem of problems) console.log(problem);
  problemCount = problems.length;
  const kills = points.filter(({ kind }) => isKill(kind));
  const seconds = (performance.now() - startedAt) / 1_000;
  rows.push(
    { name: 'system calls at which the process was killed', value: kills.length, unit: 'points' },
    {
      name: 'system calls that were failed',
      value: points.length - kills.length,
      unit: 'points',
    },
    { name: 'caches that were not as promised', value: problemCount, unit: 'points' },
    { name: 'time for all of them', value: seconds, unit: 's' },
  );
} finally {
  run.close();
}
reportBench('crash', rows, json);
process.exit(problemCount === 0 ? 0 : 1);
