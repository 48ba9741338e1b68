/**
 * A fixed-size set of piece indexes with a maintained count. Wire order: the high bit of byte 0 is index 0 (BEP 3).
 * Knows nothing of messages; a caller checks lengths before it hands bytes in.
 */
import { assert } from './assert.ts';

export class Bitfield {
  readonly size: number;
  readonly #bytes: Uint8Array;
  #count = 0;

  constructor(size: number) {
    assert(Number.isSafeInteger(size) && size >= 0, `bitfield size ${size}`);
    this.size = size;
    this.#bytes = new Uint8Array(Bitfield.byteLength(size));
  }

  static byteLength(size: number): number {
    return Math.ceil(size / 8);
  }

  /**
   * Copies `bytes` in wire order. Returns undefined when the length is not exactly ceil(size / 8) or a spare bit at
   * the end is set: both are a peer's mistake (BEP 3).
   */
  static fromBytes(size: number, bytes: Uint8Array): Bitfield | undefined {
    if (bytes.length !== Bitfield.byteLength(size)) return undefined;
    const spare = bytes.length * 8 - size;
    if (spare > 0 && (bytes[bytes.length - 1] & ((1 << spare) - 1)) !== 0) return undefined;
    const bitfield = new Bitfield(size);
    bitfield.#bytes.set(bytes);
    for (const byte of bytes) bitfield.#count += POPCOUNT[byte];
    return bitfield;
  }

  static full(size: number): Bitfield {
    const bitfield = new Bitfield(size);
    bitfield.setRange(0, size);
    return bitfield;
  }

  get count(): number {
    return this.#count;
  }

  get isFull(): boolean {
    return this.#count === this.size;
  }

  has(index: number): boolean {
    return (this.#bytes[index >>> 3] & (0x80 >>> (index & 7))) !== 0;
  }

  /** Returns whether the bit was clear before. */
  set(index: number): boolean {
    assert(index >= 0 && index < this.size, `bit ${index} of ${this.size}`);
    const mask = 0x80 >>> (index & 7);
    const byte = this.#bytes[index >>> 3];
    if ((byte & mask) !== 0) return false;
    this.#bytes[index >>> 3] = byte | mask;
    this.#count += 1;
    return true;
  }

  /** Returns whether the bit was set before. */
  clear(index: number): boolean {
    assert(index >= 0 && index < this.size, `bit ${index} of ${this.size}`);
    const mask = 0x80 >>> (index & 7);
    const byte = this.#bytes[index >>> 3];
    if ((byte & mask) === 0) return false;
    this.#bytes[index >>> 3] = byte & ~mask;
    this.#count -= 1;
    return true;
  }

  setRange(first: number, count: number): void {
    for (let index = first; index < first + count; index += 1) this.set(index);
  }

  /** The first set index at or after `from`, or -1. */
  nextSet(from: number): number {
    return this.#next(from, 0x00);
  }

  /** The first clear index at or after `from`, or -1. */
  nextClear(from: number): number {
    return this.#next(from, 0xff);
  }

  #next(from: number, skip: number): number {
    let index = from;
    while (index < this.size) {
      const byte = this.#bytes[index >>> 3] ^ skip;
      if ((index & 7) === 0 && byte === 0) {
        index += 8;
      } else {
        if ((byte & (0x80 >>> (index & 7))) !== 0) return index;
        index += 1;
      }
    }
    return -1;
  }

  /** A copy in wire order. */
  toBytes(): Uint8Array {
    return this.#bytes.slice();
  }

  clone(): Bitfield {
    const copy = new Bitfield(this.size);
    copy.#bytes.set(this.#bytes);
    copy.#count = this.#count;
    return copy;
  }
}

const POPCOUNT = Uint8Array.from({ length: 256 }, (_, byte) => {
  let bits = 0;
  for (let rest = byte; rest !== 0; rest >>>= 1) bits += rest & 1;
  return bits;
});
