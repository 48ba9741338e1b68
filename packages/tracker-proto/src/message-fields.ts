/** The fields of one decoded map: each is taken once, checked, and what nobody took is refused. Throws ProtocolError. */
import { ProtocolError } from '@bootswarm/stdx';
import { decodePieceIndexes } from './piece-index-list.ts';
import { PREFETCH_ID } from './prefetch-order.ts';

/** The fields of one map, each to be taken once; end() refuses what nobody took. */
export class Fields {
  readonly #object: Readonly<Record<string, unknown>>;
  #taken = 0;

  constructor(object: Readonly<Record<string, unknown>>) {
    this.#object = object;
  }

  take(name: string): unknown {
    if (!Object.hasOwn(this.#object, name)) throw new ProtocolError('field-missing', { name });
    this.#taken += 1;
    return this.#object[name];
  }

  type(): string {
    return this.string('type', () => true);
  }

  string(name: string, isValid: (text: string) => boolean): string {
    const value = this.take(name);
    if (typeof value !== 'string' || !isValid(value)) throw invalid(name);
    return value;
  }

  order(name: string): string {
    return this.string(name, (text) => PREFETCH_ID.test(text));
  }

  image(): string {
    return this.string('image', (text) => /^[0-9a-f]{40}$/.test(text));
  }

  /** A whole number from `min` to `max`, both included. */
  uint(name: string, min: number, max: number): number {
    return uintOf(this.take(name), name, min, max);
  }

  boolean(name: string): boolean {
    const value = this.take(name);
    if (typeof value !== 'boolean') throw invalid(name);
    return value;
  }

  list(name: string, lengthMax: number): unknown[] {
    const value = this.take(name);
    if (!Array.isArray(value) || value.length > lengthMax) throw invalid(name);
    return value;
  }

  pieceIndexes(countMax: number): Uint32Array {
    const value = this.take('pieceIndexes');
    if (!(value instanceof Uint8Array)) throw invalid('pieceIndexes');
    return decodePieceIndexes(value, countMax);
  }

  /** How many fields the map had. */
  end(): number {
    if (Object.keys(this.#object).length !== this.#taken) throw new ProtocolError('field-unknown');
    return this.#taken;
  }
}

export function uintOf(value: unknown, where: string, min: number, max: number): number {
  if (!Number.isSafeInteger(value)) throw invalid(where);
  const number = value as number;
  if (number < min || number > max || Object.is(number, -0)) throw invalid(where);
  return number;
}

/** Control, format (right-to-left overrides), unassigned, surrogates, line separators, and what stands for bad UTF-8. */
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}\uFFFD]/u;

export function isPrintable(text: string, bytesMin: number, bytesMax: number): boolean {
  // A string has at least as many UTF-8 bytes as UTF-16 units: long ones are refused without being measured.
  if (text.length > bytesMax) return false;
  const bytes = Buffer.byteLength(text);
  return bytes >= bytesMin && bytes <= bytesMax && !UNPRINTABLE.test(text);
}

export function invalid(name: string): ProtocolError {
  return new ProtocolError('field-invalid', { name });
}
