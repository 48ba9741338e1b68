/**
 * Bencode (BEP 3, BEP 52), strict: one value has one encoding, and any other encoding of it is a ProtocolError. Safe on
 * bytes of a stranger: no announced length is believed before it is checked, depth and number of values are bounded, and
 * dictionaries are Maps, so no key is special. Knows nothing of what the values mean.
 */
import { assert, ProtocolError } from '@bootswarm/stdx';

/** Strings are byte strings; integers are safe integers. */
export type BencodeValue = number | Uint8Array | BencodeValue[] | BencodeDict;

/** Keys are byte strings, one character per byte (latin1): lossless, and sorted as bytes sort. */
export type BencodeDict = Map<string, BencodeValue>;

/** What encode() takes: a text is encoded as UTF-8, `bencoded` is copied as it is. */
export type BencodeInput =
  | number
  | string
  | Uint8Array
  | { readonly bencoded: Uint8Array }
  | readonly BencodeInput[]
  | ReadonlyMap<string, BencodeInput>;

export interface BencodeLimits {
  readonly bytesMax: number;
  /** Lists and dictionaries inside one another, 1 for a flat one. Default 8. */
  readonly depthMax?: number;
  /** Values in all, which bounds memory: the shortest value is two bytes, its object is fifty. Default 10,000. */
  readonly valuesMax?: number;
  /** Default true. False tolerates unsorted keys, as other clients send them (BEP 10), and nothing else. */
  readonly isCanonical?: boolean;
}

const DEPTH_MAX_DEFAULT = 8;
const VALUES_MAX_DEFAULT = 10_000;
/** Far below what the JS stack carries: the decoder recurses once per level. */
const DEPTH_LIMIT = 64;

const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;
const COLON = 0x3a;
const MINUS = 0x2d;
const DICT = 0x64;
const END = 0x65;
const INTEGER = 0x69;
const LIST = 0x6c;

/** The one value that `bytes` holds. Byte strings in it are views on `bytes`. Throws ProtocolError `bencode-…`. */
export function decode(bytes: Uint8Array, limits: BencodeLimits): BencodeValue {
  const decoder = new Decoder(bytes, limits);
  const value = decoder.value(0);
  decoder.end();
  return value;
}

/**
 * The entries of the dictionary that `bytes` holds, each value as it is encoded there: for what is hashed or signed as
 * received. Checks all of `bytes` as decode() does.
 */
export function decodeEntries(bytes: Uint8Array, limits: BencodeLimits): Map<string, Uint8Array> {
  const decoder = new Decoder(bytes, limits);
  const entries = decoder.entries();
  decoder.end();
  return entries;
}

/** The canonical encoding: keys sorted, no alternative spelling. */
export function encode(value: BencodeInput): Uint8Array {
  const parts: Uint8Array[] = [];
  encodeInto(parts, value);
  return new Uint8Array(Buffer.concat(parts));
}

/** The dictionary key for a text, which is UTF-8 on the wire. */
export function keyOfText(text: string): string {
  return Buffer.from(text).toString('latin1');
}

/** The dictionary key for bytes, such as a hash. */
export function keyOfBytes(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

/** The bytes of a dictionary key. */
export function bytesOfKey(key: string): Uint8Array {
  return new Uint8Array(Buffer.from(key, 'latin1'));
}

class Decoder {
  readonly #bytes: Uint8Array;
  readonly #text: Buffer;
  readonly #depthMax: number;
  readonly #valuesMax: number;
  readonly #isCanonical: boolean;
  #offset = 0;
  #values = 0;

  constructor(bytes: Uint8Array, limits: BencodeLimits) {
    this.#bytes = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#depthMax = limits.depthMax ?? DEPTH_MAX_DEFAULT;
    this.#valuesMax = limits.valuesMax ?? VALUES_MAX_DEFAULT;
    this.#isCanonical = limits.isCanonical ?? true;
    assert(this.#depthMax <= DEPTH_LIMIT, `bencode depth ${this.#depthMax}`);
    if (bytes.length > limits.bytesMax) {
      throw new ProtocolError('bencode-too-long', {
        length: bytes.length,
        lengthMax: limits.bytesMax,
      });
    }
  }

  value(depth: number): BencodeValue {
    this.#values += 1;
    if (this.#values > this.#valuesMax) throw this.#error('bencode-too-many-values');
    switch (this.#peek()) {
      case INTEGER:
        return this.#integer();
      case LIST:
        return this.#list(this.#deeper(depth));
      case DICT:
        return this.#dict(this.#deeper(depth));
      default:
        return this.#string();
    }
  }

  entries(): Map<string, Uint8Array> {
    const entries = new Map<string, Uint8Array>();
    if (this.#peek() !== DICT) throw this.#error('bencode-not-a-dictionary');
    this.#eachKey((key) => {
      const start = this.#offset;
      const isNew = !entries.has(key);
      this.value(1);
      entries.set(key, this.#bytes.subarray(start, this.#offset));
      return isNew;
    });
    return entries;
  }

  end(): void {
    if (this.#offset !== this.#bytes.length) throw this.#error('bencode-trailing');
  }

  #list(depth: number): BencodeValue[] {
    const items: BencodeValue[] = [];
    this.#offset += 1;
    while (this.#peek() !== END) items.push(this.value(depth));
    this.#offset += 1;
    return items;
  }

  #dict(depth: number): BencodeDict {
    const dict: BencodeDict = new Map();
    this.#eachKey((key) => {
      const isNew = !dict.has(key);
      dict.set(key, this.value(depth));
      return isNew;
    });
    return dict;
  }

  /** Walks a dictionary; `onKey` consumes the value and tells whether the key was new. */
  #eachKey(onKey: (key: string) => boolean): void {
    let previous: string | undefined;
    this.#offset += 1;
    while (this.#peek() !== END) {
      const start = this.#offset;
      const { byteOffset, length } = this.#string();
      const keyStart = byteOffset - this.#bytes.byteOffset;
      const key = this.#text.toString('latin1', keyStart, keyStart + length);
      if (this.#isCanonical && previous !== undefined && key < previous) {
        throw this.#error('bencode-keys-unsorted', start);
      }
      if (!onKey(key)) throw this.#error('bencode-key-duplicate', start);
      previous = key;
    }
    this.#offset += 1;
  }

  #integer(): number {
    const start = this.#offset;
    this.#offset += 1;
    const isNegative = this.#peek() === MINUS;
    if (isNegative) this.#offset += 1;
    const magnitude = this.#digits(END);
    if (isNegative && magnitude === 0) throw this.#error('bencode-number', start);
    return isNegative ? -magnitude : magnitude;
  }

  #string(): Uint8Array {
    const start = this.#offset;
    const length = this.#digits(COLON);
    if (length > this.#bytes.length - this.#offset) throw this.#error('bencode-truncated', start);
    const string = this.#bytes.subarray(this.#offset, this.#offset + length);
    this.#offset += length;
    return string;
  }

  /** Decimal digits without leading zeros, and the byte that ends them. */
  #digits(terminator: number): number {
    const start = this.#offset;
    let number = 0;
    for (;;) {
      const byte = this.#peek();
      const digits = this.#offset - start;
      if (byte === terminator && digits > 0) break;
      if (byte < DIGIT_0 || byte > DIGIT_9) throw this.#error('bencode-syntax');
      number = number * 10 + (byte - DIGIT_0);
      const hasLeadingZero = digits > 0 && this.#bytes[start] === DIGIT_0;
      if (hasLeadingZero || number > Number.MAX_SAFE_INTEGER) {
        throw this.#error('bencode-number', start);
      }
      this.#offset += 1;
    }
    this.#offset += 1;
    return number;
  }

  #deeper(depth: number): number {
    if (depth >= this.#depthMax) throw this.#error('bencode-too-deep');
    return depth + 1;
  }

  #peek(): number {
    if (this.#offset >= this.#bytes.length) throw this.#error('bencode-truncated');
    return this.#bytes[this.#offset];
  }

  #error(code: string, offset = this.#offset): ProtocolError {
    return new ProtocolError(code, { offset });
  }
}

function encodeInto(parts: Uint8Array[], value: BencodeInput): void {
  if (typeof value === 'number') {
    assert(Number.isSafeInteger(value), `bencode of the number ${value}`);
    parts.push(Buffer.from(`i${value}e`));
  } else if (typeof value === 'string') {
    encodeString(parts, Buffer.from(value));
  } else if (value instanceof Uint8Array) {
    encodeString(parts, value);
  } else if (value instanceof Map) {
    encodeDict(parts, value);
  } else if (Array.isArray(value)) {
    parts.push(Buffer.from('l'));
    for (const item of value) encodeInto(parts, item);
    parts.push(Buffer.from('e'));
  } else {
    parts.push((value as { readonly bencoded: Uint8Array }).bencoded);
  }
}

function encodeDict(parts: Uint8Array[], dict: ReadonlyMap<string, BencodeInput>): void {
  parts.push(Buffer.from('d'));
  for (const key of [...dict.keys()].sort()) {
    const bytes = Buffer.from(key, 'latin1');
    assert(bytes.toString('latin1') === key, `bencode key ${key} is not one byte per character`);
    encodeString(parts, bytes);
    encodeInto(parts, dict.get(key) as BencodeInput);
  }
  parts.push(Buffer.from('e'));
}

function encodeString(parts: Uint8Array[], bytes: Uint8Array): void {
  parts.push(Buffer.from(`${bytes.length}:`), bytes);
}
