/** Keeps a daemon of this process running until a signal asks it to end, then ends it in order. */
import { constants } from 'node:os';

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

/** Resolves when `close` has. A second signal means now: the process ends with that signal's exit code. */
export async function runUntilSignal(daemon: { close(): Promise<void> }): Promise<void> {
  await new Promise<void>((resolve) => {
    for (const signal of SIGNALS) process.once(signal, () => resolve());
  });
  for (const signal of SIGNALS)
    process.on(signal, () => process.exit(128 + constants.signals[signal]));
  await daemon.close();
}
