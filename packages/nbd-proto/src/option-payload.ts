/**
 * Parses the data of the options that have any. Malformed data throws MalformedOption, which the handshake turns into
 * ERR_INVALID.
 */
import { STRING_LENGTH_MAX } from './constants.ts';
import { readUint16, readUint32 } from './wire-integer.ts';

export class MalformedOption extends Error {
  override readonly name = 'MalformedOption';
}

/** Data of NBD_OPT_INFO and NBD_OPT_GO. */
export interface InfoPayload {
  readonly name: string;
  readonly infoTypes: ReadonlySet<number>;
}

/** Data of NBD_OPT_LIST_META_CONTEXT and NBD_OPT_SET_META_CONTEXT. */
export interface MetaContextPayload {
  readonly name: string;
  readonly queries: readonly string[];
}

export function parseExportName(data: Uint8Array): string {
  const cursor = new Cursor(data);
  return cursor.string(data.length);
}

/** 32 bits name length, name, 16 bits count of information types, 16 bits each. */
export function parseInfo(data: Uint8Array): InfoPayload {
  const cursor = new Cursor(data);
  const name = cursor.string(cursor.uint32());
  const count = cursor.uint16();
  const infoTypes = new Set<number>();
  for (let index = 0; index < count; index++) infoTypes.add(cursor.uint16());
  cursor.end();
  return { name, infoTypes };
}

/** 32 bits name length, name, 32 bits count of queries, each 32 bits length and a string. */
export function parseMetaContext(data: Uint8Array): MetaContextPayload {
  const cursor = new Cursor(data);
  const name = cursor.string(cursor.uint32());
  const count = cursor.uint32();
  const queries: string[] = [];
  for (let index = 0; index < count; index++) queries.push(cursor.string(cursor.uint32()));
  cursor.end();
  return { name, queries };
}

class Cursor {
  readonly #data: Uint8Array;
  #position = 0;

  constructor(data: Uint8Array) {
    this.#data = data;
  }

  uint16(): number {
    return readUint16(this.#data, this.#advance(2));
  }

  uint32(): number {
    return readUint32(this.#data, this.#advance(4));
  }

  string(length: number): string {
    if (length > STRING_LENGTH_MAX) throw new MalformedOption('string longer than 4096 bytes');
    const start = this.#advance(length);
    const text = decodeUtf8(this.#data.subarray(start, start + length));
    if (text.includes('\0')) throw new MalformedOption('string with a NUL');
    return text;
  }

  end(): void {
    if (this.#position !== this.#data.length) throw new MalformedOption('bytes after the data');
  }

  #advance(length: number): number {
    if (length > this.#data.length - this.#position) throw new MalformedOption('data cut short');
    const start = this.#position;
    this.#position += length;
    return start;
  }
}

// A byte order mark is kept: two names that differ in one are two names.
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return UTF8.decode(bytes);
  } catch {
    throw new MalformedOption('string that is not UTF-8');
  }
}
