/** Watches a guest's console for the line that says it is up, and for the sum it computed. Does no I/O. */
import { stripVTControlCharacters } from 'node:util';
import { READY_LINE, SUM_LINE } from './guest-scripts.ts';

/** A login prompt, as every distribution's getty writes it, or the demo image's own line. */
export const MARKER_DEFAULT = `login:|${READY_LINE}`;

/** No console line that matters is longer; one without end is looked at in parts. */
const LINE_CHARS_MAX = 4_096;
const TAIL_LINES = 15;
const SUM = new RegExp(`${SUM_LINE} ([0-9a-f]{64})`);

export class ConsoleWatch {
  readonly #marker: RegExp;
  /** The line being written, without its end yet. */
  #line = '';
  #tail: string[] = [];
  #isReady = false;
  #sha256: string | undefined;

  constructor(marker: RegExp) {
    this.#marker = marker;
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  get sha256(): string | undefined {
    return this.#sha256;
  }

  /** The last lines, for a person. */
  get tail(): string {
    return [...this.#tail, clean(this.#line)].filter((line) => line !== '').join('\n');
  }

  /** Takes what the guest wrote, cut anywhere. A prompt counts before its line ends. */
  feed(text: string): void {
    const lines = (this.#line + text).split('\n');
    this.#line = (lines.pop() ?? '').slice(-LINE_CHARS_MAX);
    for (const line of lines.map(clean)) {
      this.#look(line);
      if (line !== '') this.#tail.push(line);
    }
    this.#tail = this.#tail.slice(-TAIL_LINES);
    if (this.#marker.test(clean(this.#line))) this.#isReady = true;
  }

  #look(line: string): void {
    if (this.#marker.test(line)) this.#isReady = true;
    this.#sha256 ??= SUM.exec(line)?.[1];
  }
}

/** Without colours, cursor movements and carriage returns. */
function clean(line: string): string {
  return stripVTControlCharacters(line).replaceAll('\r', '').trimEnd();
}
