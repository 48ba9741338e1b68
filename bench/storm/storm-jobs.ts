/**
 * Runs storms as processes of their own, several at a time, each command line once however many figures are read from it. A
 * storm that a checker ended is a result too: what it said.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { StormReport } from './storm-report.ts';

const MAIN = new URL('main.ts', import.meta.url).pathname;

export type JobResult =
  | { readonly type: 'report'; readonly report: StormReport }
  | { readonly type: 'failed'; readonly what: string };

/** `jobs` at a time; `onDone` is told of each as it ends. */
export async function runJobs(
  commandLines: readonly string[],
  jobs: number,
  onDone: (commandLine: string, result: JobResult, seconds: number) => void,
): Promise<void> {
  const waiting = [...new Set(commandLines)];
  const directory = mkdtempSync(join(tmpdir(), 'storms-'));
  const work = async (worker: number): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const startedAt = performance.now();
      const result = await runJob(next, join(directory, `${worker}.json`));
      onDone(next, result, (performance.now() - startedAt) / 1_000);
    }
  };
  try {
    await Promise.all(Array.from({ length: jobs }, (_, worker) => work(worker)));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function runJob(commandLine: string, jsonPath: string): Promise<JobResult> {
  const child = spawn(process.execPath, [MAIN, ...commandLine.split(' '), '--json', jsonPath], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (data: Buffer) => {
    said += data.toString();
  });
  return new Promise((resolve) => {
    child.on('error', ({ message }) => resolve({ type: 'failed', what: message }));
    child.on('close', (code, signal) => {
      if (code === 0) {
        resolve({ type: 'report', report: JSON.parse(readFileSync(jsonPath, 'utf8')) });
      } else {
        const what = reasonOf(said) ?? `ended with ${signal ?? code}`;
        resolve({ type: 'failed', what });
      }
    });
  });
}

/** Of what a process wrote before it ended: an error's message, or what it said of its command line. */
export function reasonOf(stderr: string): string | undefined {
  const [, message] = /^\w*Error(?: \[\w+\])?: (.*)$/m.exec(stderr) ?? [];
  return message ?? stderr.split('\n').find((line) => line !== '');
}
