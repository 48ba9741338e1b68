/** Where a command reads its environment and writes: the process's own, or a test's. */
import type { Writable } from 'node:stream';

/** A tty.WriteStream has isTTY, columns and rows; a pipe or a file has none of them. */
export type Output = Writable & {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
};

export interface Terminal {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export function print(output: Output, text: string): void {
  output.write(`${text}\n`);
}

/** One document, indented: read by scripts, and by people who pipe it nowhere. */
export function printJson(output: Output, value: unknown): void {
  print(output, JSON.stringify(value, null, 2));
}
