/**
 * The few file operations a store needs, so that tests can fail any of them and model a power cut. node-disk.ts is the
 * real one. Also the loops that make short reads and short writes whole: a full disk first writes less than asked,
 * without an error (seen on tmpfs), so nobody else calls StoreFile.write or StoreFile.read.
 */

/** What tells a changed or replaced file from the one seen before. */
export interface FileIdentity {
  /** Bytes. */
  readonly size: number;
  readonly mtimeNs: bigint;
  readonly ino: bigint;
  readonly dev: bigint;
}

export interface PlacedPiece {
  readonly bytes: Uint8Array;
  readonly position: number;
}

export interface WrittenPieces {
  /** Written whole, from the first on. */
  readonly writtenCount: number;
  /** Why the next one was not. */
  readonly error?: unknown;
}

export interface StoreFile {
  /** Resolves to the bytes read, from 0 (at the end of the file) to target.length. */
  read(target: Uint8Array, position: number): Promise<number>;
  readSync(target: Uint8Array, position: number): number;
  /** Resolves to the bytes written, which may be fewer than bytes.length. */
  write(bytes: Uint8Array, position: number): Promise<number>;
  /** Writes whole pieces in their order, until one cannot be written. Never rejects. */
  writePieces(pieces: readonly PlacedPiece[]): Promise<WrittenPieces>;
  /** fdatasync(2): data, and the metadata needed to read it back. After a failure nothing un-synced may be trusted. */
  datasync(): Promise<void>;
  truncate(length: number): Promise<void>;
  /** fstat(2), under a microsecond. */
  identity(): FileIdentity;
  close(): Promise<void>;
}

export type OpenMode = 'read' | 'read-write' | 'read-direct';

export interface StoreDisk {
  /**
   * `read-write` creates a missing file, and follows no symbolic link; `read` does: the operator may use them. `read-direct`
   * reads what the disk has, past the page cache: whole pieces, one at a time. Where a file system cannot do that, it, or
   * its first read, fails with EINVAL.
   */
  open(path: string, mode: OpenMode): Promise<StoreFile>;
  /** Makes the names of files created in a directory survive a power cut. */
  syncDirectory(path: string): Promise<void>;
}

/** Reads exactly target.length bytes; resolves to false when the file ends before. */
export async function readWhole(
  file: StoreFile,
  target: Uint8Array,
  position: number,
): Promise<boolean> {
  let done = 0;
  while (done < target.length) {
    const count = await file.read(target.subarray(done), position + done);
    if (count === 0) return false;
    done += count;
  }
  return true;
}

/** As readWhole, without waiting. */
export function readWholeSync(file: StoreFile, target: Uint8Array, position: number): boolean {
  let done = 0;
  while (done < target.length) {
    const count = file.readSync(done === 0 ? target : target.subarray(done), position + done);
    if (count === 0) return false;
    done += count;
  }
  return true;
}

/** Writes all of `bytes` or throws. */
export async function writeWhole(
  file: StoreFile,
  bytes: Uint8Array,
  position: number,
): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const count = await file.write(bytes.subarray(done), position + done);
    if (count === 0) throw Object.assign(new Error('the disk wrote 0 bytes'), { code: 'EIO' });
    done += count;
  }
}
