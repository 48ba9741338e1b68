/**
 * Cuts a byte stream that arrives in arbitrary segments into the lengths the parser asks for. Bytes stay in the segment they
 * came in unless an item straddles two: only then are that item's bytes copied, so at most `length` of the largest
 * take() is ever buffered beside one segment. What the bytes mean is the parser's business.
 */
import { assert } from '@bootswarm/stdx';
import { REQUEST_HEADER_LENGTH } from './constants.ts';

const NOTHING = new Uint8Array(0);

export class SegmentReader {
  /** Where the item of the last successful take() lies. Valid until the next call. */
  bytes: Uint8Array = NOTHING;
  at = 0;

  #segment: Uint8Array = NOTHING;
  #position = 0;
  #partial = new Uint8Array(REQUEST_HEADER_LENGTH);
  #partialLength = 0;

  /** Bytes held back for an item whose end has not arrived. */
  get bufferedLength(): number {
    return this.#partialLength;
  }

  /** Whether the last segment has been read to its end, so that another may be pushed. */
  get isEmpty(): boolean {
    return this.#position === this.#segment.length;
  }

  /** Hands over the next segment; it must not change until it is used up, and the one before must be. */
  push(segment: Uint8Array): void {
    assert(this.isEmpty, 'a segment is pushed before the last is read');
    this.#segment = segment;
    this.#position = 0;
  }

  /**
   * Makes the next `length` bytes available at `bytes[at]` and returns true, or returns false until more is pushed. After
   * false, ask for the same length again.
   */
  take(length: number): boolean {
    const available = this.#segment.length - this.#position;
    if (this.#partialLength === 0 && available >= length) {
      this.bytes = this.#segment;
      this.at = this.#position;
      this.#position += length;
      return true;
    }
    const copied = Math.min(length - this.#partialLength, available);
    if (copied > 0) this.#keep(length, copied);
    if (this.#partialLength < length) return false;
    this.bytes = this.#partial;
    this.at = 0;
    this.#partialLength = 0;
    return true;
  }

  /** Drops up to `length` bytes and returns how many there were to drop. Not between a failed take() and its retry. */
  skip(length: number): number {
    assert(this.#partialLength === 0, 'skip() in the middle of an item');
    const skipped = Math.min(length, this.#segment.length - this.#position);
    this.#position += skipped;
    return skipped;
  }

  #keep(itemLength: number, length: number): void {
    if (this.#partial.length < itemLength) {
      const grown = new Uint8Array(itemLength);
      grown.set(this.#partial.subarray(0, this.#partialLength));
      this.#partial = grown;
    }
    this.#partial.set(
      this.#segment.subarray(this.#position, this.#position + length),
      this.#partialLength,
    );
    this.#position += length;
    this.#partialLength += length;
  }
}
