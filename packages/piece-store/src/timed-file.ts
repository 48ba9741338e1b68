/**
 * A file that notices when its disk keeps us waiting: then nobody may read it synchronously, as the whole process would wait.
 * Decides what is late; what to do instead is for the caller to say.
 */
import type { FileIdentity, PlacedPiece, StoreFile, WrittenPieces } from './store-file.ts';

/** A disk in order answers within some 10 ms, one under load within some 100. */
const LATE_MS = 500;
/** A flush writes up to 64 MiB, which takes a slow disk this long. */
const FLUSH_LATE_MS = 2_000;
/** A synchronous read that took as long as a seek on a busy disk... */
const SYNC_LATE_MS = 50;
/** ...is the last one for a while: each costs all guests that time. */
const SYNC_PAUSE_MS = 5_000;

export class TimedFile implements StoreFile {
  readonly #file: StoreFile;
  /** When each operation under way is late. */
  readonly #underWay = new Set<{ readonly lateAt: number }>();
  #noSyncUntil = 0;

  constructor(file: StoreFile) {
    this.#file = file;
  }

  /** Whether an operation under way is late. */
  get isLate(): boolean {
    if (this.#underWay.size === 0) return false;
    const now = performance.now();
    for (const { lateAt } of this.#underWay) if (now >= lateAt) return true;
    return false;
  }

  /** Whether readSync() is likely to return at once: nothing is late, and no synchronous read was a short while ago. */
  get mayReadSync(): boolean {
    if (this.#noSyncUntil > 0) {
      if (performance.now() < this.#noSyncUntil) return false;
      this.#noSyncUntil = 0;
    }
    return !this.isLate;
  }

  read(target: Uint8Array, position: number): Promise<number> {
    return this.#timed(this.#file.read(target, position), LATE_MS);
  }

  readSync(target: Uint8Array, position: number): number {
    const startedAt = performance.now();
    try {
      return this.#file.readSync(target, position);
    } finally {
      const now = performance.now();
      if (now - startedAt >= SYNC_LATE_MS) this.#noSyncUntil = now + SYNC_PAUSE_MS;
    }
  }

  write(bytes: Uint8Array, position: number): Promise<number> {
    return this.#timed(this.#file.write(bytes, position), LATE_MS);
  }

  writePieces(pieces: readonly PlacedPiece[]): Promise<WrittenPieces> {
    return this.#timed(this.#file.writePieces(pieces), LATE_MS);
  }

  datasync(): Promise<void> {
    return this.#timed(this.#file.datasync(), FLUSH_LATE_MS);
  }

  truncate(length: number): Promise<void> {
    return this.#timed(this.#file.truncate(length), LATE_MS);
  }

  identity(): FileIdentity {
    return this.#file.identity();
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  async #timed<T>(work: Promise<T>, lateMs: number): Promise<T> {
    const operation = { lateAt: performance.now() + lateMs };
    this.#underWay.add(operation);
    try {
      return await work;
    } finally {
      this.#underWay.delete(operation);
    }
  }
}
