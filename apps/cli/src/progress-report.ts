/** Shows how far a long job is: a bar on a terminal, a line now and then in a log. Shows bytes; measures nothing. */
import { Presets, SingleBar } from 'cli-progress';
import { formatBytes } from './byte-size.ts';
import { type Output, print } from './terminal.ts';

export interface ProgressReport {
  /** `more`: what to say behind it, how fast it goes for example. */
  update(stage: string, bytesDone: number, bytesTotal: number, more?: string): void;
  /** Ends what is being shown; a line after this starts at the left. */
  stop(): void;
}

/** A line is due after both: a fast job says little, and a slow one about ten lines. */
const LINE_INTERVAL_MS = 2_000;
const LINE_PARTS = 10;

export function progressReport(output: Output): ProgressReport {
  return output.isTTY === true ? new BarReport(output) : new LineReport(output, () => Date.now());
}

class BarReport implements ProgressReport {
  readonly #bar: SingleBar;
  #stage: string | undefined;

  constructor(stream: Output) {
    const format = '{stage} {bar} {percentage} %  {done} of {all}{more}';
    const options = { stream, format, hideCursor: true, clearOnComplete: true, gracefulExit: true };
    this.#bar = new SingleBar(options, Presets.shades_classic);
  }

  update(stage: string, bytesDone: number, bytesTotal: number, more = ''): void {
    const words = { stage, done: formatBytes(bytesDone), all: formatBytes(bytesTotal), more };
    if (stage !== this.#stage) {
      this.stop();
      this.#bar.start(bytesTotal, bytesDone, words);
      this.#stage = stage;
    }
    this.#bar.update(bytesDone, words);
  }

  stop(): void {
    if (this.#stage !== undefined) this.#bar.stop();
    this.#stage = undefined;
  }
}

export class LineReport implements ProgressReport {
  readonly #output: Output;
  readonly #now: () => number;
  #stage: string | undefined;
  #shownAt = Number.NEGATIVE_INFINITY;
  #shownPart = 0;

  /** `now` in milliseconds. */
  constructor(output: Output, now: () => number) {
    this.#output = output;
    this.#now = now;
  }

  update(stage: string, bytesDone: number, bytesTotal: number, more = ''): void {
    const part = bytesTotal === 0 ? LINE_PARTS : Math.floor((bytesDone / bytesTotal) * LINE_PARTS);
    const isNewStage = stage !== this.#stage;
    const isDue = this.#now() - this.#shownAt >= LINE_INTERVAL_MS && part > this.#shownPart;
    if (!isNewStage && !isDue) return;
    this.#stage = stage;
    this.#shownAt = this.#now();
    this.#shownPart = part;
    print(this.#output, `${stage}: ${formatBytes(bytesDone)} of ${formatBytes(bytesTotal)}${more}`);
  }

  stop(): void {
    this.#stage = undefined;
  }
}
