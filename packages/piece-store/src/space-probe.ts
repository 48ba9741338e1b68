/** Finds out whether a disk that refused a write takes writes again, by writing a scratch file and flushing it. */
import { type StoreDisk, writeWhole } from './store-file.ts';

/** Resolves to whether `byteCount` bytes could be written and flushed, which gives their space back, and then `andThen` done. */
export async function probeSpace(
  disk: StoreDisk,
  path: string,
  byteCount: number,
  andThen: () => Promise<void>,
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
    await andThen();
    return true;
  } catch {
    // The reason was reported when the write failed, or when the store was opened.
    return false;
  }
}
