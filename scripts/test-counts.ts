/** Counts the tests in what vitest's JSON reporter wrote, and names those that failed. */

export interface TestCounts {
  readonly passed: number;
  readonly failed: number;
  /** A line for each that failed: its file, its name, and the first line of why. */
  readonly failures: readonly string[];
}

/** The part of the report we read; its shape is Jest's. */
interface Report {
  readonly testResults: readonly {
    readonly name: string;
    readonly status: 'passed' | 'failed';
    readonly message: string;
    readonly assertionResults: readonly {
      readonly status: string;
      readonly fullName: string;
      readonly failureMessages: readonly string[];
    }[];
  }[];
}

/** `report` is the JSON text, or undefined when there is none. A file that failed outside its tests counts as one. */
export function countTests(report: string | undefined): TestCounts {
  let passed = 0;
  const failures: string[] = [];
  const { testResults } =
    report === undefined ? { testResults: [] } : (JSON.parse(report) as Report);
  for (const { name, status, message, assertionResults } of testResults) {
    passed += assertionResults.filter((test) => test.status === 'passed').length;
    const failed = assertionResults.filter((test) => test.status === 'failed');
    for (const { fullName, failureMessages } of failed) {
      failures.push(`${name}: ${fullName}: ${firstLine(failureMessages.join('\n'))}`);
    }
    if (status === 'failed' && failed.length === 0) failures.push(`${name}: ${firstLine(message)}`);
  }
  return { passed, failed: failures.length, failures };
}

function firstLine(message: string): string {
  return message.trim().split('\n', 1)[0]!;
}
