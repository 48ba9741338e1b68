/** Tells a person what failed, on what, and what to do next; decides the exit code. */
import { messageOf, OperatorError } from '@bootswarm/stdx';
import { CommanderError } from 'commander';
import { printable } from './terminal-text.ts';

/** 1: the command was understood and failed. 2: it was not understood. 3: a daemon has said why it cannot start. */
export const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
const EXIT_NOT_STARTED = 3;

/** Options that are well written and do not go together: trying again is of no use, as systemd is told by the exit code. */
export class OptionsError extends OperatorError {}

/** What keeps a daemon from starting may pass, but not within 100 ms: the agent's unit waits longer than after a crash. */
class StartError extends OperatorError {}

/** Passes on what a daemon is started with. */
export async function starting<T>(start: Promise<T>): Promise<T> {
  try {
    return await start;
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    throw new StartError(error.code, error.message, error.hint, { cause: error });
  }
}

/** Two lines, or one when nothing can be advised. Lines of the message after the first are indented. */
export function renderFailure(error: unknown): string {
  const message = messageOf(error).split('\n').map(printable).join('\n    ');
  if (!(error instanceof OperatorError)) return `bootswarm: ${message}`;
  return `bootswarm: ${message}\n  → ${printable(error.hint)}`;
}

/** commander has already written its message; its help and version end with 0. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof OptionsError) return EXIT_USAGE;
  if (error instanceof StartError) return EXIT_NOT_STARTED;
  if (!(error instanceof CommanderError)) return EXIT_FAILED;
  return error.exitCode === 0 ? 0 : EXIT_USAGE;
}
