/**
 * The directory an agent keeps its images in: CACHE/version, CACHE/lock, CACHE/<imageId>/… Decides who may use it, what it
 * may contain, and how an image disappears. What is inside the store's own files is cache-files.ts.
 */
import { lstat, mkdir, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { assert, errnoOf, messageOf, OperatorError } from '@bootswarm/stdx';
import { DirectoryLock } from './directory-lock.ts';
import { nodeDisk } from './node-disk.ts';
import { readSmallFile, TEMPORARY_SUFFIX, writeSmallFile } from './small-file.ts';

export interface CachedImage {
  /** 40 hex digits. */
  readonly imageId: string;
  readonly directory: string;
  /** Bytes of disk its files take. */
  readonly diskBytes: number;
  /** Milliseconds since 1970: when markUsed() was last called, or the metainfo written. */
  readonly lastUsedAt: number;
}

const VERSION_LINE = 'bootswarm-cache 1\n';
const REMOVED_SUFFIX = '.removed';
const IMAGE_ID = /^[0-9a-f]{40}$/;
/** Without a dot, which the names of the store's own files have. */
const FILE_NAME = /^[a-z][a-z-]*$/;
/** Only what this class leaves behind: somebody may have chosen a directory that holds other things. */
const LEFTOVER = /^([0-9a-f]{40}\.removed|version\.[0-9a-f]{8}\.tmp)$/;

export class CacheDirectory {
  readonly path: string;
  readonly #lock: DirectoryLock;

  /**
   * Creates the directory when it is missing, takes its lock and clears away what an interrupted run left. Throws
   * OperatorError: `cache-unusable`, `cache-unsafe` (others may write to it), `cache-locked` or `cache-version`.
   */
  static async open(path: string): Promise<CacheDirectory> {
    const absolute = resolve(path);
    let lock: DirectoryLock | undefined;
    try {
      await mkdir(absolute, { recursive: true, mode: 0o750 });
      await assertSafe(absolute);
      lock = new DirectoryLock(absolute, (holder) => lockedBy(absolute, holder));
      await checkVersion(absolute);
      const directory = new CacheDirectory(absolute, lock);
      await directory.#sweep();
      return directory;
    } catch (error) {
      lock?.release();
      if (error instanceof OperatorError) throw error;
      throw new OperatorError(
        'cache-unusable',
        `cannot use the cache directory ${absolute}: ${messageOf(error)}`,
        'Create it, owned by the user the agent runs as, on a disk with space.',
        { cause: error },
      );
    }
  }

  private constructor(path: string, lock: DirectoryLock) {
    this.path = path;
    this.#lock = lock;
  }

  /** Images in the order of their ids; an image counts once it has a metainfo. */
  async list(): Promise<CachedImage[]> {
    const images: CachedImage[] = [];
    for (const entry of await readdir(this.path, { withFileTypes: true })) {
      if (!entry.isDirectory() || !IMAGE_ID.test(entry.name)) continue;
      const directory = join(this.path, entry.name);
      const names = await namesIn(directory);
      if (!names.includes('metainfo')) continue;
      const taken = await diskBytes(directory, names);
      const lastUsedAt = await changedAt(join(directory, 'metainfo'));
      images.push({ imageId: entry.name, directory, diskBytes: taken, lastUsedAt });
    }
    return images.sort((a, b) => (a.imageId < b.imageId ? -1 : 1));
  }

  /** Remembers over restarts that the image was used just now. */
  async markUsed(imageId: string): Promise<void> {
    const now = new Date();
    await utimes(join(this.#imagePath(imageId), 'metainfo'), now, now);
  }

  /** The image's directory, created when it is missing. */
  async openImage(imageId: string): Promise<string> {
    const directory = this.#imagePath(imageId);
    const created = await mkdir(directory, { recursive: true, mode: 0o750 });
    if (created !== undefined) await nodeDisk.syncDirectory(this.path);
    return directory;
  }

  /** Where the bytes of an image are, whether it is there or not. */
  fileOf(imageId: string): string {
    return join(this.#imagePath(imageId), 'cache.raw');
  }

  /** Replaces a whole file kept beside the store's own, such as `metainfo` or `piece-layer`; durable when it resolves. */
  async writeFile(imageId: string, name: string, bytes: Uint8Array): Promise<void> {
    assert(FILE_NAME.test(name), `file name ${name}`);
    await writeSmallFile(join(await this.openImage(imageId), name), bytes);
  }

  /** Undefined when there is none or it is longer than `bytesMax`. */
  readFile(imageId: string, name: string, bytesMax: number): Promise<Uint8Array | undefined> {
    assert(FILE_NAME.test(name), `file name ${name}`);
    return readSmallFile(join(this.#imagePath(imageId), name), bytesMax);
  }

  /** The image's store must be closed. Whoever still has cache.raw open keeps reading it. */
  async remove(imageId: string): Promise<void> {
    const directory = this.#imagePath(imageId);
    const removed = `${directory}${REMOVED_SUFFIX}`;
    try {
      // In one step, so that no half-removed image is ever found; what follows is only space.
      await rename(directory, removed);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error;
    }
    await rm(removed, { recursive: true, force: true });
  }

  /** Releases the lock. Every store in it must be closed. */
  close(): void {
    this.#lock.release();
  }

  #imagePath(imageId: string): string {
    assert(IMAGE_ID.test(imageId), `image id ${imageId}`);
    return join(this.path, imageId);
  }

  async #sweep(): Promise<void> {
    for (const entry of await readdir(this.path, { withFileTypes: true })) {
      const path = join(this.path, entry.name);
      if (LEFTOVER.test(entry.name)) {
        await rm(path, { recursive: true, force: true });
      } else if (entry.isDirectory() && IMAGE_ID.test(entry.name)) {
        for (const name of await namesIn(path)) {
          if (name.endsWith(TEMPORARY_SUFFIX)) await rm(join(path, name), { force: true });
        }
      }
    }
  }
}

function lockedBy(path: string, holder: string): OperatorError {
  return new OperatorError(
    'cache-locked',
    `the cache ${path} is in use by ${holder}`,
    'Stop that agent first, or give this one a cache directory of its own.',
  );
}

/** Pieces are verified when first read and trusted afterwards: nobody else may write to the files. */
async function assertSafe(path: string): Promise<void> {
  const { uid, mode } = await stat(path);
  const link = await lstat(path);
  const ours = process.getuid?.();
  let fault: string | undefined;
  if ((mode & 0o002) !== 0) fault = 'every user may write to it';
  else if (uid !== ours && uid !== 0) fault = `it belongs to user ${uid}, not to user ${ours}`;
  // Whoever made the link may let it lead elsewhere at any time.
  else if (link.uid !== ours && link.uid !== 0) fault = `it is a link of user ${link.uid}`;
  if (fault === undefined) return;
  throw new OperatorError(
    'cache-unsafe',
    `the cache directory ${path} is not safe: ${fault}`,
    'Run chown and chmod 750 on it for the user the agent runs as.',
  );
}

async function checkVersion(path: string): Promise<void> {
  const file = join(path, 'version');
  const bytes = await readSmallFile(file, 4096);
  if (bytes === undefined) {
    await writeSmallFile(file, Buffer.from(VERSION_LINE));
  } else if (Buffer.from(bytes).toString('latin1') !== VERSION_LINE) {
    // Not swept away: overlays of stopped virtual machines may be backed by files in here.
    throw new OperatorError(
      'cache-version',
      `the cache directory ${path} was written by another version of bootswarm`,
      'Run that version, or give this one a new cache directory.',
    );
  }
}

/** None when the image is being removed. */
async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}

/** 0 when it is being removed. */
async function changedAt(path: string): Promise<number> {
  try {
    return (await stat(path)).mtimeMs;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return 0;
    throw error;
  }
}

async function diskBytes(directory: string, names: readonly string[]): Promise<number> {
  let sum = 0;
  for (const name of names) {
    try {
      // st_blocks counts 512 bytes each, whatever the file system's own block is.
      sum += (await stat(join(directory, name))).blocks * 512;
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error; // A temporary file that has just been renamed.
    }
  }
  return sum;
}
