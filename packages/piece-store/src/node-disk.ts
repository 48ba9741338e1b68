/** StoreDisk on node:fs. Files are private to the user the agent runs as, and its group. */
import { constants, fstatSync, readSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { FileIdentity, StoreDisk, StoreFile } from './store-file.ts';

export const nodeDisk: StoreDisk = {
  async open(path, mode) {
    const { O_RDONLY, O_RDWR, O_CREAT, O_NOFOLLOW } = constants;
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
    await this.#handle.close();
  }
}
