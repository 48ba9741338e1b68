/**
 * A new file that is written where it has something other than zeros: blocks of 64 KiB of zeros stay holes. It has a temporary
 * name until publish() gives it its own, after its bytes are on disk; discard() leaves nothing behind.
 */
import { randomBytes } from 'node:crypto';
import { constants, type FileHandle, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { targetError } from './image-error.ts';

/** A multiple of every file system block in use, and what `qemu-img convert -S 64k` keeps to. */
export const HOLE_LENGTH = 65_536;

export class SparseFile {
  /** Where the file will be. */
  readonly path: string;
  /** Where it is until then. */
  readonly partialPath: string;
  readonly #handle: FileHandle;

  private constructor(path: string, partialPath: string, handle: FileHandle) {
    this.path = path;
    this.partialPath = partialPath;
    this.#handle = handle;
  }

  /** Throws OperatorError `disk-full` or `target-unwritable`, as every method does. */
  static async create(path: string): Promise<SparseFile> {
    const unique = randomBytes(6).toString('hex');
    const partialPath = join(dirname(path), `.${basename(path)}.${unique}.partial`);
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL;
    try {
      return new SparseFile(path, partialPath, await open(partialPath, flags, 0o644));
    } catch (error) {
      throw targetError(dirname(path), error);
    }
  }

  get fd(): number {
    return this.#handle.fd;
  }

  /** Writes `bytes` at `position`, where nothing was written before: zeros are left out. */
  async write(bytes: Uint8Array, position: number): Promise<void> {
    for (const { start, end } of dataRuns(bytes, position)) {
      await this.#writeAll(bytes.subarray(start, end), position + start);
    }
  }

  async #writeAll(bytes: Uint8Array, position: number): Promise<void> {
    let done = 0;
    while (done < bytes.length) {
      // A disk that fills up takes less than it was given before it reports ENOSPC.
      const { bytesWritten } = await this.#attempt(
        this.#handle.write(bytes, done, bytes.length - done, position + done),
      );
      done += bytesWritten;
    }
  }

  /** The first `length` bytes, or fewer if there are fewer. */
  async head(length: number): Promise<Uint8Array> {
    const head = Buffer.alloc(length);
    const { bytesRead } = await this.#attempt(this.#handle.read(head, 0, length, 0));
    return head.subarray(0, bytesRead);
  }

  /** Fills `target` from `position` on; past the end it stays as it is. */
  async read(target: Uint8Array, position: number): Promise<void> {
    for (let done = 0; done < target.length; ) {
      const { bytesRead } = await this.#attempt(
        this.#handle.read(target, done, target.length - done, position + done),
      );
      if (bytesRead === 0) return;
      done += bytesRead;
    }
  }

  async length(): Promise<number> {
    return (await this.#attempt(this.#handle.stat())).size;
  }

  /** Cuts the file, or ends it with a hole. */
  async truncate(length: number): Promise<void> {
    await this.#attempt(this.#handle.truncate(length));
  }

  async sync(): Promise<void> {
    await this.#attempt(this.#handle.sync());
  }

  /** Syncs the data, then gives the file its name, replacing one that has it, then syncs the directory. */
  async publish(): Promise<void> {
    await this.sync();
    await this.#handle.close();
    await this.#attempt(rename(this.partialPath, this.path));
    try {
      await this.#attempt(syncDirectory(dirname(this.path)));
    } catch (error) {
      await rm(this.path, { force: true });
      throw error;
    }
  }

  /** Removes the file, whatever has happened to it so far, unless it was published. */
  async discard(): Promise<void> {
    await this.#handle.close();
    await rm(this.partialPath, { force: true });
  }

  async #attempt<T>(operation: Promise<T>): Promise<T> {
    try {
      return await operation;
    } catch (error) {
      throw targetError(dirname(this.path), error);
    }
  }
}

async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  await directory.sync();
}

const ZEROS = Buffer.alloc(HOLE_LENGTH);

/** The runs of blocks in `bytes` that are not all zeros; blocks begin at multiples of HOLE_LENGTH in the file. */
function* dataRuns(bytes: Uint8Array, position: number): Generator<{ start: number; end: number }> {
  let runStart = 0;
  let start = 0;
  while (start < bytes.length) {
    const end = Math.min(bytes.length, start + HOLE_LENGTH - ((position + start) % HOLE_LENGTH));
    if (ZEROS.compare(bytes, start, end, 0, end - start) === 0) {
      if (runStart < start) yield { start: runStart, end: start };
      runStart = end;
    }
    start = end;
  }
  if (runStart < start) yield { start: runStart, end: start };
}
