/**
 * A fixed-size set of piece indexes with a maintained count. Wire order: the high bit of byte 0 is index 0 (BEP 3).
 * Knows nothing of messages; a caller checks lengths before it hands bytes in.
 */
import { assert } from './assert.ts';

export class Bitfield {
  readonly size: number;
  /** 32 indexes each, the lowest in the high bit: walks go by words, since most of an image is all held or all missing. */
  readonly #words: Int32Array;
  #count = 0;

  constructor(size: number) {
    assert(Number.isSafeInteger(size) && size >= 0, `bitfield size ${size}`);
    this.size = size;
    this.#words = new Int32Array(Math.ceil(size / 32));
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
    for (let at = 0; at < bytes.length; at += 1) {
      bitfield.#words[at >>> 2] |= bytes[at] << shiftOfByte(at);
    }
    for (const word of bitfield.#words) bitfield.#count += bitsIn(word);
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
    return (this.#words[index >>> 5] & (FIRST_BIT >>> (index & 31))) !== 0;
  }

  /** Returns whether the bit was clear before. */
  set(index: number): boolean {
    this.#assertWithin(index);
    const mask = FIRST_BIT >>> (index & 31);
    const word = this.#words[index >>> 5];
    if ((word & mask) !== 0) return false;
    this.#words[index >>> 5] = word | mask;
    this.#count += 1;
    return true;
  }

  /** Returns whether the bit was set before. */
  clear(index: number): boolean {
    this.#assertWithin(index);
    const mask = FIRST_BIT >>> (index & 31);
    const word = this.#words[index >>> 5];
    if ((word & mask) === 0) return false;
    this.#words[index >>> 5] = word & ~mask;
    this.#count -= 1;
    return true;
  }

  setRange(first: number, count: number): void {
    for (let index = first; index < first + count; index += 1) this.set(index);
  }

  /** Sets every index that `other`, of the same size, has. */
  addAll(other: Bitfield): void {
    assert(other.size === this.size, 'bitfields of two sizes');
    for (let at = 0; at < this.#words.length; at += 1) {
      const added = other.#words[at] & ~this.#words[at];
      if (added === 0) continue;
      this.#words[at] |= added;
      this.#count += bitsIn(added);
    }
  }

  /** The first set index at or after `from`, or -1. */
  nextSet(from: number): number {
    return this.nextCommon(this, from);
  }

  /** The first clear index at or after `from`, or -1. */
  nextClear(from: number): number {
    if (from >= this.size) return -1;
    const words = this.#words;
    let at = from >>> 5;
    let clear = ~words[at] & (ALL_BITS >>> (from & 31));
    while (clear === 0) {
      at += 1;
      if (at === words.length) return -1;
      clear = ~words[at];
    }
    // Bits beyond the size are clear, too.
    const index = at * 32 + Math.clz32(clear);
    return index < this.size ? index : -1;
  }

  /** The first index at or after `from` that `other`, of the same size, has too; or -1. */
  nextCommon(other: Bitfield, from: number): number {
    assert(other.size === this.size, 'bitfields of two sizes');
    if (from >= this.size) return -1;
    const words = this.#words;
    const others = other.#words;
    let at = from >>> 5;
    let common = words[at] & others[at] & (ALL_BITS >>> (from & 31));
    while (common === 0) {
      at += 1;
      if (at === words.length) return -1;
      common = words[at] & others[at];
    }
    return at * 32 + Math.clz32(common);
  }

  /** A copy in wire order. */
  toBytes(): Uint8Array {
    const words = this.#words;
    return Uint8Array.from(
      { length: Bitfield.byteLength(this.size) },
      (_, at) => words[at >>> 2] >>> shiftOfByte(at),
    );
  }

  clone(): Bitfield {
    const copy = new Bitfield(this.size);
    copy.#words.set(this.#words);
    copy.#count = this.#count;
    return copy;
  }

  #assertWithin(index: number): void {
    // Formatting the complaint would cost more than all the rest.
    if (!(index >= 0 && index < this.size)) assert(false, `bit ${index} of ${this.size}`);
  }
}

const FIRST_BIT = 0x8000_0000;
const ALL_BITS = 0xffff_ffff;

/** Of the byte at this place on the wire, within its word. */
function shiftOfByte(at: number): number {
  return 24 - 8 * (at & 3);
}

/** Adds up pairs, then fours, then bytes: no table to miss in the cache. */
function bitsIn(word: number): number {
  const pairs = word - ((word >>> 1) & 0x5555_5555);
  const fours = (pairs & 0x3333_3333) + ((pairs >>> 2) & 0x3333_3333);
  return Math.imul((fours + (fours >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
}
