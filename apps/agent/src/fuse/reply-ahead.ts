/**
 * The buffer for replies whose bytes are at hand. When a file is read in order it can be filled for the next read before that
 * comes, while the program that reads is being woken for the last: what is in memory or in the cache file already, nothing else.
 */
import { OUT_HEADER_LENGTH, READ_LENGTH_MAX } from '@bootswarm/fuse-proto';
import type { ForesightedSource } from '../nbd/export-source.ts';

/** Of an open file. */
export interface ReplyRange {
  readonly handle: number;
  readonly offset: number;
  /** At least 1, at most READ_LENGTH_MAX. */
  readonly length: number;
  readonly file: { readonly length: number };
}

export class ReplyAhead {
  readonly #memory = Buffer.allocUnsafeSlow(OUT_HEADER_LENGTH + READ_LENGTH_MAX);
  /** Of the last read. */
  #handle = -1;
  #end = -1;
  /** Whether the last read went on where the one before had ended, in the same file. */
  #isInOrder = false;
  /** Bytes that are there of the read that would follow; 0: none. */
  #readyLength = 0;

  /** The reply but for its header, good until the next call; undefined when its bytes are not at hand. */
  replyTo({ handle, offset, length }: ReplyRange, source: ForesightedSource): Buffer | undefined {
    const reply = this.#memory.subarray(0, OUT_HEADER_LENGTH + length);
    this.#isInOrder = handle === this.#handle && offset === this.#end;
    const isReady = this.#isInOrder && length === this.#readyLength;
    this.#readyLength = 0;
    this.#handle = handle;
    this.#end = offset + length;
    if (!isReady && !source.readAhead(offset, reply.subarray(OUT_HEADER_LENGTH))) return undefined;
    source.took(offset, length);
    return reply;
  }

  /** To be called when the reply to `range`, the last, has been written. */
  prepare({ length, file }: ReplyRange, source: ForesightedSource): void {
    if (!this.#isInOrder || this.#end + length > file.length) return;
    const target = this.#memory.subarray(OUT_HEADER_LENGTH, OUT_HEADER_LENGTH + length);
    if (source.readAhead(this.#end, target)) this.#readyLength = length;
  }
}
