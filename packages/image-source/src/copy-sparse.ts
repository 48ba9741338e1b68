/**
 * Copies a local raw image into a sparse file: holes are not read, zeros not written. Reads a source again that does not tell
 * whether it was written to. Publishing it is the caller's.
 */
import { dataExtents } from './extents.ts';
import { sourceChanged } from './image-error.ts';
import type { LocalFile } from './local-file.ts';
import type { SparseFile } from './sparse-file.ts';

export interface CopyOptions {
  /** Bytes of the image done so far, holes included. */
  readonly onProgress?: (bytesDone: number, bytesTotal: number) => void;
  readonly signal?: AbortSignal;
}

/** 1 MiB: past this a longer read is no faster, and an abort is noticed within milliseconds. */
const READ_LENGTH = 1024 * 1024;

/**
 * Throws OperatorError `source-changed` when the source was written to meanwhile, and what LocalFile and SparseFile throw; when
 * aborted, the signal's reason.
 */
export async function copySparse(
  source: LocalFile,
  target: SparseFile,
  { onProgress, signal }: CopyOptions,
): Promise<void> {
  const extents = await dataExtents(source.fd, source.length, signal);
  await target.truncate(source.length);
  const buffer = Buffer.allocUnsafe(READ_LENGTH);
  for (const extent of extents) {
    const end = extent.offset + extent.length;
    for (let offset = extent.offset; offset < end; ) {
      signal?.throwIfAborted();
      const bytes = buffer.subarray(0, Math.min(READ_LENGTH, end - offset));
      await source.read(bytes, offset);
      await target.write(bytes, offset);
      offset += bytes.length;
      onProgress?.(offset, source.length);
    }
  }
  await source.requireUnchanged();
  onProgress?.(source.length, source.length);
}

/**
 * Reads `source` once more and compares. What `copy` holds is then what all of the source was at the moment the copy was done.
 * Throws OperatorError `source-changed`; when aborted, the signal's reason.
 */
export async function requireSame(
  source: LocalFile,
  copy: SparseFile,
  signal?: AbortSignal,
): Promise<void> {
  const [mine, theirs] = [Buffer.allocUnsafe(READ_LENGTH), Buffer.allocUnsafe(READ_LENGTH)];
  for (let offset = 0; offset < source.length; offset += READ_LENGTH) {
    signal?.throwIfAborted();
    const length = Math.min(READ_LENGTH, source.length - offset);
    await source.read(theirs.subarray(0, length), offset);
    await copy.read(mine.subarray(0, length), offset);
    if (theirs.compare(mine, 0, length, 0, length) === 0) continue;
    throw sourceChanged(source.path, 'a second reading gave other bytes');
  }
}
