/**
 * Finds where a flat raw file has data, so that holes are neither copied nor hashed. An aid and nothing more: whenever the map
 * cannot be had, the whole file counts as data, which is always right.
 */
import { OperatorError } from '@bootswarm/stdx';
import { INPUT_PATH, runTool } from './tool.ts';

/** A range of a file that may hold something other than zeros. */
export interface Extent {
  readonly offset: number;
  readonly length: number;
}

/** 2^18 extents, some 10 MiB of them; a file more broken up than that is read to its end. */
const EXTENTS_MAX = 2 ** 18;

/**
 * The data extents of the raw file open as `fd`, `length` bytes long: ascending, apart from each other, none empty. Needs
 * qemu-img, which asks with SEEK_DATA what Node cannot ask; without it there is one extent.
 */
export async function dataExtents(
  fd: number,
  length: number,
  signal?: AbortSignal,
): Promise<readonly Extent[]> {
  const lines = new MapLines(length);
  const file = { driver: 'raw', file: { driver: 'file', filename: INPUT_PATH } };
  const image = `json:${JSON.stringify(file)}`;
  try {
    const { exitCode } = await runTool({
      command: ['qemu-img', 'map', '--force-share', '--output=json', image],
      inputFd: fd,
      limits: { cpuSeconds: 60, fileLengthMax: 0 },
      onOutput: (text) => lines.push(text),
      signal,
    });
    if (exitCode === 0) return lines.extents;
  } catch (error) {
    if (!(error instanceof OperatorError && error.code === 'tool-missing')) throw error;
  }
  return [{ offset: 0, length }];
}

/**
 * Reads the output of `qemu-img map --output=json` as it comes. It is a JSON array with one object on each line; taken line by
 * line, the map of a file of any size needs no more memory than its extents.
 */
export class MapLines {
  readonly #extents: Extent[] = [];
  readonly #length: number;
  #rest = '';

  constructor(length: number) {
    this.#length = length;
  }

  get extents(): readonly Extent[] {
    return this.#extents;
  }

  push(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.#line(line);
  }

  #line(line: string): void {
    const match = /"start": (\d+), "length": (\d+),.*"data": (true|false)/.exec(line);
    if (match === null || match[3] === 'false') return;
    const offset = Number(match[1]);
    // QEMU counts in sectors and rounds the end of the file up.
    const end = Math.min(this.#length, offset + Number(match[2]));
    if (end > offset) this.#add(offset, end);
  }

  #add(offset: number, end: number): void {
    const last = this.#extents.at(-1);
    const lastEnd = last === undefined ? -1 : last.offset + last.length;
    if (last !== undefined && lastEnd >= offset) {
      const length = Math.max(lastEnd, end) - last.offset;
      this.#extents[this.#extents.length - 1] = { offset: last.offset, length };
    } else if (this.#extents.length < EXTENTS_MAX - 1) {
      this.#extents.push({ offset, length: end - offset });
    } else {
      this.#extents.push({ offset, length: this.#length - offset });
    }
  }
}
