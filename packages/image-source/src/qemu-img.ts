/** What all runs of qemu-img share: the CPU time that a length is worth, and the reading of its progress. */

/** 1 s for each 8 MiB: a tenth of the speed at which one core inflates. */
export function cpuSeconds(length: number): number {
  return 60 + Math.ceil(length / (8 * 1024 * 1024));
}

/** Reads the progress of `qemu-img -p`, `    (12.34/100%)\r` again and again, cut anywhere. */
export class ProgressText {
  readonly #onFraction: (fraction: number) => void;
  #rest = '';

  constructor(onFraction: (fraction: number) => void) {
    this.#onFraction = onFraction;
  }

  push(text: string): void {
    const parts = (this.#rest + text).split('%)');
    this.#rest = parts.pop() ?? '';
    const latest = /\((\d+(?:\.\d+)?)\/100$/.exec(parts.at(-1) ?? '');
    if (latest !== null) this.#onFraction(Math.min(1, Number(latest[1]) / 100));
  }
}
