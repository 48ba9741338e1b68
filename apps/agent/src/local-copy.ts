/**
 * Says when the cache file of an image may be read by others than the agent, who check no hash: it is complete, flushed, and
 * every piece of it, zeros included, was read back and is what was signed. From then on the agent writes to it only what is there
 * already, and who lets a VM read it sees to it that it stays. Knows no VM.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { Metainfo, PieceLayer } from '@bootswarm/metainfo';
import { type CachePieceStore, PieceChecks } from '@bootswarm/piece-store';
import { messageOf, OperatorError, readWhole } from '@bootswarm/stdx';

export interface LocalCopyOptions {
  /** Absolute path of cache.raw. */
  readonly path: string;
  readonly metainfo: Metainfo;
  readonly layer: PieceLayer;
  readonly store: CachePieceStore;
  /** The cache is to be scrubbed: what is damaged is dropped, and fetched again. */
  readonly onDamaged: () => void;
}

/** 128 MiB/s, of a disk and a core that guests use too: 10 GiB in some 80 s. */
const READ_BACK_BYTES_PER_MS = (128 * 1024 * 1024) / 1_000;
/** Shorter pauses are saved up. */
const PAUSE_MS_MIN = 20;

export class LocalCopy {
  readonly #options: LocalCopyOptions;
  #isVerified = false;
  #verifying: Promise<void> | undefined;
  /** Pieces that the store found damaged or could not keep. */
  #losses = 0;
  #isClosed = false;

  constructor(options: LocalCopyOptions) {
    this.#options = options;
  }

  get path(): string {
    return this.#options.path;
  }

  /** All pieces are held. That they are what they were is for verified() to find out. */
  get isComplete(): boolean {
    const { store } = this.#options;
    return store.have.count === store.pieceCount;
  }

  get isVerified(): boolean {
    return this.#isVerified;
  }

  /**
   * Resolves to the path of the file. Reads all of it the first time, a piece at a time, so that guests are served in between.
   * Throws OperatorError `image-incomplete`, `image-damaged`, `cache-unusable` or `agent-stopping`.
   */
  async verified(): Promise<string> {
    if (!this.#isVerified) {
      this.#verifying ??= this.#verify().finally(() => {
        this.#verifying = undefined;
      });
      await this.#verifying;
    }
    return this.path;
  }

  /** The store has lost a piece: the file has to be read again when that is back. */
  pieceLost(): void {
    this.#isVerified = false;
    this.#losses += 1;
  }

  /** The store must not be closed before. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#verifying?.catch(() => {});
  }

  async #verify(): Promise<void> {
    const { store, path } = this.#options;
    const losses = this.#losses;
    this.#requireComplete();
    await store.commit();
    this.#requireComplete();
    try {
      await using file = await open(path);
      // The store has flushed what it wrote; what it found here when it was opened may be in the page cache only.
      await file.datasync();
      await this.#readBack(file);
    } catch (error) {
      if (error instanceof OperatorError) throw error;
      throw new OperatorError(
        'cache-unusable',
        `cannot read ${path}: ${messageOf(error)}`,
        'Check the disk of the cache.',
        { cause: error },
      );
    }
    this.#requireComplete();
    this.#isVerified = losses === this.#losses;
    if (!this.#isVerified) throw this.#incomplete();
  }

  async #readBack(file: FileHandle): Promise<void> {
    const { metainfo, layer, store } = this.#options;
    const checks = new PieceChecks(layer, metainfo.pieceLength);
    const { length, pieceLength, pieceCount } = metainfo;
    const startedAt = performance.now();
    const buffer = store.buffers.take();
    const zeros = Buffer.alloc(pieceLength);
    for (let pieceIndex = 0; pieceIndex < pieceCount; pieceIndex += 1) {
      if (this.#isClosed) throw stopping();
      const offset = pieceIndex * pieceLength;
      const piece = buffer.subarray(0, Math.min(pieceLength, length - offset));
      const isWhole = await readWhole(file, piece, offset);
      const isRight = layer.isZero(pieceIndex)
        ? zeros.compare(piece, 0, piece.length, 0, piece.length) === 0
        : await new Promise((resolve) => checks.check(pieceIndex, piece, resolve));
      if (!isWhole || !isRight) throw await this.#damaged(pieceIndex);
      const aheadMs = offset / READ_BACK_BYTES_PER_MS - (performance.now() - startedAt);
      if (aheadMs > PAUSE_MS_MIN) await delay(aheadMs);
    }
    store.buffers.give(buffer);
  }

  #requireComplete(): void {
    const { store } = this.#options;
    if (this.#isClosed) throw stopping();
    // In memory-only mode some of what is held may not have been flushed.
    if (!this.isComplete || store.stats.mode !== 'normal') throw this.#incomplete();
  }

  #incomplete(): OperatorError {
    const { store, metainfo } = this.#options;
    const isAll = this.isComplete;
    return new OperatorError(
      'image-incomplete',
      isAll
        ? `not all of image ${metainfo.name} is safely on this node's disk`
        : `this node has ${store.have.count} of the ${store.pieceCount} pieces of image ${metainfo.name}`,
      isAll
        ? 'See the log of the agent for what is wrong with the disk.'
        : 'Wait until it has all of them (bootswarm status); an agent with --fill always fetches them at once.',
    );
  }

  async #damaged(pieceIndex: number): Promise<OperatorError> {
    const { store, metainfo, path } = this.#options;
    // Zeros are there again after this; what is lost the session fetches again.
    await store.recheck(pieceIndex);
    this.#options.onDamaged();
    return new OperatorError(
      'image-damaged',
      `piece ${pieceIndex} of image ${metainfo.name} is not in ${path} as it was published`,
      'The agent mends it and tries again; look for who else writes there, and after the disk.',
    );
  }
}

function stopping(): OperatorError {
  return new OperatorError('agent-stopping', 'The agent is stopping', 'Start it again first.');
}
