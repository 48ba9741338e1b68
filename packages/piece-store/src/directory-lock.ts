/**
 * Keeps a second process out of a directory. The lock is a POSIX record lock that SQLite holds on an empty database file:
 * Node offers no lock of its own, and this one the kernel takes back at the very moment its process dies, kill -9 included.
 * So there is no stale lock to judge, no process id to guess at, and it holds across containers. What to tell whoever comes
 * second is for the owner of the directory to say.
 */
import { chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { messageOf, type OperatorError } from '@bootswarm/stdx';

/** SQLITE_BUSY of sqlite.org/rescode.html. */
const SQLITE_BUSY = 5;

export class DirectoryLock {
  readonly #database: DatabaseSync;
  readonly #pidPath: string;

  /**
   * Throws what `inUseBy` makes of the holder, for example `process 4711`, when another process, or another lock in this
   * one, has it; and what SQLite or the disk throws when the directory cannot be written to.
   */
  constructor(directory: string, inUseBy: (holder: string) => OperatorError) {
    this.#pidPath = join(directory, 'lock.pid');
    const path = join(directory, 'lock');
    const database = new DatabaseSync(path, { timeout: 0 });
    try {
      // Whoever may read the file may lock it too, and so keep us out. By its path: closing a descriptor drops the lock.
      chmodSync(path, 0o600);
      // The transaction stays open, and nothing is ever written in it: a journal file would only be left behind by kill -9.
      database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
      // Only for the message to whoever comes second.
      writeFileSync(this.#pidPath, `${process.pid}\n`);
    } catch (error) {
      database.close();
      throw isBusy(error) ? inUseBy(holderIn(this.#pidPath)) : error;
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

function holderIn(pidPath: string): string {
  try {
    // Nothing of a stranger's file reaches the terminal but digits.
    const pid = /^\d{1,10}$/m.exec(readFileSync(pidPath, 'latin1'))?.[0];
    return pid === undefined ? 'another process' : `process ${pid}`;
  } catch (error) {
    return `another process (${messageOf(error)})`;
  }
}
