/** Keeps a daemon of this process running until a signal or `orEarlier` asks it to end, then ends it in order. */
import { constants } from 'node:os';

export const END_SIGNALS = ['SIGINT', 'SIGTERM'] as const;

/** Resolves when `close` has. A second signal means now: the process ends with that signal's exit code. */
export async function runUntilSignal(
  daemon: { close(): Promise<void> },
  orEarlier?: Promise<void>,
): Promise<void> {
  await new Promise<void>((resolve) => {
    let isFirst = true;
    for (const signal of END_SIGNALS) {
      process.on(signal, () => {
        if (!isFirst) process.exit(128 + constants.signals[signal]);
        isFirst = false;
        resolve();
      });
    }
    void orEarlier?.then(resolve);
  });
  await daemon.close();
}
