/** A file of this host as the source of a copy: read from its beginning to its end, and looked at again afterwards. */
import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type Bitfield, OperatorError, readWhole } from '@bootswarm/stdx';
import { sourceChanged, sourceEmpty, sourceUnreadable } from './copy-error.ts';
import {
  bytesOfUnits,
  type CopySource,
  nextMissing,
  type Run,
  unitCountOf,
  unitLengthFor,
} from './copy-source.ts';
import { openInside, pathOf } from './held-directory.ts';

export class FileSource implements CopySource {
  readonly shown: string;
  readonly length: number;
  readonly unitLength: number;
  readonly version: string;
  readonly #file: FileHandle;

  private constructor(path: string, file: FileHandle, length: number, version: string) {
    this.shown = `file:${path}`;
    this.length = length;
    this.unitLength = unitLengthFor(length);
    this.version = version;
    this.#file = file;
  }

  /** `inside`: a directory that no link may lead out of. Throws OperatorError `copy-outside`, and those of copy-error.ts. */
  static async open(given: string, inside?: string): Promise<FileSource> {
    const path = resolve(given);
    let file: FileHandle | undefined;
    try {
      // A FIFO would keep us waiting for somebody who writes to it.
      file = await openInside(path, constants.O_RDONLY | constants.O_NONBLOCK, inside);
      const found = await file.stat();
      if (!found.isFile()) throw notAFile(path);
      if (found.size === 0) throw sourceEmpty(path);
      return new FileSource(path, file, found.size, await versionOf(file));
    } catch (error) {
      await file?.close();
      throw error instanceof OperatorError ? error : sourceUnreadable(path, error);
    }
  }

  /** What is open, whatever has its name by now. */
  async cloneable(): Promise<string> {
    return pathOf(this.#file);
  }

  async *runs(had: Bitfield, signal: AbortSignal): AsyncGenerator<Run> {
    const unitCount = unitCountOf(this);
    for (let next = nextMissing(had, 0, unitCount, 1); next; ) {
      signal.throwIfAborted();
      const { first, count } = next;
      const bytes = Buffer.allocUnsafeSlow(bytesOfUnits(this, first, count));
      if (!(await this.#read(bytes, first * this.unitLength))) {
        throw sourceChanged(this.shown, 'it has become shorter');
      }
      yield { firstUnit: first, unitCount: count, bytes };
      next = nextMissing(had, first + count, unitCount, 1);
    }
  }

  async recheck(): Promise<void> {
    if ((await versionOf(this.#file)) !== this.version) {
      throw sourceChanged(this.shown, 'somebody has written to it');
    }
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async #read(bytes: Uint8Array, position: number): Promise<boolean> {
    try {
      return await readWhole(this.#file, bytes, position);
    } catch (error) {
      throw sourceUnreadable(this.shown, error);
    }
  }
}

/** Whoever writes to a file changes its times, to the nanosecond. */
async function versionOf(file: FileHandle): Promise<string> {
  const { dev, ino, size, mtimeNs } = await file.stat({ bigint: true });
  return `${dev}:${ino}:${size}:${mtimeNs}`;
}

function notAFile(path: string): OperatorError {
  return new OperatorError(
    'source-no-file',
    `${path} is no regular file`,
    'Give a file. A block device can be read as nbd+unix: through qemu-nbd or nbdkit.',
  );
}
