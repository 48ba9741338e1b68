/** Numbers of the FUSE kernel protocol that this server uses: <linux/fuse.h>, version 7.45. */

export const KERNEL_MAJOR = 7;
/** 7.31 (Linux 5.4): from there on all messages that we use have one layout, and max_pages is known. */
export const KERNEL_MINOR_MIN = 31;
/** What we speak. The kernel answers to the lower of both. */
export const KERNEL_MINOR = 45;

export const IN_HEADER_LENGTH = 40;
export const OUT_HEADER_LENGTH = 16;
/** The kernel's own name for the directory that is mounted. */
export const ROOT_NODE_ID = 1;

/** 1 MiB: max_pages of 256, the most that a kernel allows unless told otherwise. */
export const READ_LENGTH_MAX = 1024 * 1024;
/** Nothing is ever written, but the kernel takes no less. */
export const WRITE_LENGTH = 4096;
/** One message from the kernel: a SETXATTR may carry a value of 64 KiB, and is cut to max_write and its headers by us. */
export const MESSAGE_LENGTH_MAX = 64 * 1024;
export const NAME_LENGTH_MAX = 255;

export const OPCODES = {
  lookup: 1,
  forget: 2,
  getattr: 3,
  setattr: 4,
  open: 14,
  read: 15,
  statfs: 17,
  release: 18,
  flush: 25,
  init: 26,
  opendir: 27,
  readdir: 28,
  releasedir: 29,
  access: 34,
  interrupt: 36,
  destroy: 38,
  batchForget: 42,
  readdirplus: 44,
  lseek: 46,
} as const;

/** Operations that would change the directory: answered with EROFS, so that a program says what is wrong. */
export const CHANGING_OPCODES: ReadonlySet<number> = new Set([
  6, // SYMLINK
  8, // MKNOD
  9, // MKDIR
  10, // UNLINK
  11, // RMDIR
  12, // RENAME
  13, // LINK
  16, // WRITE
  35, // CREATE
  43, // FALLOCATE
  45, // RENAME2
  47, // COPY_FILE_RANGE
  51, // TMPFILE
]);

/**
 * Not asked for: ASYNC_DIO (bit 15), by which a program that waits for an O_DIRECT read could not be killed until it is answered,
 * and the kernel's own locks are kept by not asking for POSIX_LOCKS and FLOCK_LOCKS (bits 1 and 10).
 */
export const INIT_FLAGS = {
  asyncRead: 1 << 0,
  exportSupport: 1 << 4,
  readdirplus: 1 << 13,
  readdirplusAuto: 1 << 14,
  parallelDirectory: 1 << 18,
  maxPages: 1 << 22,
} as const;

/** Bits of SETATTR's `valid`. */
export const ATTR_MODE = 1 << 0;
export const ATTR_UID = 1 << 1;
export const ATTR_GID = 1 << 2;
export const ATTR_SIZE = 1 << 3;
export const ATTR_MTIME = 1 << 5;

/** What the kernel's page cache has of a file stays when the file is opened again. */
export const OPEN_KEEP_CACHE = 1 << 1;

/** open(2). */
export const ACCESS_MODE_MASK = 3;
export const WRITE_ACCESS_MASK = 2;

export const SEEK_DATA = 3;
export const SEEK_HOLE = 4;

export const NOTIFY_RESEND = 7;

export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  EACCES: 13,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  EROFS: 30,
  ENAMETOOLONG: 36,
  ENOSYS: 38,
  EPROTO: 71,
  ESTALE: 116,
} as const;

export type Errno = keyof typeof ERRNO;
