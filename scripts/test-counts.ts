/** Counts the tests in what vitest's JSON reporter wrote. */

export interface TestCounts {
  readonly passed: number;
  readonly failed: number;
}

/** The part of the report we read; its shape is Jest's. */
interface Report {
  readonly testResults: readonly {
    readonly status: 'passed' | 'failed';
    readonly assertionResults: readonly { readonly status: string }[];
  }[];
}

/** `report` is the JSON text, or undefined when there is none. A file that failed outside its tests counts as one. */
export function countTests(report: string | undefined): TestCounts {
  let passed = 0;
  let failed = 0;
  const { testResults } =
    report === undefined ? { testResults: [] } : (JSON.parse(report) as Report);
  for (const { status, assertionResults } of testResults) {
    const failedHere = assertionResults.filter((test) => test.status === 'failed').length;
    passed += assertionResults.filter((test) => test.status === 'passed').length;
    failed += status === 'failed' ? Math.max(failedHere, 1) : failedHere;
  }
  return { passed, failed };
}
