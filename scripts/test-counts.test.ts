import { describe, expect, it } from 'vitest';
import { countTests } from './test-counts.ts';

function report(...files: [status: string, ...tests: string[]][]): string {
  const testResults = files.map(([status, ...tests]) => {
    const assertionResults = tests.map((test, index) => ({
      status: test,
      fullName: `test ${index}`,
      failureMessages: test === 'failed' ? ['expected 1 to be 2\n    at some line'] : [],
    }));
    return { name: 'some.test.ts', status, message: 'cannot be read\nat all', assertionResults };
  });
  return JSON.stringify({ testResults });
}

describe('countTests', () => {
  it('sums passed and failed tests over files', () => {
    const text = report(['passed', 'passed', 'passed'], ['failed', 'passed', 'failed', 'failed']);
    expect(countTests(text)).toMatchObject({ passed: 3, failed: 2 });
  });

  it('counts a file that failed outside its tests as one', () => {
    const text = report(['failed'], ['failed', 'passed']);
    expect(countTests(text)).toMatchObject({ passed: 1, failed: 2 });
  });

  it('names what failed, and why in a line', () => {
    const text = report(['passed', 'passed'], ['failed', 'passed', 'failed'], ['failed']);
    expect(countTests(text).failures).toEqual([
      'some.test.ts: test 1: expected 1 to be 2',
      'some.test.ts: cannot be read',
    ]);
  });

  it('counts nothing where nothing ran', () => {
    expect(countTests(undefined)).toEqual({ passed: 0, failed: 0, failures: [] });
  });
});
