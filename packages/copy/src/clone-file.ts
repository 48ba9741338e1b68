/** A file that shares its blocks with another one, where the file system can have that. */
import { constants, copyFile, rm } from 'node:fs/promises';

/** Shares the blocks of `original` where the file system can (btrfs, XFS); false elsewhere. */
export async function isCloneOf(original: string, path: string): Promise<boolean> {
  try {
    await copyFile(original, path, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL);
    return true;
  } catch {
    await rm(path, { force: true });
    return false;
  }
}
