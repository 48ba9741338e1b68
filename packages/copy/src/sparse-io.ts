/** Writes of whole ranges of a file, in which blocks of zeros stay holes. */
import type { FileHandle } from 'node:fs/promises';
import { readWhole } from '@bootswarm/stdx';

/** A multiple of every file system block in use. */
export const HOLE_LENGTH = 65_536;
const ZEROS = Buffer.alloc(HOLE_LENGTH);

export async function writeAll(
  file: FileHandle,
  bytes: Uint8Array,
  position: number,
): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    // A disk that fills up takes less than it was given before it reports ENOSPC.
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}

/**
 * Writes `length` bytes at `offset`, zeros if `bytes` is undefined. `mayBeStale`: something else may be there, which zeros have
 * to replace; otherwise there is a hole.
 */
export async function writeSparse(
  file: FileHandle,
  offset: number,
  length: number,
  bytes: Uint8Array | undefined,
  mayBeStale: boolean,
): Promise<void> {
  let dataStart = 0;
  for (let at = 0; at < length; ) {
    const end = Math.min(length, at + HOLE_LENGTH - ((offset + at) % HOLE_LENGTH));
    const isZero = bytes === undefined || ZEROS.compare(bytes, at, end, 0, end - at) === 0;
    if (isZero) {
      if (bytes && dataStart < at)
        await writeAll(file, bytes.subarray(dataStart, at), offset + dataStart);
      dataStart = end;
      if (mayBeStale) await zeroOut(file, offset + at, end - at);
    }
    at = end;
  }
  if (bytes && dataStart < length) {
    await writeAll(file, bytes.subarray(dataStart, length), offset + dataStart);
  }
}

/** Written only where something is: to read a hole costs little, and it stays one. */
async function zeroOut(file: FileHandle, position: number, length: number): Promise<void> {
  const found = Buffer.allocUnsafe(length);
  const isThere = await readWhole(file, found, position);
  if (isThere && ZEROS.compare(found, 0, length, 0, length) === 0) return;
  await writeAll(file, ZEROS.subarray(0, length), position);
}
