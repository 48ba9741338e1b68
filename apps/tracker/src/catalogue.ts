/**
 * Which images there are. A directory in DATA/images is an image, and comes and goes by one rename, so a crash at any
 * moment leaves an image whole or absent. Decides what a name or an abbreviated id means; making the files is Publisher's
 * task.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, OperatorError } from '@bootswarm/stdx';
import type { Logger } from 'pino';
import type { GlanceSource, ImageSummary } from './api.ts';
import type { DataDir } from './data-dir.ts';
import { moveDirectory, syncDirectory, syncMove } from './durable-file.ts';
import {
  type ImageDirectory,
  readImageDirectory,
  rewriteRecord,
  whyDamaged,
} from './image-directory.ts';

/** Shorter prefixes of an id would soon be ambiguous, and are likelier to be typing errors. */
const ID_PREFIX_LENGTH_MIN = 4;

export interface FoundImage {
  readonly image: ImageSummary;
  readonly directory: ImageDirectory;
}

interface Entry {
  directory: ImageDirectory;
  isDamaged: boolean;
}

/** Ids in a message: a name that is given to more says too little anyway. */
const TOLD_MAX = 5;

export class Catalogue {
  readonly #dataDir: DataDir;
  readonly #log: Logger;
  readonly #byId = new Map<string, Entry>();
  readonly #byName = new Map<string, Entry>();
  #lastChange: Promise<unknown> = Promise.resolve();

  private constructor(dataDir: DataDir, log: Logger) {
    this.#dataDir = dataDir;
    this.#log = log;
  }

  /** Reads DATA/images, and throws away what the last run had not finished publishing or deleting. */
  static async open(dataDir: DataDir, log: Logger): Promise<Catalogue> {
    const catalogue = new Catalogue(dataDir, log);
    await catalogue.#remove(dataDir.staging);
    await mkdir(dataDir.staging, { recursive: true, mode: 0o700 });
    await mkdir(dataDir.images, { recursive: true, mode: 0o700 });
    for (const name of await readdir(dataDir.images)) {
      try {
        catalogue.#insert(await readImageDirectory(join(dataDir.images, name), name));
      } catch (error) {
        // Not deleted: whatever it is, nobody but its owner can say that it is worth nothing.
        log.error({ name, error: messageOf(error) }, 'image left out of the catalogue');
      }
    }
    for (const { directory } of catalogue.#byId.values()) {
      const reason = await whyDamaged(directory);
      if (reason !== undefined) catalogue.markDamaged(directory.image.id, reason);
    }
    return catalogue;
  }

  get size(): number {
    return this.#byId.size;
  }

  ids(): string[] {
    return [...this.#byId.keys()];
  }

  has(id: string): boolean {
    return this.#byId.has(id);
  }

  /** By name. */
  list(): ImageSummary[] {
    const images = Array.from(this.#byId.values(), summaryOf);
    return images.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /**
   * Finds an image by its id, its name, or a prefix of at least 4 digits that only its id has. Throws OperatorError
   * `image-not-found` or `image-ambiguous`.
   */
  find(key: string): FoundImage {
    return onlyOne(key, this.matching(key), () => this.list());
  }

  /** All that `key` may mean: the image that has it as its id, or its name, else those whose ids begin with it. */
  matching(key: string): FoundImage[] {
    const entry = this.#byId.get(key) ?? this.#byName.get(key);
    const entries = entry === undefined ? this.#byPrefix(key) : [entry];
    return entries.map((each) => ({ image: summaryOf(each), directory: each.directory }));
  }

  /** The image that was published from this one of Glance; its name is signed. */
  ofGlance(glanceId: string): ImageSummary | undefined {
    const entry = this.#byName.get(glanceId);
    return entry?.directory.image.glance?.id === glanceId ? summaryOf(entry) : undefined;
  }

  /** Glance says something else of it now. */
  describe(id: string, glance: GlanceSource): Promise<ImageSummary> {
    return this.#inTurn(async () => {
      const entry = this.#byId.get(id);
      if (entry === undefined) throw notFound(id);
      await rewriteRecord(entry.directory, { glance });
      entry.directory = { ...entry.directory, image: { ...entry.directory.image, glance } };
      return summaryOf(entry);
    });
  }

  /** A new directory of this process's own, on the same file system as the images. */
  async stage(): Promise<string> {
    const path = join(this.#dataDir.staging, randomUUID());
    await mkdir(path, { mode: 0o700 });
    return path;
  }

  /**
   * Makes an image of a staged directory that holds all its files; if it is there already the directory stays the
   * caller's. Throws OperatorError `name-taken`.
   */
  add(staged: string, id: string): Promise<{ image: ImageSummary; alreadyThere: boolean }> {
    return this.#inTurn(async () => {
      const known = this.#byId.get(id);
      if (known !== undefined) return { image: summaryOf(known), alreadyThere: true };
      const { name } = (await readImageDirectory(staged, id)).image;
      const holder = this.#byName.get(name);
      if (holder !== undefined) throw nameTaken(name, holder.directory.image.id);
      await syncDirectory(staged);
      const path = join(this.#dataDir.images, id);
      await moveDirectory(staged, path);
      const entry = this.#insert(await readImageDirectory(path, id));
      return { image: summaryOf(entry), alreadyThere: false };
    });
  }

  /** Takes an image out. Who has its files open may read on; what cannot be removed of them is left to the next start. */
  withdraw(id: string): Promise<void> {
    return this.#inTurn(async () => {
      const entry = this.#byId.get(id);
      if (entry === undefined) throw notFound(id);
      const path = join(this.#dataDir.staging, randomUUID());
      await rename(entry.directory.path, path);
      // From here on it is gone, whatever fails.
      this.#byId.delete(id);
      this.#byName.delete(entry.directory.image.name);
      await syncMove(entry.directory.path, path).catch((error: unknown) => {
        const told = { image: id, error: messageOf(error) };
        this.#log.error(told, 'withdrawal not on the disk: a power cut may undo it');
      });
      await this.#remove(path);
    });
  }

  /** Until the next start, which looks for itself. */
  markDamaged(id: string, reason: string): void {
    const entry = this.#byId.get(id);
    if (entry === undefined) return;
    entry.isDamaged = true;
    this.#log.error({ image: id, name: entry.directory.image.name, reason }, 'image is damaged');
  }

  /** What is left keeps space, and nothing else. */
  async #remove(path: string): Promise<void> {
    await rm(path, { recursive: true, force: true }).catch((error: unknown) => {
      const hint = 'Remove it by hand, or start the tracker anew when the disk is well.';
      this.#log.error({ path, error: messageOf(error), hint }, 'staged files not removed');
    });
  }

  /** Of two publishers of a name one wins, and an image is gone before it may come back. */
  #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const result = this.#lastChange.then(change);
    this.#lastChange = result.catch(() => {});
    return result;
  }

  #insert(directory: ImageDirectory): Entry {
    const { id, name } = directory.image;
    const holder = this.#byName.get(name);
    if (holder !== undefined) throw nameTaken(name, holder.directory.image.id);
    const entry = { directory, isDamaged: false };
    this.#byId.set(id, entry);
    this.#byName.set(name, entry);
    return entry;
  }

  #byPrefix(prefix: string): Entry[] {
    if (prefix.length < ID_PREFIX_LENGTH_MIN || !/^[0-9a-f]+$/.test(prefix)) return [];
    return [...this.#byId].filter(([id]) => id.startsWith(prefix)).map(([, entry]) => entry);
  }
}

/**
 * `known`: what whoever asks may know of. Throws OperatorError `image-not-found`, which tells by what ids the images go that
 * Glance calls so, or `image-ambiguous`, which names what was found.
 */
export function onlyOne(
  key: string,
  found: readonly FoundImage[],
  known: () => readonly ImageSummary[],
): FoundImage {
  if (found.length === 1) return found[0];
  if (found.length === 0) {
    const called = known().filter(({ glance }) => glance?.name === key);
    throw notFound(
      key,
      called.slice(0, TOLD_MAX).map(({ name }) => name),
    );
  }
  throw new OperatorError(
    'image-ambiguous',
    `${found.length} images have ids that begin with ${key}`,
    `Give more digits: ${found.map(({ image }) => image.id.slice(0, key.length + 8)).join(', ')}`,
  );
}

function summaryOf({ directory, isDamaged }: Entry): ImageSummary {
  return { ...directory.image, state: isDamaged ? 'damaged' : 'ready' };
}

function notFound(key: string, idsInGlance: readonly string[] = []): OperatorError {
  return new OperatorError(
    'image-not-found',
    `There is no image ${JSON.stringify(key)}`,
    idsInGlance.length === 0
      ? 'List what there is with: bootswarm images'
      : `Images of Glance go by their id there: ${idsInGlance.join(', ')}.`,
  );
}

function nameTaken(name: string, holder: string): OperatorError {
  return new OperatorError(
    'name-taken',
    `The name ${JSON.stringify(name)} belongs to another image, ${holder}`,
    'Publish under another name, or withdraw that image first.',
  );
}
