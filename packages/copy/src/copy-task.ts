/**
 * copy(from, to): one copy from its beginning to its end. What the bytes are, and whether they are right, is the source's
 * matter; how they get to the disk the target's. This file decides what follows what, and what is kept when something fails.
 */
import { type Bitfield, OperatorError } from '@bootswarm/stdx';
import { cancelled, digestMismatch } from './copy-error.ts';
import {
  bytesOfUnits,
  type CopySource,
  type Digest,
  type Run,
  unitCountOf,
} from './copy-source.ts';
import { parseCopyUri } from './copy-uri.ts';
import type { FileTarget } from './file-target.ts';
import { RecentRate } from './recent-rate.ts';
import type { Schemes } from './schemes.ts';

export interface CopyOptions {
  /** Where sources and targets come from. */
  readonly schemes: Schemes;
  /** 64 hex digits: what all bytes must hash to. */
  readonly sha256?: string;
  /** Whether a file that is there may be replaced. */
  readonly force?: boolean;
  /** As cancel(). */
  readonly signal?: AbortSignal;
}

export type CopyPhase =
  | 'open'
  /** What an earlier attempt has left is proven. */
  | 'prove'
  | 'copy'
  /** All of it is read back. */
  | 'verify'
  | 'finish'
  | 'done'
  | 'failed'
  | 'cancelled';

export interface CopyProgress {
  readonly phase: CopyPhase;
  /** In this phase. */
  readonly bytesDone: number;
  /** 0 while it is not known. */
  readonly bytesTotal: number;
  /** Copied over the last few seconds. */
  readonly bytesPerSecond: number;
}

export interface CopyResult {
  readonly from: string;
  readonly to: string;
  readonly length: number;
  /** Of that, what an earlier attempt had copied, or the file system has shared. */
  readonly bytesKept: number;
  readonly seconds: number;
}

/** Writes under way: the disk is busy, and no more than a few MiB wait. */
const WRITES_MAX = 4;

export function copy(from: string, to: string, options: CopyOptions): CopyTask {
  return new CopyTask(from, to, options);
}

export class CopyTask {
  readonly #abort = new AbortController();
  readonly #rate = new RecentRate();
  readonly #ended: Promise<CopyResult>;
  #phase: CopyPhase = 'open';
  #bytesDone = 0;
  #bytesTotal = 0;
  #isKeptOnCancel = false;

  constructor(from: string, to: string, options: CopyOptions) {
    const { signal } = options;
    const onAbort = (): void => this.cancel();
    if (signal?.aborted) onAbort();
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#ended = this.#run(from, to, options).finally(() => {
      signal?.removeEventListener('abort', onAbort);
    });
    // Whoever waits is told; whoever does not has `progress`.
    this.#ended.catch(() => {});
  }

  get progress(): CopyProgress {
    return {
      phase: this.#phase,
      bytesDone: this.#bytesDone,
      bytesTotal: this.#bytesTotal,
      bytesPerSecond: this.#rate.bytesPerSecond(performance.now()),
    };
  }

  /** Resolves when the file has its name. Throws OperatorError; `copy-cancelled` after cancel(). */
  wait(): Promise<CopyResult> {
    return this.#ended;
  }

  /** `keep`: what was copied stays for the next attempt. Does nothing when it has ended. */
  cancel({ keep = false }: { readonly keep?: boolean } = {}): void {
    if (this.#abort.signal.aborted) return;
    this.#isKeptOnCancel = keep;
    this.#abort.abort();
  }

  async #run(from: string, to: string, options: CopyOptions): Promise<CopyResult> {
    const startedAt = performance.now();
    let source: CopySource | undefined;
    let target: FileTarget | undefined;
    try {
      const [fromUri, toUri] = [parseCopyUri(from), parseCopyUri(to)];
      requireDigest(options.sha256);
      const read = options.schemes.reader(fromUri);
      const write = options.schemes.writer(toUri);
      this.#throwIfCancelled();
      target = await write(toUri, options.force === true);
      source = await read(fromUri, this.#abort.signal);
      const bytesKept = await this.#transfer(source, target);
      await this.#proveWhole(source, target, options.sha256);
      this.#enter('finish', source.length);
      await source.recheck();
      this.#throwIfCancelled();
      await target.finish();
      this.#phase = 'done';
      this.#bytesDone = source.length;
      const seconds = (performance.now() - startedAt) / 1_000;
      return { from: fromUri.shown, to: target.path, length: source.length, bytesKept, seconds };
    } catch (error) {
      throw await this.#fail(error, from, target, source);
    } finally {
      await source?.close();
    }
  }

  /** Resolves to the bytes that need not be copied. */
  async #transfer(source: CopySource, target: FileTarget): Promise<number> {
    const { signal } = this.#abort;
    this.#enter('prove', source.length);
    const had = await target.begin(source, signal, (bytes) => {
      this.#bytesDone += bytes;
    });
    const bytesKept = bytesIn(had, source);
    this.#enter('copy', source.length);
    this.#bytesDone = bytesKept;
    const writing = new Set<Promise<void>>();
    let failure: { readonly error: unknown } | undefined;
    try {
      for await (const run of source.runs(had, signal)) {
        const written: Promise<void> = this.#write(run, source, target, had).then(
          () => void writing.delete(written),
          (error: unknown) => {
            failure ??= { error };
            writing.delete(written);
          },
        );
        writing.add(written);
        if (writing.size >= WRITES_MAX) await Promise.race(writing);
        if (failure !== undefined) throw failure.error;
      }
    } finally {
      await Promise.all(writing);
    }
    if (failure !== undefined) throw failure.error;
    this.#throwIfCancelled();
    return bytesKept;
  }

  async #write(run: Run, source: CopySource, target: FileTarget, had: Bitfield): Promise<void> {
    await target.write(run);
    had.setRange(run.firstUnit, run.unitCount);
    const bytes = bytesOfUnits(source, run.firstUnit, run.unitCount);
    this.#bytesDone += bytes;
    this.#rate.add(bytes, performance.now());
  }

  async #proveWhole(
    source: CopySource,
    target: FileTarget,
    sha256: string | undefined,
  ): Promise<void> {
    const expected: Digest[] = [];
    if (sha256 !== undefined) expected.push({ algorithm: 'sha256', hex: sha256 });
    if (source.digest !== undefined) expected.push(source.digest);
    for (const digest of expected) {
      this.#enter('verify', source.length);
      const found = await target.digest(digest, this.#abort.signal, (bytes) => {
        this.#bytesDone += bytes;
      });
      if (found !== digest.hex.toLowerCase()) {
        throw digestMismatch(source.shown, digest.algorithm, digest.hex, found);
      }
    }
  }

  async #fail(
    error: unknown,
    from: string,
    target: FileTarget | undefined,
    source: CopySource | undefined,
  ): Promise<unknown> {
    const isCancelled = this.#abort.signal.aborted;
    const isKept = isCancelled ? this.#isKeptOnCancel : !isHopeless(error);
    await target?.close(isKept).catch(() => {});
    this.#phase = isCancelled ? 'cancelled' : 'failed';
    return isCancelled ? cancelled(source?.shown ?? from.slice(0, 200), isKept) : error;
  }

  #enter(phase: CopyPhase, bytesTotal: number): void {
    this.#throwIfCancelled();
    this.#phase = phase;
    this.#bytesTotal = bytesTotal;
    this.#bytesDone = 0;
  }

  #throwIfCancelled(): void {
    this.#abort.signal.throwIfAborted();
  }
}

/** What was copied is of no use to another attempt. */
function isHopeless(error: unknown): boolean {
  return (
    error instanceof OperatorError && ['source-changed', 'digest-mismatch'].includes(error.code)
  );
}

function bytesIn(had: Bitfield, source: CopySource): number {
  const last = unitCountOf(source) - 1;
  const shortBy = source.unitLength - bytesOfUnits(source, last, 1);
  return had.count * source.unitLength - (had.has(last) ? shortBy : 0);
}

function requireDigest(sha256: string | undefined): void {
  if (sha256 === undefined || /^[0-9a-f]{64}$/i.test(sha256)) return;
  throw new OperatorError(
    'digest-invalid',
    `${JSON.stringify(sha256.slice(0, 100))} is no SHA-256`,
    'Give 64 hex digits, as sha256sum prints them.',
  );
}
