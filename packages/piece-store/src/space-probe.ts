/** Finds out whether a disk that refused a write takes writes again, by writing a scratch file and flushing it. */
import { type StoreDisk, writeWhole } from './store-file.ts';

/** Resolves to whether `byteCount` bytes could be written and flushed; their space is given back. */
export async function probeSpace(
  disk: StoreDisk,
  path: string,
  byteCount: number,
): Promise<boolean> {
  try {
    const file = await disk.open(path, 'read-write');
    try {
      // Not zeros: a file system may keep those without space.
      await writeWhole(file, new Uint8Array(byteCount).fill(0xa5), 0);
      await file.datasync();
    } finally {
      await file.truncate(0).finally(() => file.close());
    }
    return true;
  } catch {
    // The reason was reported when the write failed.
    return false;
  }
}
