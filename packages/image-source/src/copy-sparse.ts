/** Copies a local raw image into a sparse file: holes are not read, zeros not written. Publishing it is the caller's. */
import { dataExtents } from './extents.ts';
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
