import { expect, test } from 'vitest';
import { LineReport } from '../src/progress-report.ts';
import { capturedTerminal } from './captured-terminal.ts';

/** What is shown of a job that reports every `stepMs`, in 1000 steps. */
function linesOfJob(stepMs: number): string[] {
  const terminal = capturedTerminal();
  let now = 0;
  const report = new LineReport(terminal.stdout, () => now);
  for (let step = 0; step <= 1000; step += 1) {
    report.update('hash', step * 1024, 1000 * 1024);
    now += stepMs;
  }
  return terminal.out.trimEnd().split('\n');
}

test('shows the start alone of a job that takes less than two seconds', () => {
  expect(linesOfJob(1)).toEqual(['hash: 0 B of 1000 KiB']);
});

test('shows a line every two seconds of a job of ten', () => {
  expect(linesOfJob(10)).toHaveLength(6);
});

test('shows a line every tenth of a job of hours', () => {
  expect(linesOfJob(10_000)).toHaveLength(11);
});

test('shows the beginning of every stage, empty ones too', () => {
  const terminal = capturedTerminal();
  const report = new LineReport(terminal.stdout, () => 0);
  report.update('fetch', 0, 10);
  report.update('hash', 0, 0);
  expect(terminal.out).toBe('fetch: 0 B of 10 B\nhash: 0 B of 0 B\n');
});
