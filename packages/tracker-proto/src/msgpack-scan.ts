/**
 * Walks one MessagePack value without building it, and refuses what signalling never uses: extensions (msgpackr would run
 * records, RegExps and pointers), keys that are not strings, deep nesting, lengths beyond the bytes at hand, and
 * anything after the value. What passes is safe to hand to a decoder. Says nothing of meaning: that is message-schema.ts.
 */
import { ProtocolError } from '@bootswarm/stdx';

/** The deepest message is an origin's address: map > array > map. The rest is room for later versions. */
const DEPTH_MAX = 16;

/** Map entries at all levels: a schema that consumed fewer fields than this was sent a key twice. */
export interface ScanResult {
  readonly mapEntries: number;
}

/** Throws ProtocolError `message-malformed`, `message-too-deep`, `extension-refused` or `key-not-string`. */
export function scanMessagePack(bytes: Uint8Array): ScanResult {
  return new Scanner(bytes).scan();
}

class Scanner {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #position = 0;
  #mapEntries = 0;
  /** Values left to read per open container; a map counts its keys too. */
  readonly #valuesLeft: number[] = [];
  readonly #isMap: boolean[] = [];

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  scan(): ScanResult {
    this.#value();
    while (this.#valuesLeft.length > 0) {
      const top = this.#valuesLeft.length - 1;
      const left = this.#valuesLeft[top];
      if (left === 0) {
        this.#valuesLeft.pop();
        this.#isMap.pop();
      } else {
        this.#valuesLeft[top] = left - 1;
        // Keys and values alternate, so a key comes up whenever an even number is left.
        if (this.#isMap[top] && left % 2 === 0) this.#key();
        else this.#value();
      }
    }
    if (this.#position !== this.#bytes.length) throw malformed('trailing-bytes', this.#position);
    return { mapEntries: this.#mapEntries };
  }

  #key(): void {
    const token = this.#bytes[this.#position];
    const isString = (token >= 0xa0 && token <= 0xbf) || (token >= 0xd9 && token <= 0xdb);
    if (token !== undefined && !isString) {
      throw new ProtocolError('key-not-string', { offset: this.#position });
    }
    this.#value();
  }

  #value(): void {
    const offset = this.#position;
    const token = this.#uint(1);
    if (token >= 0x80 && token <= 0x8f)
      this.#open(token & 0x0f, true); // fixmap
    else if (token >= 0x90 && token <= 0x9f)
      this.#open(token & 0x0f, false); // fixarray
    else if (token >= 0xa0 && token <= 0xbf)
      this.#skip(token & 0x1f); // fixstr
    else if (token >= 0xc0 && token <= 0xdf) this.#longValue(token, offset);
    // The rest is fixint: the token is the value.
  }

  #longValue(token: number, offset: number): void {
    switch (token) {
      case 0xc0: // nil
      case 0xc2: // false
      case 0xc3: // true
        break;
      case 0xca: // float 32
        this.#skip(4);
        break;
      case 0xcb: // float 64
        this.#skip(8);
        break;
      case 0xcc: // uint 8, 16, 32, 64
      case 0xcd:
      case 0xce:
      case 0xcf:
        this.#skip(1 << (token - 0xcc));
        break;
      case 0xd0: // int 8, 16, 32, 64
      case 0xd1:
      case 0xd2:
      case 0xd3:
        this.#skip(1 << (token - 0xd0));
        break;
      case 0xd9: // str 8, 16, 32
      case 0xda:
      case 0xdb:
        this.#skip(this.#uint(1 << (token - 0xd9)));
        break;
      case 0xdc: // array 16, 32
      case 0xdd:
        this.#open(this.#uint(2 << (token - 0xdc)), false);
        break;
      case 0xde: // map 16, 32
      case 0xdf:
        this.#open(this.#uint(2 << (token - 0xde)), true);
        break;
      case 0xc4: // bin 8, 16, 32
      case 0xc5:
      case 0xc6:
        this.#skip(this.#uint(1 << (token - 0xc4)));
        break;
      case 0xc1: // never used by the format; msgpackr gives it a meaning
        throw malformed('token-refused', offset);
      default: // ext 8, 16, 32 and fixext 1 to 16
        throw new ProtocolError('extension-refused', { offset });
    }
  }

  #open(count: number, isMap: boolean): void {
    if (this.#valuesLeft.length === DEPTH_MAX) {
      throw new ProtocolError('message-too-deep', { depthMax: DEPTH_MAX });
    }
    const values = isMap ? count * 2 : count;
    // Each value takes at least a byte: a length that cannot be true is refused before anything is allocated for it.
    if (values > this.#bytes.length - this.#position) throw malformed('truncated', this.#position);
    if (isMap) this.#mapEntries += count;
    this.#valuesLeft.push(values);
    this.#isMap.push(isMap);
  }

  #skip(length: number): void {
    if (length > this.#bytes.length - this.#position) throw malformed('truncated', this.#position);
    this.#position += length;
  }

  #uint(size: number): number {
    const at = this.#position;
    this.#skip(size);
    if (size === 1) return this.#bytes[at];
    return size === 2 ? this.#view.getUint16(at) : this.#view.getUint32(at);
  }
}

function malformed(reason: string, offset: number): ProtocolError {
  return new ProtocolError('message-malformed', { reason, offset });
}
