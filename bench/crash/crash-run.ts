/**
 * Ends a process that writes a cache at one of its system calls, or fails that call, and looks at what is left: every piece the
 * process was promised, no wrong byte, no bit over missing data. Which calls, and how many, its callers choose.
 */
import { execFile, execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CacheDirectory, CachePieceStore, type StoreEvent } from '@bootswarm/piece-store';
import { assert, messageOf } from '@bootswarm/stdx';
import { makeCrashImage } from './crash-image.ts';

const SHIM_SOURCE = new URL('disk-faults.c', import.meta.url).pathname;
const WRITER = new URL('cache-writer.ts', import.meta.url).pathname;

export const KILLS = ['kill', 'torn'] as const;
export const FAILURES = ['EIO', 'ENOSPC', 'short'] as const;
export type FaultKind = (typeof KILLS)[number] | (typeof FAILURES)[number];

/** A cache that the process starts from. `used`: left by a life that was killed, with durable pieces and a log. */
export const BEGINNINGS = ['empty', 'used'] as const;
export type Beginning = (typeof BEGINNINGS)[number];

export interface CrashPoint {
  readonly beginning: Beginning;
  readonly kind: FaultKind;
  /** The system call, counted from 1. */
  readonly at: number;
  /** How many calls fail from there on. */
  readonly count: number;
}

/** What the process said before it ended. */
interface Life {
  /** Promised, and not taken back. */
  readonly kept: ReadonlySet<number>;
  readonly isKilled: boolean;
}

const LIFE_MS_MAX = 30_000;

/** Builds the library that counts the calls; the file is the caller's to remove. Throws what the C compiler says. */
export function buildShim(directory: string): string {
  const shim = join(directory, 'disk-faults.so');
  execFileSync('cc', ['-shared', '-fPIC', '-O1', '-o', shim, SHIM_SOURCE, '-ldl']);
  return shim;
}

export class CrashRun {
  readonly #image = makeCrashImage();
  readonly #directory = mkdtempSync(join(tmpdir(), 'bootswarm-crash-'));
  readonly #shim = buildShim(this.#directory);
  readonly #used = join(this.#directory, 'used');
  #usedKept: ReadonlySet<number> = new Set();
  #lives = 0;

  /** Names of the calls of one whole life, in order. */
  async callsOf(beginning: Beginning): Promise<readonly string[]> {
    const trace = join(this.#directory, 'trace');
    const cache = this.#cacheFor(beginning);
    const { isKilled } = await this.#live(cache, { DISK_FAULTS_TRACE: trace });
    assert(!isKilled, 'the process ends by itself when nothing is done to it');
    const calls = readFileSync(trace, 'utf8').trim().split('\n');
    rmSync(cache, { recursive: true });
    rmSync(trace);
    return calls;
  }

  /** Makes the cache of the beginning `used`: killed at two thirds of a first life. */
  async prepare(): Promise<void> {
    const calls = await this.callsOf('empty');
    mkdirSync(this.#used);
    const at = Math.floor((calls.length * 2) / 3);
    const { kept, isKilled } = await this.#live(this.#used, fault({ kind: 'kill', at, count: 1 }));
    assert(isKilled && kept.size > 0, 'the first life was killed with pieces in its cache');
    this.#usedKept = kept;
  }

  /** Resolves to what is wrong with what this point leaves behind; undefined, as it should be. */
  async problemAt(point: CrashPoint): Promise<string | undefined> {
    const cache = this.#cacheFor(point.beginning);
    try {
      const before = point.beginning === 'used' ? this.#usedKept : [];
      const { kept, isKilled } = await this.#live(cache, fault(point), before);
      return await this.#problemOf(cache, kept, isKilled);
    } catch (error) {
      return messageOf(error);
    } finally {
      rmSync(cache, { recursive: true });
    }
  }

  close(): void {
    rmSync(this.#directory, { recursive: true });
  }

  #cacheFor(beginning: Beginning): string {
    this.#lives += 1;
    const cache = join(this.#directory, `life${this.#lives}`);
    if (beginning === 'used') cpSync(this.#used, cache, { recursive: true });
    else mkdirSync(cache);
    return cache;
  }

  #live(
    cache: string,
    env: Readonly<Record<string, string>>,
    before: Iterable<number> = [],
  ): Promise<Life> {
    const { promise, resolve, reject } = Promise.withResolvers<Life>();
    const options = {
      timeout: LIFE_MS_MAX,
      env: {
        ...process.env,
        // A third of the start of a process is the reading of its sources.
        NODE_COMPILE_CACHE: join(this.#directory, 'compiled'),
        LD_PRELOAD: this.#shim,
        DISK_FAULTS_DIR: cache,
        ...env,
      },
    };
    execFile(process.execPath, [WRITER, cache], options, (error, stdout, stderr) => {
      const isKilled = error?.signal === 'SIGKILL';
      if (error !== null && !isKilled) reject(new Error(`${error.message}\n${stderr}`));
      else resolve({ kept: keptOf(stdout, before), isKilled });
    });
    return promise;
  }

  async #problemOf(
    cache: string,
    kept: ReadonlySet<number>,
    isKilled: boolean,
  ): Promise<string | undefined> {
    const { metainfo, layer } = this.#image;
    const problems: string[] = [];
    const onEvent = (event: StoreEvent): void => {
      // Bits over missing data. Slots that a kill tore on their very first write vouch for nothing yet.
      if (event.type === 'piece-lost') problems.push(`a bit over no data: ${event.pieceIndex}`);
      else if (event.type !== 'cache-discarded') problems.push(`told ${event.type}`);
    };
    const directory = await CacheDirectory.open(cache);
    try {
      const store = await CachePieceStore.open({
        directory: await directory.openImage(metainfo.imageId),
        metainfo,
        layer,
        onEvent,
      });
      for (let index = 0; index < store.pieceCount; index += 1) {
        const expected = this.#image.piece(index);
        const target = new Uint8Array(expected.length);
        const isRead = await store.read(index, 0, target);
        if (isRead && !Buffer.from(target).equals(expected)) problems.push(`wrong: ${index}`);
        if (!isRead && kept.has(index)) problems.push(`promised and gone: ${index}`);
      }
      await store.close();
    } finally {
      directory.close();
    }
    if (problems.length === 0) return undefined;
    return `${isKilled ? 'killed' : 'ended'}, ${kept.size} kept: ${problems.join(', ')}`;
  }
}

function fault({ kind, at, count }: Omit<CrashPoint, 'beginning'>): Record<string, string> {
  return { DISK_FAULTS_KIND: kind, DISK_FAULTS_AT: `${at}`, DISK_FAULTS_COUNT: `${count}` };
}

/** What the lines of cache-writer.ts leave promised. */
function keptOf(stdout: string, before: Iterable<number>): ReadonlySet<number> {
  const kept = new Set(before);
  for (const line of stdout.split('\n')) {
    const [what, pieceIndex] = line.split(' ');
    if (what === 'kept') kept.add(Number(pieceIndex));
    if (what === 'lost') kept.delete(Number(pieceIndex));
    if (what === 'discarded') kept.clear();
  }
  return kept;
}
