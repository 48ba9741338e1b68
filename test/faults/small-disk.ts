/** A file system with little space, to be filled up: a tmpfs, which takes root to mount. */
import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf } from '@bootswarm/stdx';

const MIB = 1024 * 1024;
/** Of files and directories: more than any test needs, few enough to be used up at once. */
const INODES = 1_000;

export const CAN_MOUNT = process.getuid?.() === 0;

export class SmallDisk {
  readonly path: string;
  readonly #filler: string;

  /** Mounts it at `path`, which is made. */
  constructor(path: string, mebibytes: number) {
    this.path = path;
    this.#filler = join(path, 'filler');
    mkdirSync(path, { recursive: true });
    execFileSync('mount', [
      '-t',
      'tmpfs',
      '-o',
      `size=${mebibytes}m,nr_inodes=${INODES},mode=750`,
      'tmpfs',
      path,
    ]);
  }

  /** Takes all the space that is left but `spare` bytes. */
  fill(spare = 0): void {
    const file = openSync(this.#filler, 'a');
    const bytes = Buffer.alloc(MIB, 0xff);
    let length = 0;
    try {
      for (;;) length += writeSync(file, bytes);
    } catch (error) {
      if (errnoOf(error) !== 'ENOSPC') throw error;
    } finally {
      closeSync(file);
    }
    if (spare > 0) execFileSync('truncate', ['-s', String(length - spare), this.#filler]);
  }

  /** Takes all inodes that are left: there is space, and yet no file can be made. */
  fillInodes(): void {
    const directory = `${this.#filler}s`;
    mkdirSync(directory);
    try {
      for (let index = 0; ; index += 1) closeSync(openSync(join(directory, `${index}`), 'w'));
    } catch (error) {
      if (errnoOf(error) !== 'ENOSPC') throw error;
    }
  }

  /** Gives back what fill() and fillInodes() took. */
  free(): void {
    rmSync(this.#filler, { force: true });
    rmSync(`${this.#filler}s`, { recursive: true, force: true });
  }

  resize(mebibytes: number): void {
    execFileSync('mount', ['-o', `remount,size=${mebibytes}m`, this.path]);
  }

  /** Whoever still has a file open on it keeps that file. */
  unmount(): void {
    execFileSync('umount', ['--lazy', this.path]);
  }
}
