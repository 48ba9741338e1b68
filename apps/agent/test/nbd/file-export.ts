/**
 * An image file as an export, and the image to fill it with. Reads of a range that hold() names wait for release(), as reads of
 * pieces do that the swarm has yet to bring; `isSlow` makes every read wait for one turn of the event loop.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import type { ExportBinding, ExportDirectory, ExportSource } from '../../src/nbd/export-source.ts';

export const PIECE_LENGTH = 65_536;

/** `pieceCount` pieces and `tailLength` bytes, every third piece zero; deterministic, and no two pieces alike. */
export function imageBytes(pieceCount: number, tailLength: number): Buffer {
  const image = Buffer.alloc(pieceCount * PIECE_LENGTH + tailLength);
  for (let offset = 0; offset + 4 <= image.length; offset += 4) {
    const isZero = Math.floor(offset / PIECE_LENGTH) % 3 === 2;
    if (!isZero) image.writeUInt32LE(Math.imul(offset + 1, 2_654_435_761) >>> 0, offset);
  }
  return image;
}

interface HeldRange {
  readonly start: number;
  readonly end: number;
}

interface WaitingRead {
  readonly offset: number;
  readonly target: Uint8Array;
  readonly done: () => void;
}

export class FileExport implements ExportBinding {
  readonly name: string;
  readonly description = 'a file';
  readonly preferredBlockLength = PIECE_LENGTH;
  readonly length: number;
  readonly prefetched: (readonly [offset: number, length: number])[] = [];
  readonly waiting = new Set<WaitingRead>();
  isSlow = false;
  openCount = 0;
  /** Called after each change of `waiting`. */
  onWaiting: () => void = () => {};
  readonly #fd: number;
  readonly #isZeroPiece: boolean[];
  #held: HeldRange | undefined;

  constructor(name: string, path: string, image: Buffer) {
    this.name = name;
    this.length = image.length;
    this.#fd = openSync(path, 'r');
    const pieceCount = Math.ceil(image.length / PIECE_LENGTH);
    this.#isZeroPiece = Array.from({ length: pieceCount }, (_, index) =>
      isZero(image.subarray(index * PIECE_LENGTH, (index + 1) * PIECE_LENGTH)),
    );
  }

  isZeroAt(offset: number): boolean {
    return this.#isZeroPiece[Math.floor(offset / PIECE_LENGTH)];
  }

  extentEnd(offset: number, limit: number): number {
    let end = (Math.floor(offset / PIECE_LENGTH) + 1) * PIECE_LENGTH;
    while (end < limit && this.isZeroAt(end) === this.isZeroAt(offset)) end += PIECE_LENGTH;
    return Math.min(end, limit);
  }

  open(): ExportSource {
    this.openCount++;
    return {
      readNow: (offset, target) => this.#readNow(offset, target),
      read: (offset, target, done) => this.#read({ offset, target, done }),
      prefetch: (offset, length) => void this.prefetched.push([offset, length]),
      close: () => void this.openCount--,
    };
  }

  /** Reads that touch the range wait from now on. */
  hold(start: number, end: number): void {
    this.#held = { start, end };
  }

  release(): void {
    this.#held = undefined;
    for (const read of this.waiting) this.#finish(read);
  }

  destroy(): void {
    closeSync(this.#fd);
  }

  #readNow(offset: number, target: Uint8Array): boolean {
    if (this.isSlow || this.#isHeld(offset, target.length)) return false;
    this.#fill(offset, target);
    return true;
  }

  #read(read: WaitingRead): { cancel(): void } {
    this.waiting.add(read);
    this.onWaiting();
    if (!this.#isHeld(read.offset, read.target.length)) setImmediate(() => this.#finish(read));
    return {
      cancel: () => {
        this.waiting.delete(read);
        this.onWaiting();
      },
    };
  }

  #finish(read: WaitingRead): void {
    if (!this.waiting.delete(read)) return;
    this.onWaiting();
    this.#fill(read.offset, read.target);
    read.done();
  }

  #isHeld(offset: number, length: number): boolean {
    const held = this.#held;
    return held !== undefined && offset < held.end && offset + length > held.start;
  }

  #fill(offset: number, target: Uint8Array): void {
    const count = readSync(this.#fd, target, 0, target.length, offset);
    if (count !== target.length) throw new Error(`short read of ${count} at ${offset}`);
  }
}

const ZEROES = Buffer.alloc(PIECE_LENGTH);

function isZero(piece: Buffer): boolean {
  return piece.equals(ZEROES.subarray(0, piece.length));
}

export function directoryOf(...exports: readonly ExportBinding[]): ExportDirectory {
  return {
    find: (name) => exports.find((binding) => binding.name === name),
    list: () => exports.map((binding) => binding.name),
  };
}
