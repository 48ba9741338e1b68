/** What a command gets, and where it leaves an exit code other than 0 when it ends without an error. */
import type { Terminal } from './terminal.ts';

export interface CliContext {
  readonly terminal: Terminal;
  /** The command line, without node and script. */
  readonly args: readonly string[];
  exitCode: number;
}
