/**
 * Guest reads of one image: bytes at hand are given at once, the rest is demanded from the swarm and waited for. Counts where the
 * bytes came from, per guest, and which pieces guests touched.
 */
import { assert, Bitfield } from '@bootswarm/stdx';
import type { FirstTouches, TouchBudget } from '@bootswarm/swarm-proto';
import { BootRecorder, type BootTouches } from './boot-recorder.ts';
import { watchDisk } from './late-disk.ts';
import type { PendingRead, ReadPart } from './pending-reads.ts';
import type { ReadBytes } from './read-bytes.ts';
import type { SwarmDriver } from './swarm-driver.ts';

export class ImageReader {
  readonly driver: SwarmDriver;
  /** Distinct pieces that guests read, all-zero pieces left out. */
  readonly touched: Bitfield;
  /** What each guest touched first, and what is fetched because of it. */
  readonly boots: BootRecorder;
  readonly #prefetched: Bitfield;

  /** `onTouched`: what the tracker is to be told of boots, within a `budget` that images may share. */
  constructor(
    driver: SwarmDriver,
    onTouched: (touches: BootTouches) => void = () => {},
    budget?: TouchBudget,
  ) {
    this.driver = driver;
    this.touched = new Bitfield(driver.metainfo.pieceCount);
    this.#prefetched = new Bitfield(driver.metainfo.pieceCount);
    this.boots = new BootRecorder(driver, onTouched, budget);
  }

  get length(): number {
    return this.driver.metainfo.length;
  }

  /** Bytes of the pieces in `touched`. */
  get bytesTouched(): number {
    const { pieceCount, pieceLength, length } = this.driver.metainfo;
    const last = pieceCount - 1;
    const shortBy = pieceCount * pieceLength - length;
    return this.touched.count * pieceLength - (this.touched.has(last) ? shortBy : 0);
  }

  /** A reader whose bytes are added to `counted`: one per connection, each of which is a boot; to be closed. */
  guest(counted: ReadBytes): GuestReader {
    return new GuestReader(this, counted);
  }

  /** A reader that copies the image: it is no boot, and teaches nobody in which order VMs read. */
  copier(counted: ReadBytes): GuestReader {
    return new GuestReader(this, counted, 'copy');
  }

  /** Asks once for each missing piece of the range, behind all demand. */
  prefetch(offset: number, length: number): void {
    const { pieceLength } = this.driver.metainfo;
    const wanted: number[] = [];
    const end = Math.ceil((offset + length) / pieceLength);
    for (let index = Math.floor(offset / pieceLength); index < end; index += 1) {
      if (this.#prefetched.set(index) && !this.driver.store.have.has(index)) wanted.push(index);
    }
    if (wanted.length > 0) this.driver.handle({ type: 'prefetch', pieceIndexes: wanted });
  }

  /** The store lost a piece: it may be prefetched again. */
  pieceLost(pieceIndex: number): void {
    this.#prefetched.clear(pieceIndex);
    this.driver.pieceLost(pieceIndex);
  }
}

export class GuestReader {
  readonly #image: ImageReader;
  readonly #driver: SwarmDriver;
  readonly #counted: ReadBytes;
  readonly #boot: FirstTouches | undefined;

  constructor(image: ImageReader, counted: ReadBytes, purpose: 'boot' | 'copy' = 'boot') {
    this.#image = image;
    this.#driver = image.driver;
    this.#counted = counted;
    this.#boot = purpose === 'boot' ? image.boots.open() : undefined;
  }

  /** The guest is gone. */
  close(): void {
    if (this.#boot !== undefined) this.#image.boots.end(this.#boot);
  }

  /** Fills `target` from verified bytes at hand; false, with `target` undefined, if any byte needs the swarm or the disk. */
  readNow(offset: number, target: Uint8Array): boolean {
    if (!this.readAhead(offset, target)) return false;
    this.took(offset, target.length);
    return true;
  }

  /** As readNow(), for a read that has not come: when it does, and these bytes are given, took() is to be called. */
  readAhead(offset: number, target: Uint8Array): boolean {
    const { store, metainfo } = this.#driver;
    const pieceIndex = Math.floor(offset / metainfo.pieceLength);
    return store.readNow(pieceIndex, offset - pieceIndex * metainfo.pieceLength, target);
  }

  /** Counts a read that readAhead() has filled. */
  took(offset: number, length: number): void {
    const { layer, metainfo } = this.#driver;
    const { pieceLength } = metainfo;
    const end = offset + length;
    for (let at = offset; at < end; ) {
      const pieceIndex = Math.floor(at / pieceLength);
      const next = Math.min(end, (pieceIndex + 1) * pieceLength);
      if (layer.isZero(pieceIndex)) this.#counted.zero += next - at;
      else {
        this.#counted.cache += next - at;
        this.#touch(pieceIndex);
      }
      at = next;
    }
  }

  /** Fills `target` and calls `done` once, however long it takes: a read without a source waits. */
  read(offset: number, target: Uint8Array, done: () => void): { cancel(): void } {
    const { pieceLength, length } = this.#driver.metainfo;
    assert(offset >= 0 && offset + target.length <= length, `read at ${offset} past the end`);
    const first = Math.floor(offset / pieceLength);
    const partCount = Math.floor((offset + target.length - 1) / pieceLength) - first + 1;
    const read: PendingRead = {
      target,
      done,
      counted: this.#counted,
      startedAt: performance.now(),
      partsMissing: partCount,
      isCancelled: false,
    };
    this.#driver.pending.open(read);
    for (let targetOffset = 0; targetOffset < target.length; ) {
      const pieceIndex = Math.floor((offset + targetOffset) / pieceLength);
      const within = offset + targetOffset - pieceIndex * pieceLength;
      const partLength = Math.min(target.length - targetOffset, pieceLength - within);
      this.#readPart({ read, pieceIndex, offset: within, length: partLength, targetOffset });
      targetOffset += partLength;
    }
    return { cancel: () => this.#cancel(read) };
  }

  prefetch(offset: number, length: number): void {
    this.#image.prefetch(offset, length);
  }

  #touch(pieceIndex: number): void {
    this.#image.touched.set(pieceIndex);
    const boot = this.#boot;
    if (boot?.isNew(pieceIndex)) this.#image.boots.touch(boot, pieceIndex);
  }

  #readPart(part: ReadPart): void {
    const { layer, store, pending } = this.#driver;
    const target = part.read.target.subarray(part.targetOffset, part.targetOffset + part.length);
    if (layer.isZero(part.pieceIndex)) return pending.fill(part, target.fill(0), 'zero');
    this.#touch(part.pieceIndex);
    if (store.readNow(part.pieceIndex, part.offset, target)) {
      pending.fill(part, target, 'cache');
    } else if (store.have.has(part.pieceIndex)) {
      this.#readStored(part);
    } else {
      this.#demand(part);
    }
  }

  /**
   * From the disk, verified on its first use, or from the swarm if the disk is late. Into a buffer of its own: the target may be
   * gone when it arrives.
   */
  #readStored(part: ReadPart): void {
    const bytes = Buffer.allocUnsafe(part.length);
    const { store } = this.#driver;
    const late = watchDisk(
      () => store.isLate === true,
      () => {
        if (!part.read.isCancelled) this.#demandStored(part);
      },
    );
    store.read(part.pieceIndex, part.offset, bytes).then(
      (isHeld) => {
        const wasLate = late.over();
        if (isHeld) this.#giveStored(part, bytes, wasLate);
        else this.#missStored(part, wasLate);
      },
      // The disk failed this read; the swarm has the piece still.
      () => this.#missStored(part, late.over()),
    );
  }

  #giveStored(part: ReadPart, bytes: Uint8Array, wasLate: boolean): void {
    const { pending } = this.#driver;
    if (!wasLate) return pending.fill(part, bytes, 'cache');
    if (!pending.settle(part)) return;
    if (!pending.isWaitedFor(part.pieceIndex)) {
      this.#driver.handle({ type: 'demand-over', pieceIndex: part.pieceIndex });
      // The engine was told that we have not got it: what comes of this tells it otherwise.
      this.#driver.handle({ type: 'prefetch', pieceIndexes: [part.pieceIndex] });
    }
    pending.fill(part, bytes, 'cache');
  }

  #missStored(part: ReadPart, wasLate: boolean): void {
    this.#image.pieceLost(part.pieceIndex);
    if (!part.read.isCancelled && !wasLate) this.#demand(part);
  }

  /** The engine asks for nothing that it believes we have. */
  #demandStored(part: ReadPart): void {
    this.#driver.pieceLost(part.pieceIndex);
    this.#demand(part);
  }

  #demand(part: ReadPart): void {
    this.#driver.pending.wait(part);
    this.#driver.handle({ type: 'demand', pieceIndex: part.pieceIndex });
  }

  #cancel(read: PendingRead): void {
    for (const pieceIndex of this.#driver.pending.cancel(read)) {
      this.#driver.handle({ type: 'demand-over', pieceIndex });
    }
  }
}
