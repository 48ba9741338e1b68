/**
 * Keeps verified pieces in a cache file (copy-on-read) such that `have` never lies: not after kill -9, a power cut, a full
 * disk, a failed flush or bit rot. This file orders the reads, writes and flushes; what is to be trusted is piece-ledger.ts,
 * the formats are commit-slots.ts and have-log.ts. Whoever opens a store holds the lock of its CacheDirectory.
 */
import { join } from 'node:path';
import { assert, type Bitfield, type BufferPool, copyBytes, errnoOf } from '@bootswarm/stdx';
import { CacheFiles, cacheUnusable } from './cache-files.ts';
import {
  type CacheStoreOptions,
  type CacheStoreStats,
  type SetTimer,
  setUnrefTimer,
} from './cache-store-options.ts';
import { HotPieces } from './hot-pieces.ts';
import { nodeDisk } from './node-disk.ts';
import { pieceBuffersOf } from './piece-buffers.ts';
import { PieceLedger } from './piece-ledger.ts';
import { PieceShape } from './piece-shape.ts';
import type { PieceStore } from './piece-store.ts';
import { PieceVerifier } from './piece-verifier.ts';
import { PieceWriter } from './piece-writer.ts';
import { PiecesAtHand } from './pieces-at-hand.ts';
import { Scrub } from './scrub.ts';
import { probeSpace } from './space-probe.ts';
import type { LostReason, OnStoreEvent } from './store-event.ts';
import type { StoreDisk } from './store-file.ts';

const MIB = 1024 * 1024;

export class CachePieceStore implements PieceStore {
  readonly pieceCount: number;
  readonly have: Bitfield;
  readonly buffers: BufferPool;
  readonly #options: CacheStoreOptions;
  readonly #onEvent: OnStoreEvent;
  readonly #disk: StoreDisk;
  readonly #setTimer: SetTimer;
  readonly #shape: PieceShape;
  readonly #files: CacheFiles;
  readonly #ledger: PieceLedger;
  readonly #hot: HotPieces;
  readonly #verifier: PieceVerifier;
  readonly #writer: PieceWriter;
  readonly #atHand: PiecesAtHand;
  readonly #scrub: Scrub;
  /** Whether the cache may grow: otherwise what comes is kept in memory only. */
  isKeeping = true;
  #mode: 'normal' | 'memory-only' = 'normal';
  #bytesSinceCommit = 0;
  #commitRunning: Promise<void> = Promise.resolve();
  #commitNext: Promise<void> | undefined;
  #cancelCommitTimer: (() => void) | undefined;
  #cancelProbeTimer: (() => void) | undefined;
  #probing: Promise<void> = Promise.resolve();
  #closing: Promise<void> | undefined;

  /**
   * Opens or creates the cache of one image and takes up what its records claim; claims that cannot be believed are
   * discarded with a cache-discarded event. Throws OperatorError `cache-unusable` when the files cannot be opened.
   */
  static async open(options: CacheStoreOptions): Promise<CachePieceStore> {
    const { directory, metainfo, disk = nodeDisk } = options;
    let files: CacheFiles | undefined;
    try {
      files = await CacheFiles.open(disk, directory, metainfo);
      const store = new CachePieceStore(options, disk, files);
      await files.restore(store.#ledger, store.#shape, options.onEvent);
      await store.#start();
      return store;
    } catch (error) {
      await files?.close().catch(() => undefined); // The first error says more.
      if (errnoOf(error) === undefined) throw error;
      throw cacheUnusable(directory, error);
    }
  }

  private constructor(options: CacheStoreOptions, disk: StoreDisk, files: CacheFiles) {
    const { metainfo, layer } = options;
    assert(layer.pieceCount === metainfo.pieceCount, 'layer and metainfo disagree');
    this.#options = options;
    this.#onEvent = options.onEvent;
    this.#disk = disk;
    this.#setTimer = options.setTimer ?? setUnrefTimer;
    this.#shape = new PieceShape(metainfo);
    this.#files = files;
    this.#ledger = PieceLedger.of(layer);
    this.buffers = pieceBuffersOf(metainfo.pieceLength);
    this.#hot = new HotPieces(options.hotBytesMax ?? 64 * MIB, (pieceIndex, piece) => {
      if (!this.#writer.uses(pieceIndex, piece)) this.buffers.give(piece);
    });
    this.#verifier = new PieceVerifier(files.data, this.#shape, layer);
    this.#scrub = new Scrub({
      disk,
      path: join(options.directory, 'cache.raw'),
      cached: files.data,
      shape: this.#shape,
      layer,
      ledger: this.#ledger,
      onUnusable: (pieceIndex, reason, error) => this.#lose(pieceIndex, reason, error),
    });
    this.#writer = new PieceWriter(files.data, files.log, this.#shape, {
      onBatch: () => this.#lookForForeignWrites(),
      generation: () => this.#ledger.nextGeneration,
      onBatchOver: () => this.#files.watch.settle(),
      onWritten: (pieceIndexes) => this.#recordWritten(pieceIndexes),
      onDone: (pieceIndex, bytes) => {
        if (!this.#hot.holds(pieceIndex, bytes)) this.buffers.give(bytes);
      },
      onFailed: (pieceIndexes, error) => this.#writeFailed(pieceIndexes, error),
    });
    this.#atHand = new PiecesAtHand({
      shape: this.#shape,
      ledger: this.#ledger,
      writer: this.#writer,
      hot: this.#hot,
      data: files.data,
    });
    this.pieceCount = metainfo.pieceCount;
    this.have = this.#ledger.have;
  }

  get stats(): CacheStoreStats {
    return {
      storedBytes: this.#ledger.storedBytes(this.#shape),
      hotBytes: this.#hot.bytes,
      queueBytes: this.#writer.queueBytes,
      generation: this.#files.slots.generation,
      mode: this.#mode,
      scrub: this.#scrub.stats,
    };
  }

  get isLate(): boolean {
    return this.#files.data.isLate;
  }

  /** The disk is far behind: until it has caught up, pieces are kept in memory only. */
  get isQueueFull(): boolean {
    return this.#writer.queueBytes >= (this.#options.queueBytesMax ?? 64 * MIB);
  }

  /** Whether pieces that come now will be kept, unless the disk is far behind. */
  get canKeep(): boolean {
    return this.isKeeping && this.#mode === 'normal';
  }

  readNow(pieceIndex: number, offset: number, target: Uint8Array): boolean {
    this.#shape.assertFrom(pieceIndex, offset, target.length);
    return this.#closing === undefined && this.#atHand.read(pieceIndex, offset, target);
  }

  async read(pieceIndex: number, offset: number, target: Uint8Array): Promise<boolean> {
    this.#shape.assertWithin(pieceIndex, offset, target.length);
    for (;;) {
      if (this.readNow(pieceIndex, offset, target)) return true;
      if (this.#closing !== undefined || !this.have.has(pieceIndex)) return false;
      // Trusted, and yet readNow() could not read it: it has to prove itself again.
      if (this.#ledger.isTrusted(pieceIndex)) this.#ledger.doubt(pieceIndex);
      const piece = await this.#verify(pieceIndex);
      if (piece === undefined) continue; // Dropped, or written again meanwhile.
      this.#hot.insert(pieceIndex, piece, false);
      copyBytes(piece, offset, offset + target.length, target, 0);
      return true;
    }
  }

  async write(pieceIndex: number, piece: Uint8Array, isPrefetch: boolean): Promise<boolean> {
    this.#shape.assertWithin(pieceIndex, 0, piece.length);
    assert(piece.length === this.#shape.bytesOf(pieceIndex), `piece ${pieceIndex} is not whole`);
    if (this.#closing !== undefined) return false;
    if (this.#ledger.isZero(pieceIndex)) return true;
    this.#hot.insert(pieceIndex, piece, isPrefetch);
    if (this.have.has(pieceIndex)) return true;
    // A damaged piece that is mended makes no cache grow, and a VM may read its place in the file without us.
    const isMending = this.#mode === 'normal' && this.#ledger.isDamaged(pieceIndex);
    if ((!this.canKeep && !isMending) || this.isQueueFull) return false;
    return this.#writer.add(pieceIndex, piece);
  }

  /** Never rejects: a failure is a commit-failed event. A commit asked for while one is running starts after it. */
  commit(): Promise<void> {
    this.#commitNext ??= this.#commitRunning.then(() => {
      this.#commitNext = undefined;
      this.#commitRunning = this.#commitOnce();
      return this.#commitRunning;
    });
    return this.#commitNext;
  }

  /**
   * Reads the next durable piece from the disk and drops it if it is not what it was, with a piece-lost event. Resolves to the
   * bytes it read; 0 at the end of a pass, and the next call begins another. One call at a time.
   */
  async scrubNext(): Promise<number> {
    return this.#closing === undefined ? this.#scrub.next() : 0;
  }

  /** Its place in the file was seen to hold other bytes. Zeros are written there again; any other piece has to prove itself. */
  async recheck(pieceIndex: number): Promise<void> {
    this.#lookForForeignWrites();
    if (this.#ledger.isZero(pieceIndex)) return this.#files.writeZeros(this.#shape, pieceIndex);
    this.#ledger.doubt(pieceIndex);
    if (this.#ledger.isClaimed(pieceIndex)) await this.#verify(pieceIndex);
  }

  /** To be called now and then: if somebody else has written to the cache file, every piece is verified again. */
  noticeForeignWrites(): void {
    if (this.#closing === undefined && !this.#writer.isWriting) this.#lookForForeignWrites();
  }

  /**
   * Forgets all pieces, durably, and then has their space given back by `punch`. Resolves to whether that was done; rejects as
   * `punch` does. Afterwards `isKeeping` is false: the owner says when the cache may grow again.
   */
  async evictPieces(punch: (path: string) => Promise<void>): Promise<boolean> {
    this.isKeeping = false;
    await this.#writer.idle();
    this.#onEvent({ type: 'pieces-evicted', pieceIndexes: this.#ledger.dropStored() });
    await this.commit();
    // A failed commit leaves bits that vouch for them; a piece may have come back as the log was being replayed.
    if (this.#ledger.needsCommit || this.#ledger.storedCount > 0) return false;
    const { watch } = this.#files;
    watch.suspend();
    await punch(join(this.#options.directory, 'cache.raw')).finally(() => watch.settle());
    return true;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#cancelProbeTimer?.();
    this.#cancelCommitTimer?.();
    await this.#probing;
    await this.#writer.idle();
    await this.commit();
    await this.#verifier.idle();
    await this.#scrub.close();
    this.#hot.clear();
    await this.#files.close();
  }

  async #start(): Promise<void> {
    try {
      await this.#files.slots.reserve();
    } catch (error) {
      this.#writeFailed([], error);
    }
    this.#armCommitTimer();
  }

  // --- verifying -------------------------------------------------------------------------------------------------------

  /** The bytes of a claimed piece, or undefined when they are not its bytes. */
  async #verify(pieceIndex: number): Promise<Uint8Array | undefined> {
    const result = await this.#verifier.verify(pieceIndex);
    if (result.type === 'verified') {
      this.#ledger.confirm(pieceIndex);
      return result.bytes;
    }
    // Another reader may have had it dropped by now, and it may even have been written again.
    if (this.#ledger.isClaimed(pieceIndex)) this.#lose(pieceIndex, result.reason, result.error);
    return undefined;
  }

  #lookForForeignWrites(): void {
    if (!this.#files.watch.isChanged()) return;
    this.#ledger.doubtAll();
    this.#scrub.restart();
    this.#onEvent({ type: 'cache-changed' });
  }

  #lose(pieceIndex: number, reason: LostReason, error?: unknown): void {
    this.#ledger.dropDamaged(pieceIndex);
    this.#onEvent({ type: 'piece-lost', pieceIndex, reason, error });
    this.#armCommitTimer();
  }

  // --- writing and committing ------------------------------------------------------------------------------------------

  #recordWritten(pieceIndexes: readonly number[]): void {
    for (const pieceIndex of pieceIndexes) {
      this.#ledger.recordWritten(pieceIndex);
      this.#bytesSinceCommit += this.#shape.bytesOf(pieceIndex);
    }
    if (this.#bytesSinceCommit >= (this.#options.commitBytesMax ?? 64 * MIB)) void this.commit();
    this.#armCommitTimer();
  }

  #armCommitTimer(): void {
    if (this.#closing !== undefined || this.#cancelCommitTimer !== undefined) return;
    if (!this.#wantsCommit()) return;
    this.#cancelCommitTimer = this.#setTimer(() => {
      this.#cancelCommitTimer = undefined;
      void this.commit();
    }, this.#options.commitIntervalMs ?? 1000);
  }

  async #commitOnce(): Promise<void> {
    await this.#rewriteReplayed();
    // A newer generation would make the log's claims on pieces not written again look settled.
    if (this.#ledger.replayed.length > 0) return this.#armCommitTimer();
    // Between two batches every piece written is also in the log under the generation of this commit.
    await this.#writer.pause();
    const ticket = this.#wantsCommit() ? this.#ledger.beginCommit() : undefined;
    this.#bytesSinceCommit = 0;
    this.#writer.resume();
    if (ticket === undefined) return;
    try {
      await this.#files.data.datasync();
    } catch (error) {
      return this.#loseUncommitted('data', error);
    }
    const bits = this.#ledger.bitsOf(ticket);
    try {
      await this.#files.slots.write(bits, ticket.generation);
    } catch (error) {
      return this.#loseUncommitted('bits', error);
    }
    this.#ledger.endCommit(ticket, bits);
    await this.#files.log.empty(ticket.generation);
    this.#armCommitTimer();
  }

  /** Without a disk only what is already in the file can still be committed, and a stale bit may stay: it is checked. */
  #wantsCommit(): boolean {
    return this.#mode === 'normal' ? this.#ledger.needsCommit : this.#ledger.dirtyCount > 0;
  }

  /**
   * Pieces claimed by the log of a killed process may be in the page cache only, and marked clean after a write-back that
   * failed: a flush would then vouch for bytes the disk does not have. Written again, they are dirty in the kernel too.
   */
  async #rewriteReplayed(): Promise<void> {
    for (const pieceIndex of this.#ledger.replayed) {
      if (this.#mode === 'memory-only') return;
      const piece = await this.#verify(pieceIndex);
      if (piece !== undefined && this.#ledger.isReplayed(pieceIndex)) {
        await this.#writer.add(pieceIndex, piece);
      }
    }
  }

  /** After a failed flush the kernel may have dropped any page and call it clean: a second flush would prove nothing. */
  async #loseUncommitted(step: 'data' | 'bits', error: unknown): Promise<void> {
    const lost = this.#ledger.failCommit();
    this.#onEvent({ type: 'commit-failed', step, lostCount: lost.length, error });
    for (const pieceIndex of lost) {
      this.#onEvent({ type: 'piece-lost', pieceIndex, reason: 'commit-failed', error });
    }
    this.#stopCaching();
    await this.#writer.pause();
    await this.#files.log.reset();
    this.#writer.resume();
  }

  // --- without a disk --------------------------------------------------------------------------------------------------

  #writeFailed(pieceIndexes: readonly number[], error: unknown): void {
    const isFull = ['ENOSPC', 'EDQUOT'].includes(errnoOf(error) ?? '');
    // First, so that the owner who hears of it finds that nothing can be kept.
    this.#stopCaching();
    if (isFull) this.#onEvent({ type: 'disk-full', error });
    else this.#onEvent({ type: 'write-failed', pieceIndexes, error });
  }

  #stopCaching(): void {
    this.#mode = 'memory-only';
    this.#writer.abandon();
    if (this.#closing !== undefined || this.#cancelProbeTimer !== undefined) return;
    this.#cancelProbeTimer = this.#setTimer(() => {
      this.#probing = this.#probe();
    }, this.#options.probeIntervalMs ?? 3000);
  }

  async #probe(): Promise<void> {
    const path = join(this.#options.directory, 'probe.tmp');
    const { slots } = this.#files;
    const bytes = this.#shape.pieceLength;
    const canWrite = await probeSpace(this.#disk, path, bytes, () => slots.reserve());
    this.#cancelProbeTimer = undefined;
    if (!canWrite) {
      this.#stopCaching();
      return;
    }
    this.#mode = 'normal';
    this.#onEvent({ type: 'caching-resumed' });
    this.#armCommitTimer();
  }
}
