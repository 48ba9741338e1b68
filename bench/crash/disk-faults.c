/*
 * A library to preload into a process (LD_PRELOAD): counts its system calls that change files under one directory, and
 * kills the process at one of them, fails it, cuts it short, or holds all of them up. What is counted: open that creates or
 * truncates, write, fsync, ftruncate, rename, unlink, mkdir, rmdir, chmod, in all their forms. Decides nothing else.
 *
 *   DISK_FAULTS_DIR    absolute path without symbolic links; calls on files elsewhere pass through
 *   DISK_FAULTS_KIND   kill: before the call; torn: after half of its bytes; EIO, ENOSPC: it fails; short: half is written
 *   DISK_FAULTS_AT     the number of the call, from 1
 *   DISK_FAULTS_COUNT  how many calls fail, from that one; default 1
 *   DISK_FAULTS_TRACE  a file that takes the name of each counted call, a line each
 *   DISK_FAULTS_STALL  while a file of this name exists, calls wait; reads of files too
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static const char *directory, *kind, *stall;
static long at, count;
static int trace = -1;
static atomic_long calls;

__attribute__((constructor)) static void start(void) {
  directory = getenv("DISK_FAULTS_DIR");
  kind = getenv("DISK_FAULTS_KIND");
  stall = getenv("DISK_FAULTS_STALL");
  const char *number = getenv("DISK_FAULTS_AT");
  at = number ? atol(number) : 0;
  number = getenv("DISK_FAULTS_COUNT");
  count = number ? atol(number) : 1;
  const char *path = getenv("DISK_FAULTS_TRACE");
  if (path) trace = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int is_path_ours(const char *path) {
  size_t length = directory ? strlen(directory) : 0;
  return length > 0 && strncmp(path, directory, length) == 0 && (path[length] == '/' || path[length] == 0);
}

static int is_ours(int fd) {
  char link[64], path[PATH_MAX];
  if (!directory) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
  if (length <= 0) return 0;
  path[length] = 0;
  return is_path_ours(path);
}

static void wait_out_stall(void) {
  while (stall && syscall(SYS_faccessat, AT_FDCWD, stall, F_OK) == 0) usleep(10000);
}

static void die(void) {
  syscall(SYS_kill, getpid(), SIGKILL);
  for (;;) pause();
}

enum fate { PASS, FAIL, HALF, HALF_THEN_DIE };

/* Returns what becomes of a call on a file that is ours; with FAIL, errno is set. */
static enum fate counted(const char *name) {
  wait_out_stall();
  int saved = errno;
  long now = atomic_fetch_add(&calls, 1) + 1;
  if (trace >= 0) {
    char line[32];
    int length = snprintf(line, sizeof line, "%s\n", name);
    if (syscall(SYS_write, trace, line, length) < 0) abort();
  }
  errno = saved;
  if (!kind || now < at || now >= at + count) return PASS;
  int is_write = strcmp(name, "write") == 0;
  if (strcmp(kind, "kill") == 0) die();
  if (strcmp(kind, "torn") == 0) {
    if (!is_write) die();
    return HALF_THEN_DIE;
  }
  if (strcmp(kind, "short") == 0) {
    if (is_write) return HALF;
    errno = EIO;
    return FAIL;
  }
  errno = strcmp(kind, "ENOSPC") == 0 ? ENOSPC : EIO;
  return FAIL;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static ssize_t write_some(int fd, const void *bytes, size_t length, off64_t position) {
  return position < 0 ? syscall(SYS_write, fd, bytes, length) : syscall(SYS_pwrite64, fd, bytes, length, position);
}

/* Position -1: where the file is. */
static ssize_t any_write(int fd, const void *bytes, size_t length, off64_t position) {
  enum fate fate = is_ours(fd) ? counted("write") : PASS;
  if (fate == FAIL) return -1;
  if (fate == PASS) return write_some(fd, bytes, length, position);
  ssize_t done = length < 2 ? 0 : write_some(fd, bytes, length / 2, position);
  if (fate == HALF_THEN_DIE) die();
  if (done > 0) return done;
  errno = EIO;
  return -1;
}

/* As if only the first vector had been given: a short write. */
static ssize_t any_writev(int fd, const struct iovec *vectors, int vector_count, off64_t position) {
  if (vector_count > 0 && is_ours(fd)) return any_write(fd, vectors[0].iov_base, vectors[0].iov_len, position);
  return position < 0 ? REAL(writev)(fd, vectors, vector_count) : REAL(pwritev64)(fd, vectors, vector_count, position);
}

ssize_t write(int fd, const void *bytes, size_t length) { return any_write(fd, bytes, length, -1); }
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t position) { return any_write(fd, bytes, length, position); }
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t position) { return any_write(fd, bytes, length, position); }
ssize_t writev(int fd, const struct iovec *vectors, int n) { return any_writev(fd, vectors, n, -1); }
ssize_t pwritev(int fd, const struct iovec *vectors, int n, off_t position) { return any_writev(fd, vectors, n, position); }
ssize_t pwritev64(int fd, const struct iovec *vectors, int n, off64_t position) { return any_writev(fd, vectors, n, position); }

static void wait_to_read(int fd) {
  if (stall && is_ours(fd)) wait_out_stall();
}
ssize_t read(int fd, void *bytes, size_t length) {
  wait_to_read(fd);
  return syscall(SYS_read, fd, bytes, length);
}
ssize_t pread(int fd, void *bytes, size_t length, off_t position) {
  wait_to_read(fd);
  return syscall(SYS_pread64, fd, bytes, length, position);
}
ssize_t pread64(int fd, void *bytes, size_t length, off64_t position) {
  wait_to_read(fd);
  return syscall(SYS_pread64, fd, bytes, length, position);
}

#define ON_FD(name, call, ...) return is_ours(fd) && counted(call) == FAIL ? -1 : REAL(name)(fd, ##__VA_ARGS__)
int fsync(int fd) { ON_FD(fsync, "fsync"); }
int fdatasync(int fd) { ON_FD(fdatasync, "fsync"); }
int ftruncate(int fd, off_t length) { ON_FD(ftruncate, "ftruncate", length); }
int ftruncate64(int fd, off64_t length) { ON_FD(ftruncate64, "ftruncate", length); }
int fchmod(int fd, mode_t mode) { ON_FD(fchmod, "chmod", mode); }

#define ON_PATH(name, call, ...) return is_path_ours(path) && counted(call) == FAIL ? -1 : REAL(name)(__VA_ARGS__)
int rename(const char *path, const char *to) { ON_PATH(rename, "rename", path, to); }
int unlink(const char *path) { ON_PATH(unlink, "unlink", path); }
int unlinkat(int fd, const char *path, int flags) { ON_PATH(unlinkat, "unlink", fd, path, flags); }
int rmdir(const char *path) { ON_PATH(rmdir, "rmdir", path); }
int mkdir(const char *path, mode_t mode) { ON_PATH(mkdir, "mkdir", path, mode); }
int chmod(const char *path, mode_t mode) { ON_PATH(chmod, "chmod", path, mode); }

static int any_open(int fd, const char *path, int flags, mode_t mode) {
  if ((flags & (O_CREAT | O_TRUNC)) && is_path_ours(path) && counted("open") == FAIL) return -1;
  return syscall(SYS_openat, fd, path, flags, mode);
}

#define MODE_OF(flags)                          \
  mode_t mode = 0;                              \
  if (flags & O_CREAT) {                        \
    va_list more;                               \
    va_start(more, flags);                      \
    mode = va_arg(more, mode_t);                \
    va_end(more);                               \
  }
int open(const char *path, int flags, ...) {
  MODE_OF(flags);
  return any_open(AT_FDCWD, path, flags, mode);
}
int open64(const char *path, int flags, ...) {
  MODE_OF(flags);
  return any_open(AT_FDCWD, path, flags, mode);
}
int openat(int fd, const char *path, int flags, ...) {
  MODE_OF(flags);
  return any_open(fd, path, flags, mode);
}
int openat64(int fd, const char *path, int flags, ...) {
  MODE_OF(flags);
  return any_open(fd, path, flags, mode);
}
