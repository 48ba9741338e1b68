/**
 * The file that a copy makes. Until it is whole it is in a directory beside its place, with the journal that says which units
 * of it are safely on the disk; then it gets its name in one step. Zeros are holes. Which bytes are right is the source's to
 * say.
 */
import { hash } from 'node:crypto';
import { type FileHandle, link, open, rename, rm, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { DirectoryLock } from '@bootswarm/piece-store';
import { Bitfield, errnoOf, OperatorError, readWhole } from '@bootswarm/stdx';
import { isCloneOf } from './clone-file.ts';
import { targetError, targetExists } from './copy-error.ts';
import { decodeJournal, encodeHeader, encodeRecord, JOURNAL_BYTES_MAX } from './copy-journal.ts';
import {
  bytesOfUnits,
  type CopySource,
  type Digest,
  type Run,
  unitCountOf,
} from './copy-source.ts';
import { HeldDirectory } from './held-directory.ts';
import { writeAll, writeSparse } from './sparse-io.ts';

/** What a crash costs at most is copied again. */
const COMMIT_BYTES = 64 * 1024 * 1024;
const COMMIT_MS = 1_000;
/** Of NAME_MAX 255, what is left beside what we add. */
const NAME_BYTES_MAX = 200;
const NOT_LINKED = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'EMLINK', 'ENOSYS']);

export class FileTarget {
  readonly path: string;
  readonly #isForced: boolean;
  /** Where the file gets its name. */
  readonly #parent: HeldDirectory;
  /** Where it is until then. */
  readonly #work: HeldDirectory;
  readonly #lock: DirectoryLock;
  #source: CopySource | undefined;
  #data: FileHandle | undefined;
  #journal: FileHandle | undefined;
  #journalLength = 0;
  #journalHeadLength = 0;
  /** Of an earlier attempt: where a unit is missing there may be bytes that were never recorded. */
  #mayBeStale = false;
  #records: Buffer[] = [];
  #bytesSinceCommit = 0;
  #commitTimer: NodeJS.Timeout | undefined;
  #committing: Promise<void> | undefined;
  #failure: unknown;

  private constructor(
    path: string,
    isForced: boolean,
    { parent, work, lock }: { parent: HeldDirectory; work: HeldDirectory; lock: DirectoryLock },
  ) {
    this.path = path;
    this.#isForced = isForced;
    this.#parent = parent;
    this.#work = work;
    this.#lock = lock;
  }

  /**
   * `inside`: a directory in which it has to be. Throws OperatorError `target-exists`, `target-no-file`, `copy-running`, and
   * those of targetError() and HeldDirectory.
   */
  static async open(target: string, isForced: boolean, inside?: string): Promise<FileTarget> {
    const path = resolve(target);
    let parent: HeldDirectory | undefined;
    let work: { readonly directory: HeldDirectory; readonly isMade: boolean } | undefined;
    try {
      parent = await HeldDirectory.open(dirname(path), inside);
      await requireFree(parent.pathOf(basename(path)), path, isForced);
      const name = workNameOf(path);
      work = await HeldDirectory.make(parent, name, join(dirname(path), name));
      // SQLite looks its path up by itself; all else is opened in the directory that is held.
      const lock = new DirectoryLock(work.directory.pathOf('.'), (holder) => running(path, holder));
      return new FileTarget(path, isForced, { parent, work: work.directory, lock });
    } catch (error) {
      // Who has locked it in the meantime needs it.
      if (work?.isMade && !(error instanceof OperatorError)) {
        await parent?.remove(workNameOf(path), work.directory).catch(() => {});
      }
      await work?.directory.close();
      await parent?.close();
      throw targetError(path, error);
    }
  }

  /**
   * Takes up what an earlier attempt has left, if it is of the same source, and proves it: resolves to the units that are there.
   * `onProven` is told of the bytes that were looked at.
   */
  async begin(
    source: CopySource,
    signal: AbortSignal,
    onProven: (bytes: number) => void,
  ): Promise<Bitfield> {
    this.#source = source;
    try {
      const had = await this.#resume(source, signal, onProven);
      if (had !== undefined) return had;
      const cloned = await this.#startAnew(source);
      if (cloned && source.isRight === undefined) return Bitfield.full(unitCountOf(source));
      if (!cloned) return new Bitfield(unitCountOf(source));
      this.#mayBeStale = true;
      const all = Array.from({ length: unitCountOf(source) }, (_, unit) => unit);
      return await this.#prove(
        source,
        all,
        (unit, bytes) => source.isRight!(unit, bytes),
        signal,
        onProven,
      );
    } catch (error) {
      throw targetError(this.path, error);
    }
  }

  /** The bytes are the source's again when this resolves. */
  async write(run: Run): Promise<void> {
    const source = this.#source!;
    try {
      if (this.#failure !== undefined) throw this.#failure;
      await this.#put(source, run);
      if (source.version !== undefined) this.#record(source, run);
      this.#bytesSinceCommit += bytesOfUnits(source, run.firstUnit, run.unitCount);
      if (this.#bytesSinceCommit >= COMMIT_BYTES) this.#commitSoon();
      // A source that stalls now must not keep what came from being recorded.
      this.#commitTimer ??= setTimeout(() => this.#commitSoon(), COMMIT_MS);
    } catch (error) {
      throw targetError(this.path, error);
    }
  }

  /** Of what is in the file, all of it. */
  async digest(
    { algorithm }: Digest,
    signal: AbortSignal,
    onRead: (bytes: number) => void,
  ): Promise<string> {
    const { createHash } = await import('node:crypto');
    const digest = createHash(algorithm);
    const buffer = Buffer.allocUnsafeSlow(1024 * 1024);
    const { length } = this.#source!;
    try {
      for (let at = 0; at < length; at += buffer.length) {
        signal.throwIfAborted();
        const part = buffer.subarray(0, Math.min(buffer.length, length - at));
        await readWhole(this.#data!, part, at);
        digest.update(part);
        onRead(part.length);
      }
    } catch (error) {
      throw targetError(this.path, error);
    }
    return digest.digest('hex');
  }

  /** All units are written: gives the file its name, once its bytes are on the disk. */
  async finish(): Promise<void> {
    try {
      clearTimeout(this.#commitTimer);
      await this.#committing;
      if (this.#failure !== undefined) throw this.#failure;
      await this.#data!.truncate(this.#source!.length);
      await this.#data!.sync();
      await this.#rename(this.#work.pathOf('data'));
      await this.#parent.sync();
    } catch (error) {
      throw targetError(this.path, error);
    }
    await this.close(false);
  }

  /** `isKept`: what is recorded stays for the next attempt; without a record nothing is of use to it. */
  async close(isKept: boolean): Promise<void> {
    clearTimeout(this.#commitTimer);
    await this.#committing;
    try {
      if (isKept && this.#data !== undefined) await this.#commit().catch(() => {});
      await this.#data?.close();
      await this.#journal?.close();
      if (isKept && (await this.#hasRecords())) return;
      await this.#parent.remove(workNameOf(this.path), this.#work);
    } finally {
      this.#lock.release();
      await this.#work.close();
      await this.#parent.close();
    }
  }

  async #hasRecords(): Promise<boolean> {
    if (this.#journal !== undefined) return this.#journalLength > this.#journalHeadLength;
    // The source could not be opened, for instance: what an earlier attempt has left was not looked at.
    return (await stat(this.#work.pathOf('journal')).catch(() => undefined)) !== undefined;
  }

  async #resume(
    source: CopySource,
    signal: AbortSignal,
    onProven: (bytes: number) => void,
  ): Promise<Bitfield | undefined> {
    const bytes = await readBounded(this.#work.pathOf('journal'));
    const journal = bytes && decodeJournal(bytes);
    if (journal === undefined || source.version === undefined) return undefined;
    const { header, units, validLength } = journal;
    const isSame =
      header.source === source.shown &&
      header.version === source.version &&
      header.length === source.length &&
      header.unitLength === source.unitLength;
    if (!isSame) return undefined;
    try {
      this.#data = await open(this.#work.pathOf('data'), 'r+');
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw error;
    }
    this.#journal = await open(this.#work.pathOf('journal'), 'r+');
    await this.#journal.truncate(validLength);
    this.#journalLength = validLength;
    this.#journalHeadLength = encodeHeader(header).length;
    this.#mayBeStale = true;
    const isRight = (unit: number, kept: Uint8Array): boolean =>
      source.isRight?.(unit, kept) ?? sha256(kept).equals(units.get(unit)!);
    return this.#prove(source, [...units.keys()], isRight, signal, onProven);
  }

  /** Resolves to whether the file was cloned, and has bytes already. */
  async #startAnew(source: CopySource): Promise<boolean> {
    await this.#data?.close();
    const path = this.#work.pathOf('data');
    await rm(path, { force: true });
    const header = {
      source: source.shown,
      version: source.version ?? '',
      length: source.length,
      unitLength: source.unitLength,
    };
    this.#journal = await open(this.#work.pathOf('journal'), 'w+', 0o600);
    const bytes = encodeHeader(header);
    await writeAll(this.#journal, bytes, 0);
    this.#journalLength = bytes.length;
    this.#journalHeadLength = bytes.length;
    const original = await source.cloneable?.();
    const isCloned = original !== undefined && (await isCloneOf(original, path));
    this.#data = await open(path, isCloned ? 'r+' : 'wx+', 0o666);
    await this.#data.truncate(source.length);
    await this.#journal.sync();
    await this.#work.sync();
    return isCloned;
  }

  async #prove(
    source: CopySource,
    units: readonly number[],
    isRight: (unit: number, bytes: Uint8Array) => boolean,
    signal: AbortSignal,
    onProven: (bytes: number) => void,
  ): Promise<Bitfield> {
    const had = new Bitfield(unitCountOf(source));
    const buffer = Buffer.allocUnsafeSlow(source.unitLength);
    for (const unit of units.toSorted((a, b) => a - b)) {
      signal.throwIfAborted();
      const bytes = buffer.subarray(0, bytesOfUnits(source, unit, 1));
      const isThere = await readWhole(this.#data!, bytes, unit * source.unitLength);
      if (isThere && isRight(unit, bytes)) had.set(unit);
      onProven(bytes.length);
    }
    return had;
  }

  async #put(source: CopySource, { firstUnit, unitCount, bytes }: Run): Promise<void> {
    const offset = firstUnit * source.unitLength;
    const length = bytesOfUnits(source, firstUnit, unitCount);
    await writeSparse(this.#data!, offset, length, bytes, this.#mayBeStale);
  }

  #record(source: CopySource, { firstUnit, unitCount, bytes }: Run): void {
    for (let index = 0; index < unitCount; index += 1) {
      const unit = firstUnit + index;
      const length = bytesOfUnits(source, unit, 1);
      const start = index * source.unitLength;
      // Where the source can tell by itself, nobody asks for it.
      const isTold = source.isRight !== undefined;
      const digest = isTold
        ? NO_DIGEST
        : sha256(bytes?.subarray(start, start + length) ?? Buffer.alloc(length));
      this.#records.push(encodeRecord(unit, digest));
    }
  }

  #commitSoon(): void {
    clearTimeout(this.#commitTimer);
    this.#commitTimer = undefined;
    this.#committing ??= this.#commit()
      .catch((error: unknown) => {
        this.#failure ??= error;
      })
      .finally(() => {
        this.#committing = undefined;
      });
  }

  /** The data first: a record is a promise that its unit is there after a power cut. */
  async #commit(): Promise<void> {
    const records = Buffer.concat(this.#records.splice(0));
    this.#bytesSinceCommit = 0;
    if (records.length === 0) return;
    await this.#data!.datasync();
    await writeAll(this.#journal!, records, this.#journalLength);
    this.#journalLength += records.length;
    await this.#journal!.datasync();
  }

  /** A link is made only where nothing is; not every file system has them. */
  async #rename(from: string): Promise<void> {
    const to = this.#parent.pathOf(basename(this.path));
    if (this.#isForced) return rename(from, to);
    try {
      await link(from, to);
    } catch (error) {
      if (errnoOf(error) === 'EEXIST') throw targetExists(this.path);
      if (!NOT_LINKED.has(errnoOf(error) ?? '')) throw error;
      await requireFree(to, this.path, false);
      return rename(from, to);
    }
    await unlink(from);
  }
}

const NO_DIGEST = Buffer.alloc(32);

function sha256(bytes: Uint8Array): Buffer {
  return hash('sha256', bytes, 'buffer');
}

/** Beside the file. */
function workNameOf(path: string): string {
  const name = basename(path);
  const short = Buffer.byteLength(name) <= NAME_BYTES_MAX ? name : hash('sha256', name, 'hex');
  return `.${short}.bootswarm-copy`;
}

/** `path`: what a person is told. */
async function requireFree(place: string, path: string, isForced: boolean): Promise<void> {
  const found = await stat(place).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw targetError(path, error);
  });
  if (found === undefined) return;
  if (!found.isFile()) {
    throw new OperatorError(
      'target-no-file',
      `${path} is ${found.isDirectory() ? 'a directory' : 'no regular file'}`,
      'Give the path of the file that is to be made.',
    );
  }
  if (!isForced) throw targetExists(path);
}

function running(path: string, holder: string): OperatorError {
  return new OperatorError(
    'copy-running',
    `${holder} is copying to ${path} already`,
    'Wait for it, or end it and run this again: it goes on where that one stopped.',
  );
}

async function readBounded(path: string): Promise<Buffer | undefined> {
  try {
    await using file = await open(path, 'r');
    const { size } = await file.stat();
    return size > JOURNAL_BYTES_MAX ? undefined : await file.readFile();
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
