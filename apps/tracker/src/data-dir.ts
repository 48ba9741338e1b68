/**
 * The tracker's data directory: where things lie in it, and that one tracker at a time uses it. What is in the files is
 * decided by those who write them.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, ftruncateSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { messageOf, OperatorError } from '@bootswarm/stdx';

/** unix(7): sun_path has 108 bytes, the last one zero. */
const SOCKET_PATH_BYTES_MAX = 107;

export class DataDir {
  /** Absolute. */
  readonly path: string;
  readonly #lockFd: number;

  /** Makes the directory if need be and locks it. Throws OperatorError `data-dir` or `data-dir-in-use`. */
  constructor(path: string) {
    this.path = resolve(path);
    if (Buffer.byteLength(this.originSocket) > SOCKET_PATH_BYTES_MAX) {
      throw new OperatorError(
        'data-dir',
        `The path of the data directory, ${this.path}, is too long for a socket in it`,
        'Give a path of at most 95 bytes.',
      );
    }
    try {
      mkdirSync(this.path, { recursive: true, mode: 0o700 });
      this.#lockFd = openSync(join(this.path, 'tracker.lock'), 'a+', 0o600);
    } catch (error) {
      throw new OperatorError(
        'data-dir',
        `Cannot use ${this.path} as the data directory: ${messageOf(error)}`,
        'Give a directory that this user may write to.',
        { cause: error },
      );
    }
    this.#lock();
  }

  /** One directory per image; its name is the image id. */
  get images(): string {
    return join(this.path, 'images');
  }

  /** What is being published or deleted: of no worth after a restart. */
  get staging(): string {
    return join(this.path, 'staging');
  }

  get publisherKey(): string {
    return join(this.path, 'publisher.key');
  }

  get adminToken(): string {
    return join(this.path, 'admin.token');
  }

  get originSocket(): string {
    return join(this.path, 'origin.sock');
  }

  get originLog(): string {
    return join(this.path, 'origin.log');
  }

  unlock(): void {
    closeSync(this.#lockFd);
  }

  /**
   * flock(2) by way of the flock command: the lock belongs to the open file, which we share with the command, so it
   * outlives the command and ends with this process however it dies. Node offers no call for it.
   */
  #lock(): void {
    const { status, error } = spawnSync('flock', ['--nonblock', '3'], {
      stdio: ['ignore', 'ignore', 'ignore', this.#lockFd],
    });
    if (status === 0) {
      ftruncateSync(this.#lockFd);
      writeSync(this.#lockFd, `${process.pid}\n`);
      return;
    }
    const holder = readFileSync(join(this.path, 'tracker.lock'), 'utf8').trim();
    closeSync(this.#lockFd);
    if (error !== undefined) {
      throw new OperatorError(
        'data-dir',
        `Cannot lock ${this.path}: ${error.message}`,
        'Install util-linux, which has the flock command.',
      );
    }
    throw new OperatorError(
      'data-dir-in-use',
      `Another tracker (process ${holder}) uses ${this.path}`,
      'Stop it, or give this tracker a data directory of its own.',
    );
  }
}
