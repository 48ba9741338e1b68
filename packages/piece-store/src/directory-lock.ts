/**
 * Keeps a second agent out of a cache directory. The lock is a POSIX record lock that SQLite holds on an empty database
 * file: Node offers no lock of its own, and this one the kernel takes back at the very moment its process dies, kill -9
 * included. So there is no stale lock to judge, no process id to guess at, and it holds across containers.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { messageOf, OperatorError } from '@bootswarm/stdx';

/** SQLITE_BUSY of sqlite.org/rescode.html. */
const SQLITE_BUSY = 5;

export class DirectoryLock {
  readonly #database: DatabaseSync;
  readonly #pidPath: string;

  /** Throws OperatorError `cache-locked` when another process, or another lock in this one, has it. */
  constructor(directory: string) {
    this.#pidPath = join(directory, 'lock.pid');
    const database = new DatabaseSync(join(directory, 'lock'), { timeout: 0 });
    try {
      // The transaction stays open, and nothing is ever written in it.
      database.exec('BEGIN EXCLUSIVE');
      // Only for the message to whoever comes second.
      writeFileSync(this.#pidPath, `${process.pid}\n`);
    } catch (error) {
      database.close();
      throw isBusy(error) ? lockedBy(directory, this.#pidPath) : error;
    }
    this.#database = database;
  }

  release(): void {
    rmSync(this.#pidPath, { force: true });
    this.#database.close();
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY;
}

function lockedBy(directory: string, pidPath: string): OperatorError {
  let holder = 'another process';
  try {
    // Nothing of a stranger's file reaches the terminal but digits.
    const pid = /^\d{1,10}$/m.exec(readFileSync(pidPath, 'latin1'))?.[0];
    if (pid !== undefined) holder = `process ${pid}`;
  } catch (error) {
    holder += ` (${messageOf(error)})`;
  }
  return new OperatorError(
    'cache-locked',
    `the cache ${directory} is in use by ${holder}`,
    'Stop that agent first, or give this one a cache directory of its own.',
  );
}
