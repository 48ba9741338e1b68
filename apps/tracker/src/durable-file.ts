/** Files and directories that are whole or absent after a crash or a power cut. Decides nothing about what is in them. */
import { open, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** Writes a new file and waits until it is on disk. The directory entry is syncDirectory()'s matter. */
export async function writeNew(
  path: string,
  content: Uint8Array | string,
  mode = 0o644,
): Promise<void> {
  const file = await open(path, 'wx', mode);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Puts `content` at `path` in one step: readers see the old file or the new one. */
export async function replaceFile(
  path: string,
  content: Uint8Array | string,
  mode: number,
): Promise<void> {
  const temporary = `${path}.new`;
  // Left over from a crash; only one tracker holds the data directory.
  await rm(temporary, { force: true });
  await writeNew(temporary, content, mode);
  await rename(temporary, path);
  await syncPath(dirname(path));
}

/** Waits until the directory, its entries and the files in it are on disk. */
export async function syncDirectory(path: string): Promise<void> {
  for (const name of await readdir(path)) await syncPath(join(path, name));
  await syncPath(path);
}

/** Moves a directory in one step and waits until both parents know. */
export async function moveDirectory(from: string, to: string): Promise<void> {
  await rename(from, to);
  await syncMove(from, to);
}

/** Waits until both parents know of a rename. */
export async function syncMove(from: string, to: string): Promise<void> {
  await syncPath(dirname(to));
  await syncPath(dirname(from));
}

async function syncPath(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
