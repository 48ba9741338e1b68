/**
 * A directory that is held open. Names are looked up in it by its descriptor (/proc/self/fd of Linux), so what was checked of
 * it stays true of every file that is opened, made or renamed there, wherever the path that led to it leads by then. Decides
 * whether it lies inside another one; what is done in it is its holder's matter.
 */
import { constants } from 'node:fs';
import {
  type FileHandle,
  mkdir,
  open,
  readdir,
  readlink,
  realpath,
  rmdir,
  unlink,
} from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, relative, sep } from 'node:path';
import { errnoOf, OperatorError } from '@bootswarm/stdx';

/** Of Linux, for every architecture that Node runs on: the file itself, to be named, neither read nor written. */
export const O_PATH = 0o10000000;
const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants;
const WRITABLE_BY_OTHERS = 0o022;

export class HeldDirectory {
  readonly #handle: FileHandle;

  private constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  /** Throws OperatorError `copy-outside` when `inside` is given and does not contain it, or it cannot be told. */
  static async open(path: string, inside: string | undefined): Promise<HeldDirectory> {
    if (inside === undefined) return new HeldDirectory(await open(path, O_RDONLY | O_DIRECTORY));
    let handle: FileHandle | undefined;
    try {
      handle = await open(path, O_RDONLY | O_DIRECTORY);
      const way = relative(await realpath(inside), await readlink(pathOf(handle)));
      if (way.split(sep)[0] !== '..') return new HeldDirectory(handle);
    } catch {
      // Whoever may ask for nothing outside is told nothing of what is there.
    }
    await handle?.close();
    throw outside(path, inside);
  }

  /** One that only this user writes in, made if it is not there. Throws OperatorError `work-directory-taken`. */
  static async make(
    parent: HeldDirectory,
    name: string,
    shown: string,
  ): Promise<{ readonly directory: HeldDirectory; readonly isMade: boolean }> {
    const path = parent.pathOf(name);
    let isMade = true;
    await mkdir(path, { mode: 0o700 }).catch((error: unknown) => {
      if (errnoOf(error) !== 'EEXIST') throw error;
      isMade = false;
    });
    const handle = await open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW).catch((error: unknown) => {
      throw ['ELOOP', 'ENOTDIR'].includes(errnoOf(error) ?? '') ? taken(shown) : error;
    });
    const { uid, mode } = await handle.stat();
    const isOurs = uid === process.geteuid!() && (mode & WRITABLE_BY_OTHERS) === 0;
    if (isOurs) return { directory: new HeldDirectory(handle), isMade };
    await handle.close();
    throw taken(shown);
  }

  /** Good for as long as the directory is held. */
  pathOf(name: string): string {
    return join(pathOf(this.#handle), name);
  }

  async sync(): Promise<void> {
    await this.#handle.sync();
  }

  /** Removes the files of the directory `name`, which `directory` holds, and itself. It has no directories. */
  async remove(name: string, directory: HeldDirectory): Promise<void> {
    for (const each of await readdir(pathOf(directory.#handle))) {
      await unlink(directory.pathOf(each));
    }
    await rmdir(this.pathOf(name));
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

/** Opens what is there, by where links lead; with `inside` no link leads out of it. Throws as HeldDirectory.open(). */
export async function openInside(
  path: string,
  flags: number,
  inside: string | undefined,
): Promise<FileHandle> {
  if (inside === undefined) return open(path, flags);
  const { directory, name } = await parentInside(path, inside);
  try {
    return await open(directory.pathOf(name), flags | O_NOFOLLOW);
  } finally {
    await directory.close();
  }
}

/** Tells early what opening or making this file would. Throws OperatorError `copy-outside`. */
export async function requireInside(path: string, inside: string): Promise<void> {
  const { directory } = await parentInside(path, inside);
  await directory.close();
}

async function parentInside(
  path: string,
  inside: string,
): Promise<{ readonly directory: HeldDirectory; readonly name: string }> {
  if (!isAbsolute(path)) throw outside(path, inside);
  const real = await realpath(path).catch(() => path);
  const directory = await HeldDirectory.open(dirname(real), inside).catch(() => {
    throw outside(path, inside);
  });
  return { directory, name: basename(real) };
}

/** Of what is held, for calls that take a path only. */
export function pathOf({ fd }: FileHandle): string {
  return `/proc/self/fd/${fd}`;
}

function outside(path: string, inside: string): OperatorError {
  return new OperatorError(
    'copy-outside',
    `${path} is not in ${inside}, where this agent makes copies`,
    'Give an absolute path of a file in that directory, whose directories exist.',
  );
}

function taken(path: string): OperatorError {
  return new OperatorError(
    'work-directory-taken',
    `${path} is not a directory that only this user writes in`,
    'Remove it, or copy as the user who has begun this copy.',
  );
}
