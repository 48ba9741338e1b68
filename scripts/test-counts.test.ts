import { describe, expect, it } from 'vitest';
import { countTests } from './test-counts.ts';

function report(...files: [status: string, ...tests: string[]][]): string {
  const testResults = files.map(([status, ...tests]) => {
    return { status, assertionResults: tests.map((test) => ({ status: test })) };
  });
  return JSON.stringify({ testResults });
}

describe('countTests', () => {
  it('sums passed and failed tests over files', () => {
    const text = report(['passed', 'passed', 'passed'], ['failed', 'passed', 'failed', 'failed']);
    expect(countTests(text)).toEqual({ passed: 3, failed: 2 });
  });

  it('counts a file that failed outside its tests as one', () => {
    const text = report(['failed'], ['failed', 'passed']);
    expect(countTests(text)).toEqual({ passed: 1, failed: 2 });
  });

  it('counts nothing where nothing ran', () => {
    expect(countTests(undefined)).toEqual({ passed: 0, failed: 0 });
  });
});
