/**
 * A file that shares its blocks with another one, where the file system can have that. Decides which errors say that it cannot;
 * the others are those of a disk or a source, and no reason to copy all bytes.
 */
import { constants, copyFile, rm } from 'node:fs/promises';
import { errnoOf } from '@bootswarm/stdx';

/**
 * Of ioctl_ficlone(2), and what other file systems answer to a call that they do not know: no blocks can be shared (EOPNOTSUPP,
 * which libuv calls ENOTSUP, EBADF, EINVAL, ENOSYS, ENOTTY), not between these two (EXDEV), not of a file in this state (EPERM,
 * ETXTBSY).
 */
const NOT_CLONED = new Set(
  'ENOTSUP EOPNOTSUPP EBADF EINVAL ENOSYS ENOTTY EXDEV EPERM ETXTBSY'.split(' '),
);

/** Resolves to whether `path` was made as a clone of `original`; when it was not, nothing is there. Throws system errors. */
export async function isCloneOf(original: string, path: string): Promise<boolean> {
  try {
    await copyFile(original, path, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL);
    return true;
  } catch (error) {
    const errno = errnoOf(error) ?? '';
    // What is there is not what we have made.
    if (errno === 'EEXIST') throw error;
    await rm(path, { force: true });
    if (NOT_CLONED.has(errno)) return false;
    throw error;
  }
}
