/**
 * Everything that must hold before a change lands: types, style, unit tests, system tests. Runs all of them whatever the
 * first ones say, and ends with what failed and one line that counts the tests. setup.mjs has installed what they need.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { countTests, type TestCounts } from './test-counts.ts';

interface Step {
  readonly name: string;
  readonly command: readonly string[];
  /** A step that hangs is ended here. All of them together stay inside the 25 minutes that CI grants. */
  readonly timeoutMs: number;
  /** Where vitest writes its results; undefined for a step that runs no tests. */
  readonly resultPath?: string;
}

interface Outcome extends TestCounts {
  readonly name: string;
  readonly seconds: number;
}

const MINUTE_MS = 60_000;

function steps(resultDirectory: string): Step[] {
  return [
    { name: 'types', command: ['tsc', '-b'], timeoutMs: 2 * MINUTE_MS },
    {
      name: 'style',
      command: ['biome', 'check', '--error-on-warnings', '.'],
      timeoutMs: MINUTE_MS,
    },
    vitestStep('unit', 6 * MINUTE_MS, resultDirectory),
    vitestStep('system', 17 * MINUTE_MS, resultDirectory),
  ];
}

function vitestStep(project: string, timeoutMs: number, resultDirectory: string): Step {
  const resultPath = join(resultDirectory, `${project}.json`);
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${resultPath}`];
  const command = ['vitest', 'run', '--project', project, ...reporters];
  return { name: project, command, timeoutMs, resultPath };
}

async function runStep(step: Step): Promise<Outcome> {
  console.log(`\n── ${step.name}: ${step.command.slice(0, 4).join(' ')}`);
  const start = performance.now();
  const isOk = await succeeds(step);
  const seconds = (performance.now() - start) / 1000;
  const counts = countTests(step.resultPath && (await readResult(step.resultPath)));
  // A step can fail without a failed test: a type error, a worker that crashed, no test found. That counts as one.
  const failed = isOk ? counts.failed : Math.max(counts.failed, 1);
  return { ...counts, name: step.name, seconds, failed };
}

/** Node started us from setup.mjs, so PATH begins with node_modules/.bin. */
function succeeds({ name, command: [program, ...args], timeoutMs }: Step): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const child = spawn(program, args, { stdio: 'inherit', timeout: timeoutMs });
  child.on('error', (error) => {
    console.error(`${name}: cannot run ${program}: ${error.message}`);
    resolve(false);
  });
  child.on('exit', (code, signal) => {
    if (signal !== null)
      console.error(`${name}: ended by ${signal}, ${timeoutMs / 1000} s at most`);
    resolve(code === 0);
  });
  return promise;
}

/** Undefined when vitest ended before it wrote anything. */
async function readResult(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

const resultDirectory = await mkdtemp(join(tmpdir(), 'bootswarm-test-'));
const outcomes: Outcome[] = [];
try {
  for (const step of steps(resultDirectory)) outcomes.push(await runStep(step));
} finally {
  await rm(resultDirectory, { recursive: true });
}

console.log('');
for (const failure of outcomes.flatMap(({ failures }) => failures)) console.log(failure);
for (const { name, seconds, failed } of outcomes) {
  const verdict = failed === 0 ? 'ok' : 'FAILED';
  console.log(`${name.padEnd(8)}${verdict.padEnd(8)}${seconds.toFixed(1).padStart(6)} s`);
}
const passed = outcomes.reduce((sum, outcome) => sum + outcome.passed, 0);
const failed = outcomes.reduce((sum, outcome) => sum + outcome.failed, 0);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
