/**
 * A disk in memory that tells what a process sees (the page cache) from what survives a power cut, and that can fail any
 * operation, die at any operation, and lose pages after a failed flush as Linux file systems do.
 */
import { Random } from '@bootswarm/stdx';
import {
  type FileIdentity,
  type OpenMode,
  type PlacedPiece,
  type StoreDisk,
  type StoreFile,
  type WrittenPieces,
  writeWhole,
} from '../src/store-file.ts';

export type FaultKind = 'EIO' | 'ENOSPC' | 'short-write';

export interface Fault {
  /** The first operation that fails, counted from 1. */
  readonly at: number;
  readonly kind: FaultKind;
  /** How many operations fail; a full disk goes on failing. */
  readonly count: number;
}

/** Stops the next flush of one file until the test lets it go on. */
export interface HeldFlush {
  readonly reached: Promise<void>;
  /** With an errno the flush fails. */
  release(fault?: FaultKind): void;
}

type Change =
  | { readonly type: 'write'; readonly position: number; readonly bytes: Buffer }
  | { readonly type: 'truncate'; readonly length: number };

/** One inode. */
interface Contents {
  cached: Buffer;
  durable: Buffer;
  unsynced: Change[];
  isNameDurable: boolean;
  /** What the time of the last change stands for. */
  changes: bigint;
}

export class MemoryDisk implements StoreDisk {
  readonly contents = new Map<string, Contents>();
  readonly #random: Random;
  operations = 0;
  faults: Fault[] = [];
  /** Called when a flush fails, before the process learns of it. */
  onFlushFailed = () => {};
  /** The operation at which the process is killed: it may still take effect in part. */
  killAt = Number.POSITIVE_INFINITY;
  /** Whether its file system knows O_DIRECT. */
  canReadDirect = true;
  #isDead = false;
  readonly #held = new Map<string, () => Promise<FaultKind | undefined>>();
  readonly #death = Promise.withResolvers<'dead'>();

  constructor(seed = 1) {
    this.#random = new Random(seed);
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  /** Resolves when the process is killed. */
  get death(): Promise<'dead'> {
    return this.#death.promise;
  }

  async open(path: string, mode: OpenMode): Promise<StoreFile> {
    const fault = await this.#begin();
    if (mode === 'read-direct' && !this.canReadDirect) throw errnoError('EINVAL');
    if (fault === 'EIO' && mode === 'read-direct') throw errnoError('EIO');
    let contents = this.contents.get(path);
    if (contents === undefined) {
      if (mode !== 'read-write') throw errnoError('ENOENT');
      contents = { ...emptyContents(), isNameDurable: false };
      this.contents.set(path, contents);
    }
    return this.#file(contents, path, mode);
  }

  async syncDirectory(): Promise<void> {
    await this.#begin();
    for (const contents of this.contents.values()) contents.isNameDurable = true;
  }

  /** The page cache's view of a file. */
  cached(path: string): Buffer {
    return this.contents.get(path)?.cached ?? Buffer.alloc(0);
  }

  holdFlush(path: string): HeldFlush {
    const reached = Promise.withResolvers<void>();
    const released = Promise.withResolvers<FaultKind | undefined>();
    this.#held.set(path, () => {
      this.#held.delete(path);
      reached.resolve();
      return released.promise;
    });
    return { reached: reached.promise, release: released.resolve };
  }

  /** Changes a file behind the store's back; `undefined` removes it. */
  tamper(path: string, bytes: Buffer | undefined): void {
    if (bytes === undefined) this.contents.delete(path);
    else
      this.contents.set(path, { ...emptyContents(), cached: bytes, durable: Buffer.from(bytes) });
  }

  /** Ends the process: nothing that is under way settles, nothing more happens. */
  kill(): void {
    this.#isDead = true;
    this.#death.resolve('dead');
  }

  /** The disk as the next process finds it after a kill. */
  afterKill(seed = 1): MemoryDisk {
    const next = new MemoryDisk(seed);
    for (const [path, { cached, durable, unsynced, isNameDurable, changes }] of this.contents) {
      next.contents.set(path, {
        cached: Buffer.from(cached),
        durable: Buffer.from(durable),
        unsynced: [...unsynced],
        isNameDurable,
        changes,
      });
    }
    return next;
  }

  /** The disk after a power cut: any of the changes not flushed may have reached it, whole or torn. */
  afterPowerCut(seed = 1): MemoryDisk {
    const next = new MemoryDisk(seed);
    const random = new Random(seed);
    // Also the two extremes: nothing arrived, everything did.
    const chance = [0, 0.5, 1][random.below(3)];
    for (const [path, { durable, unsynced, isNameDurable }] of this.contents) {
      if (!isNameDurable && random.float() >= chance) continue;
      let bytes: Buffer = Buffer.from(durable);
      for (const change of unsynced) {
        if (random.float() >= chance) continue;
        for (const part of torn(change, random, chance)) bytes = apply(bytes, part);
      }
      const contents = { cached: bytes, durable: Buffer.from(bytes), unsynced: [], changes: 0n };
      next.contents.set(path, { ...contents, isNameDurable: true });
    }
    return next;
  }

  async #begin(): Promise<FaultKind | undefined> {
    for (let turns = this.#random.below(4); turns > 0; turns -= 1) await undefined;
    if (this.#isDead) await new Promise(() => {});
    return this.#count();
  }

  #count(): FaultKind | undefined {
    this.operations += 1;
    const now = this.operations;
    if (now >= this.killAt) this.kill();
    return this.faults.find(({ at, count }) => now >= at && now < at + count)?.kind;
  }

  /** Pages are marked clean though not written, and may be dropped from memory at once, or never. */
  #failFlush(contents: Contents): void {
    const pending = contents.unsynced;
    contents.unsynced = [];
    contents.cached = Buffer.from(contents.durable);
    for (const made of pending) {
      if (this.#random.below(2) === 0) contents.cached = apply(contents.cached, made);
    }
    this.onFlushFailed();
  }

  #file(contents: Contents, path: string, mode: OpenMode): StoreFile {
    const change = (made: Change) => {
      contents.cached = apply(contents.cached, made);
      contents.unsynced.push(made);
      contents.changes += 1n;
    };
    const file: StoreFile = {
      read: async (target, position) => {
        const fault = await this.#begin();
        if (this.#isDead) return new Promise(() => {});
        if (fault === 'EIO') throw errnoError('EIO');
        if (mode !== 'read-direct') return copyOut(contents.cached, target, position, this.#random);
        // O_DIRECT has what is dirty written first, and then reads the disk.
        const { cached, durable, unsynced } = contents;
        return copyOut(unsynced.length > 0 ? cached : durable, target, position);
      },
      readSync: (target, position) => {
        if (this.#isDead || this.#count() === 'EIO') throw errnoError('EIO');
        return copyOut(contents.cached, target, position);
      },
      write: async (bytes, position) => {
        const fault = await this.#begin();
        const isPartial = fault !== undefined || this.#isDead;
        const count = isPartial ? this.#random.below(bytes.length) : bytes.length;
        if (count > 0) {
          change({ type: 'write', position, bytes: Buffer.from(bytes.subarray(0, count)) });
        }
        if (this.#isDead) return new Promise(() => {});
        // As tmpfs does: a short write first, the error on the next one.
        if (fault === 'short-write' && count > 0) return count;
        if (fault !== undefined) throw errnoError(fault === 'EIO' ? 'EIO' : 'ENOSPC');
        return count;
      },
      datasync: async () => {
        const injected = await this.#begin();
        const held = await this.#held.get(path)?.();
        const fault = held ?? injected;
        if (this.#isDead) return new Promise(() => {});
        if (fault !== undefined) {
          this.#failFlush(contents);
          throw errnoError(fault === 'ENOSPC' ? 'ENOSPC' : 'EIO');
        }
        contents.durable = Buffer.from(contents.cached);
        contents.unsynced = [];
      },
      truncate: async (length) => {
        const fault = await this.#begin();
        if (!this.#isDead && fault === 'EIO') throw errnoError('EIO');
        if (!this.#isDead || this.#random.below(2) === 0) change({ type: 'truncate', length });
        if (this.#isDead) await new Promise(() => {});
      },
      identity: (): FileIdentity => ({
        size: contents.cached.length,
        mtimeNs: contents.changes,
        ino: 0n,
        dev: 0n,
      }),
      close: async () => {
        const fault = await this.#begin();
        if (this.#isDead) await new Promise(() => {});
        if (fault === 'EIO') throw errnoError('EIO');
      },
      writePieces: (pieces) => writeEach(file, pieces),
    };
    return file;
  }
}

async function writeEach(file: StoreFile, pieces: readonly PlacedPiece[]): Promise<WrittenPieces> {
  for (const [writtenCount, { bytes, position }] of pieces.entries()) {
    try {
      await writeWhole(file, bytes, position);
    } catch (error) {
      return { writtenCount, error };
    }
  }
  return { writtenCount: pieces.length };
}

function emptyContents(): Contents {
  const bytes = { cached: Buffer.alloc(0), durable: Buffer.alloc(0) };
  return { ...bytes, unsynced: [], isNameDurable: true, changes: 0n };
}

function apply(bytes: Buffer, change: Change): Buffer {
  if (change.type === 'truncate') return resized(bytes, change.length);
  const next = resized(bytes, Math.max(bytes.length, change.position + change.bytes.length));
  change.bytes.copy(next, change.position);
  return next;
}

function resized(bytes: Buffer, length: number): Buffer {
  const next = Buffer.alloc(length);
  bytes.copy(next, 0, 0, length);
  return next;
}

/** What arrived of a write: all of it, or any of its sectors, in no order, as a disk of that sector size may have it. */
function torn(change: Change, random: Random, chance: number): readonly Change[] {
  if (change.type === 'truncate' || chance === 1 || random.below(3) > 0) return [change];
  const sectorBytes = [512, 4096][random.below(2)];
  const { position, bytes } = change;
  const parts: Change[] = [];
  for (let from = 0; from < bytes.length; ) {
    // Sectors lie at multiples of their size in the file, wherever the write began.
    const to = Math.min(bytes.length, from + sectorBytes - ((position + from) % sectorBytes));
    const part = {
      type: 'write' as const,
      position: position + from,
      bytes: bytes.subarray(from, to),
    };
    if (random.below(2) === 0) parts.push(part);
    from = to;
  }
  return parts;
}

/** Sometimes less than asked, as read(2) may. */
function copyOut(from: Buffer, target: Uint8Array, position: number, random?: Random): number {
  const available = Math.min(target.length, from.length - position);
  if (available <= 0) return 0;
  const isShort = random !== undefined && available > 1 && random.below(8) === 0;
  const count = isShort ? 1 + random.below(available) : available;
  from.copy(target, 0, position, position + count);
  return count;
}

export function errnoError(code: string): Error {
  return Object.assign(new Error(`${code}: injected`), { code });
}
