/** Small files that are either wholly the old or wholly the new one, whatever happens while they are replaced. */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errnoOf } from '@bootswarm/stdx';
import { nodeDisk } from './node-disk.ts';

/** What a file being written is called until it is whole. */
export const TEMPORARY_SUFFIX = '.tmp';

/** Replaces the file at `path`; durable when it resolves. Throws what the disk throws, and then the old file stands. */
export async function writeSmallFile(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${path}.${randomBytes(4).toString('hex')}${TEMPORARY_SUFFIX}`;
  try {
    const file = await open(temporary, 'wx', 0o640);
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined); // The first error says more.
    throw error;
  }
  await nodeDisk.syncDirectory(dirname(path));
}

/** The whole file; undefined when there is none or it is longer than `bytesMax`. */
export async function readSmallFile(
  path: string,
  bytesMax: number,
): Promise<Uint8Array | undefined> {
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      const { size } = await file.stat();
      return size <= bytesMax ? await file.readFile() : undefined;
    } finally {
      await file.close();
    }
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
