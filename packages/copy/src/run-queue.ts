/** Runs from several readers to one writer: bounded, so that a slow disk holds the readers back. */
import type { Run } from './copy-source.ts';

export class RunQueue {
  readonly #runs: Run[] = [];
  readonly #runsMax: number;
  #ended = false;
  #error: unknown;
  #wakeReader: (() => void) | undefined;
  readonly #wakeWriters: (() => void)[] = [];

  constructor(runsMax: number) {
    this.#runsMax = runsMax;
  }

  /** Resolves when there is room for more; false when nobody takes them any more. */
  async push(run: Run): Promise<boolean> {
    if (this.#ended) return false;
    this.#runs.push(run);
    this.#wakeReader?.();
    while (this.#runs.length >= this.#runsMax && !this.#ended) {
      await new Promise<void>((resolve) => this.#wakeWriters.push(resolve));
    }
    return !this.#ended;
  }

  /** No more runs; `error`: why. */
  end(error?: unknown): void {
    this.#error ??= error;
    this.#ended = true;
    this.#wakeReader?.();
    for (const wake of this.#wakeWriters.splice(0)) wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Run> {
    try {
      for (;;) {
        const run = this.#error === undefined ? this.#runs.shift() : undefined;
        if (run !== undefined) {
          this.#wakeWriters.shift()?.();
          yield run;
        } else if (this.#ended) {
          if (this.#error !== undefined) throw this.#error;
          return;
        } else {
          await new Promise<void>((resolve) => {
            this.#wakeReader = resolve;
          });
          this.#wakeReader = undefined;
        }
      }
    } finally {
      this.#runs.length = 0;
      this.end();
    }
  }
}
