/**
 * An original image that lies on this host: a regular file or a block device, opened once and read through that descriptor, so
 * that what was inspected is what is copied. Notices when somebody changes it meanwhile.
 */
import { constants, type FileHandle, open, readFile } from 'node:fs/promises';
import { errnoOf, messageOf, OperatorError } from '@bootswarm/stdx';
import { imageEmpty, imageTooLarge, sourceChanged, sourceNotFound } from './image-error.ts';

export class LocalFile {
  readonly path: string;
  /** Bytes, > 0. */
  readonly length: number;
  readonly fd: number;
  readonly #handle: FileHandle;
  readonly #version: string;

  private constructor(path: string, length: number, handle: FileHandle, version: string) {
    this.path = path;
    this.length = length;
    this.fd = handle.fd;
    this.#handle = handle;
    this.#version = version;
  }

  /**
   * Throws OperatorError `source-not-found`, `source-unreadable`, `source-not-a-file`, `image-empty` or `image-too-large`
   * (more than `lengthMax` bytes).
   */
  static async open(path: string, lengthMax: number): Promise<LocalFile> {
    const handle = await openForReading(path);
    try {
      const status = await handle.stat({ bigint: true });
      if (!status.isFile() && !status.isBlockDevice()) throw notAFile(path);
      const length = status.isFile() ? Number(status.size) : await deviceLength(path, status.rdev);
      if (length === 0) throw imageEmpty(path);
      if (length > lengthMax) throw imageTooLarge(path, length, lengthMax);
      return new LocalFile(path, length, handle, versionOf(status));
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** A block device: nothing tells whether it was written to. */
  get isDevice(): boolean {
    return this.#version === DEVICE;
  }

  /** Fills `target` from `position` on. Throws OperatorError `source-changed` when the file ends before, `source-unreadable`. */
  async read(target: Uint8Array, position: number): Promise<void> {
    let done = 0;
    while (done < target.length) {
      const { bytesRead } = await this.#handle
        .read(target, done, target.length - done, position + done)
        .catch((error: unknown) => {
          throw unreadable(this.path, error);
        });
      if (bytesRead === 0) throw sourceChanged(this.path, `it ends at ${position + done} bytes`);
      done += bytesRead;
    }
  }

  /** The first `length` bytes, or fewer if there are fewer. */
  async head(length: number): Promise<Uint8Array> {
    const head = Buffer.alloc(Math.min(length, this.length));
    await this.read(head, 0);
    return head;
  }

  /**
   * Throws OperatorError `source-changed` if the file was written to, cut or touched since it was opened. A block device keeps
   * no such record and passes.
   */
  async requireUnchanged(): Promise<void> {
    const status = await this.#handle.stat({ bigint: true });
    if (versionOf(status) !== this.#version) throw sourceChanged(this.path, 'it was written to');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
  }
}

async function openForReading(path: string): Promise<FileHandle> {
  try {
    // O_NONBLOCK: a FIFO opens at once, to be refused, instead of waiting for a writer.
    return await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOENT' || errno === 'ENOTDIR') throw sourceNotFound(path, messageOf(error));
    if (errno === 'ENXIO') throw notAFile(path);
    throw unreadable(path, error);
  }
}

/** Bytes of a block device. stat() reports 0, and Node has no ioctl; the kernel counts in 512-byte sectors here always. */
async function deviceLength(path: string, rdev: bigint): Promise<number> {
  // The kernel's dev_t as glibc packs it (gnu_dev_major, gnu_dev_minor).
  const major = ((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & ~0xfffn);
  const minor = (rdev & 0xffn) | ((rdev >> 12n) & ~0xffn);
  try {
    return Number(await readFile(`/sys/dev/block/${major}:${minor}/size`, 'latin1')) * 512;
  } catch (error) {
    throw unreadable(path, error);
  }
}

/** The times of a device node change when it is opened and say nothing of its contents. */
function versionOf(status: {
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  isFile(): boolean;
}): string {
  // ctime as well: mtime can be set back by whoever may write the file.
  return status.isFile() ? `${status.size} ${status.mtimeNs} ${status.ctimeNs}` : DEVICE;
}

const DEVICE = 'device';

function notAFile(path: string): OperatorError {
  return new OperatorError(
    'source-not-a-file',
    `${path} is neither a file nor a block device`,
    'Give the path of the disk image itself.',
  );
}

function unreadable(path: string, error: unknown): OperatorError {
  return new OperatorError(
    'source-unreadable',
    `cannot read ${path}: ${messageOf(error)}`,
    'Check the permissions: the user that the tracker runs as must be able to read it.',
    { cause: error },
  );
}
