/** StoreDisk on node:fs. Files are private to the user the agent runs as, and its group. */
import { constants, fstatSync, readSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { errnoOf } from '@bootswarm/stdx';
import { PieceThread } from './piece-thread.ts';
import type {
  FileIdentity,
  PlacedPiece,
  StoreDisk,
  StoreFile,
  WrittenPieces,
} from './store-file.ts';

/** Its own, so that a disk that is slow keeps no piece from being hashed. */
const writing = new PieceThread();

export const nodeDisk: StoreDisk = {
  async open(path, mode) {
    const { O_RDONLY, O_RDWR, O_CREAT, O_NOFOLLOW, O_DIRECT } = constants;
    if (mode === 'read-direct') {
      return new DirectFile(await open(path, O_RDONLY | O_NOFOLLOW | O_DIRECT));
    }
    const flags = mode === 'read' ? O_RDONLY : O_RDWR | O_CREAT | O_NOFOLLOW;
    return new NodeFile(await open(path, flags, 0o640));
  },

  async syncDirectory(path) {
    const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  },
};

/** A FileHandle, because its close() waits for reads and writes under way: no operation meets a reused descriptor. */
class NodeFile implements StoreFile {
  readonly #handle: FileHandle;
  /** The last order to the thread, which FileHandle knows nothing of. */
  #writing: Promise<unknown> = Promise.resolve();

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    return (await this.#handle.read(target, 0, target.length, position)).bytesRead;
  }

  readSync(target: Uint8Array, position: number): number {
    return readSync(this.#handle.fd, target, 0, target.length, position);
  }

  async write(bytes: Uint8Array, position: number): Promise<number> {
    return (await this.#handle.write(bytes, 0, bytes.length, position)).bytesWritten;
  }

  /** By a thread, in one go: to have the pieces written one by one costs the event loop more than to receive them. */
  writePieces(pieces: readonly PlacedPiece[]): Promise<WrittenPieces> {
    const order = {
      type: 'write' as const,
      fd: this.#handle.fd,
      pieces: pieces.map(({ bytes }) => bytes),
      positions: pieces.map(({ position }) => position),
    };
    const written = new Promise<WrittenPieces>((resolve) => {
      writing.ask(order, ({ writtenCount, failure }) => {
        const error = failure && Object.assign(new Error(failure.message), { code: failure.code });
        resolve({ writtenCount, error });
      });
    });
    this.#writing = written;
    return written;
  }

  async datasync(): Promise<void> {
    await this.#handle.datasync();
  }

  async truncate(length: number): Promise<void> {
    await this.#handle.truncate(length);
  }

  identity(): FileIdentity {
    const { size, mtimeNs, ino, dev } = fstatSync(this.#handle.fd, { bigint: true });
    return { size: Number(size), mtimeNs, ino, dev };
  }

  async close(): Promise<void> {
    await this.#writing;
    await this.#handle.close();
  }
}

/** What O_DIRECT wants of lengths and positions; pieces begin at multiples of 16 KiB. */
const DIRECT_BYTES = 4096;
/** Of memory that malloc hands out. */
const MEMORY_STEP = 16;

/**
 * Reads through a buffer of its own, whose address O_DIRECT has to accept. Node does not tell addresses: offsets are tried until
 * the kernel takes one, which is once for each length of buffer.
 */
class DirectFile extends NodeFile {
  #memory = Buffer.alloc(0);
  #offset = 0;

  override async read(target: Uint8Array, position: number): Promise<number> {
    const length = Math.ceil(target.length / DIRECT_BYTES) * DIRECT_BYTES;
    if (this.#memory.length < length + DIRECT_BYTES) {
      this.#memory = Buffer.allocUnsafeSlow(length + DIRECT_BYTES);
      this.#offset = 0;
    }
    for (;;) {
      const aligned = this.#memory.subarray(this.#offset, this.#offset + length);
      try {
        const count = await super.read(aligned, position);
        target.set(aligned.subarray(0, Math.min(count, target.length)));
        return Math.min(count, target.length);
      } catch (error) {
        if (errnoOf(error) !== 'EINVAL' || this.#offset + MEMORY_STEP >= DIRECT_BYTES) throw error;
        this.#offset += MEMORY_STEP;
      }
    }
  }
}
