/** Opens the four files of one image's cache and finds out what their records claim, without believing a byte of data. */
import { join } from 'node:path';
import { type Bitfield, messageOf, OperatorError } from '@bootswarm/stdx';
import { CommitSlots, type SlotImage } from './commit-slots.ts';
import { FileWatch } from './file-watch.ts';
import { HaveLog } from './have-log.ts';
import type { PieceLedger } from './piece-ledger.ts';
import type { PieceShape } from './piece-shape.ts';
import type { DiscardReason, OnStoreEvent } from './store-event.ts';
import { type StoreDisk, type StoreFile, writeWhole } from './store-file.ts';
import { TimedFile } from './timed-file.ts';

export class CacheFiles {
  /** cache.raw: the image itself, sparse. */
  readonly data: TimedFile;
  /** Who else writes to it. */
  readonly watch: FileWatch;
  /** have.bits */
  readonly slots: CommitSlots;
  /** have.log.0 and have.log.1 */
  readonly log: HaveLog;
  readonly #all: readonly StoreFile[];

  static async open(disk: StoreDisk, directory: string, image: SlotImage): Promise<CacheFiles> {
    const opened: StoreFile[] = [];
    try {
      for (const name of ['cache.raw', 'have.bits', 'have.log.0', 'have.log.1']) {
        opened.push(await disk.open(join(directory, name), 'read-write'));
      }
      // The names last at least as long as any bit that will vouch for what is in the files.
      await disk.syncDirectory(directory);
    } catch (error) {
      await Promise.allSettled(opened.map((file) => file.close()));
      throw error;
    }
    return new CacheFiles(opened, image);
  }

  private constructor(opened: readonly StoreFile[], image: SlotImage) {
    this.#all = opened;
    this.data = new TimedFile(opened[0]);
    this.watch = new FileWatch(this.data);
    this.slots = new CommitSlots(opened[1], image);
    this.log = new HaveLog([opened[2], opened[3]], image);
  }

  /** Fills the ledger and gives the cache file its full length. Throws what the disk throws. */
  async restore(ledger: PieceLedger, shape: PieceShape, onEvent: OnStoreEvent): Promise<void> {
    const { bits, discarded } = await this.slots.load();
    if (discarded !== undefined) discard(onEvent, discarded, 0);
    const logged = await this.#loadLog(discarded, onEvent);
    const { size } = this.data.identity();
    const isWithinFile = (pieceIndex: number) => shape.endOf(pieceIndex) <= size;
    await this.#forgetUnless(isWithinFile, bits, onEvent);
    const generationMax = Math.max(this.slots.generation, logged.generationMax);
    ledger.restore(bits, logged.pieceIndexes.filter(isWithinFile), generationMax);
    // Only ever longer: a virtual machine may by now read this file without us.
    if (size < shape.length) await this.data.truncate(shape.length);
    this.watch.settle();
  }

  /** Over whatever is where a zero piece lies. Throws what the disk throws. */
  async writeZeros(shape: PieceShape, pieceIndex: number): Promise<void> {
    const zeros = new Uint8Array(shape.bytesOf(pieceIndex));
    this.watch.suspend();
    await writeWhole(this.data, zeros, shape.offsetOf(pieceIndex)).finally(() => {
      this.watch.settle();
    });
  }

  /** Closes all of them even when one fails, and then throws that failure. */
  async close(): Promise<void> {
    const results = await Promise.allSettled(this.#all.map((file) => file.close()));
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  async #loadLog(discarded: DiscardReason | undefined, onEvent: OnStoreEvent) {
    try {
      const logged = await this.log.load(this.slots.generation);
      // With damaged bits the log still knows the last pieces; with foreign ones it is foreign too.
      if (discarded === undefined || discarded === 'damaged') return logged;
      await this.log.reset();
    } catch {
      discard(onEvent, 'unreadable-log', 0);
    }
    return { pieceIndexes: [], generationMax: 0 };
  }

  /** cache.raw was removed or truncated: clears the bits beyond its end on disk, before the file grows over them. */
  async #forgetUnless(
    isWithinFile: (pieceIndex: number) => boolean,
    bits: Bitfield,
    onEvent: OnStoreEvent,
  ): Promise<void> {
    const claimed = bits.count;
    for (let index = bits.nextSet(0); index !== -1; index = bits.nextSet(index + 1)) {
      if (!isWithinFile(index)) bits.clear(index);
    }
    if (bits.count === claimed) return;
    await this.slots.write(bits, this.slots.generation + 1);
    discard(onEvent, 'cache-file-short', claimed - bits.count);
  }
}

export function cacheUnusable(directory: string, error: unknown): OperatorError {
  const what = `cannot use the cache in ${directory}: ${messageOf(error)}`;
  const hint = 'Check that the directory belongs to the agent and that its disk works.';
  return new OperatorError('cache-unusable', what, hint, { cause: error });
}

function discard(onEvent: OnStoreEvent, reason: DiscardReason, pieceCount: number): void {
  onEvent({ type: 'cache-discarded', reason, pieceCount });
}
