/**
 * Reads ahead for the guest that reads in order: while it takes in one reply, the bytes of the next are put in place. Decides for
 * whom that is worth it. Nothing but what is at hand is read, and nothing counts as read before it is asked for.
 */
import { OUT_HEADER_LENGTH } from '@bootswarm/fuse-proto';
import type { ImageSource } from '../image-export.ts';

/** Longer reads are as fast without: their time is that of their bytes. */
const LENGTH_MAX = 256 * 1024;
/** Reads in order before it is believed. */
const IN_ORDER_MIN = 2;
/** Reads that are let pass after bytes that nobody asked for. */
const PAUSE_READS = 64;

export interface GuestRead {
  readonly handle: number;
  readonly offset: number;
  readonly length: number;
  readonly file: { readonly length: number };
}

export class ReadAhead {
  readonly #buffer = Buffer.allocUnsafeSlow(OUT_HEADER_LENGTH + LENGTH_MAX);
  /** Whose bytes are in the buffer, and where they are from; length 0: none. */
  #handle = 0;
  #offset = 0;
  #length = 0;
  /** The last read of all, and how many in a row went on where the one before ended. */
  #lastHandle = 0;
  #lastEnd = 0;
  #inOrder = 0;
  #pausedReads = 0;

  /** The buffer of a reply, with the bytes that were asked for behind its header; undefined when they are not there. */
  take({ handle, offset, length }: GuestRead, source: ImageSource): Buffer | undefined {
    if (this.#length === 0) return undefined;
    const isAsked = handle === this.#handle && offset === this.#offset && length === this.#length;
    this.#length = 0;
    if (!isAsked) {
      this.#pausedReads = PAUSE_READS;
      return undefined;
    }
    source.noteRead(offset, length);
    return this.#buffer.subarray(0, OUT_HEADER_LENGTH + length);
  }

  /** A read was answered. */
  follow({ handle, offset, length, file }: GuestRead, source: ImageSource): void {
    const isInOrder = handle === this.#lastHandle && offset === this.#lastEnd;
    this.#inOrder = isInOrder ? this.#inOrder + 1 : 0;
    this.#lastHandle = handle;
    this.#lastEnd = offset + length;
    if (this.#pausedReads > 0) this.#pausedReads -= 1;
    if (this.#pausedReads > 0 || this.#inOrder < IN_ORDER_MIN || length > LENGTH_MAX) return;
    const next = offset + length;
    if (next + length > file.length) return;
    const target = this.#buffer.subarray(OUT_HEADER_LENGTH, OUT_HEADER_LENGTH + length);
    if (!source.peekNow(next, target)) return;
    this.#handle = handle;
    this.#offset = next;
    this.#length = length;
  }

  /** The file was closed. */
  forget(handle: number): void {
    if (this.#handle === handle) this.#length = 0;
  }
}
