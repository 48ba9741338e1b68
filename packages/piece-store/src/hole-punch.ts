/**
 * Gives back the disk space of a file that keeps its length: by fallocate(1) of util-linux, since Node has no fallocate(2). Knows
 * whether another program reads the file, which must never find zeros instead of its bytes.
 */
import { execFile } from 'node:child_process';
import { readFile, stat } from 'node:fs/promises';
import { promisify } from 'node:util';

/** The whole file becomes a hole. Rejects when the program is not there or the file system has no holes. */
export async function punchAll(path: string): Promise<void> {
  const { size } = await stat(path);
  const args = ['--punch-hole', '--offset', '0', '--length', String(size), path];
  await promisify(execFile)('fallocate', args);
}

/** Whether any process holds a lock on the file, as QEMU does on each image that it has open. */
export async function isLockedByAnyone(path: string): Promise<boolean> {
  const { ino } = await stat(path);
  return locksInode(await readFile('/proc/locks', 'latin1'), ino);
}

/** `1: OFDLCK  ADVISORY  READ -1 fe:01:1234 100 101`; of any device, since some file systems show another than stat(2). */
export function locksInode(locks: string, inode: number): boolean {
  return new RegExp(` [0-9a-f]+:[0-9a-f]+:${inode} `).test(locks);
}
