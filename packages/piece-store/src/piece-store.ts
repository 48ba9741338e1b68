/** The interface of a store of verified pieces; cache-store.ts keeps them in a cache file. */
import type { Bitfield, BufferPool } from '@bootswarm/stdx';

export interface PieceStore {
  readonly pieceCount: number;
  /** Pieces held, zero pieces included. A live view: do not change it. */
  readonly have: Bitfield;
  /** Of the length of a piece: whoever fetches pieces for this store takes them, and the store gives them back. */
  readonly buffers: BufferPool;
  /** Whether the disk keeps it waiting for much longer than a disk should; undefined where there is none. */
  readonly isLate?: boolean;
  /**
   * Fills `target` with the bytes from `offset` of the piece on, synchronously, when that piece, and those after it that the
   * target reaches into, are in memory, or in the file and need no more verification. Returns false otherwise, with `target`
   * undefined: then use read().
   */
  readNow(pieceIndex: number, offset: number, target: Uint8Array): boolean;
  /**
   * As readNow, of one piece, but may wait for the disk and verifies a piece whose bytes on disk are not yet trusted: on its
   * first use after a restart, and until it is flushed. Resolves to false when the piece turned out not to be held after all
   * (bit rot, truncated file): it is then dropped from `have`.
   */
  read(pieceIndex: number, offset: number, target: Uint8Array): Promise<boolean>;
  /**
   * Keeps a piece whose hash has been checked. The caller gives the buffer away. From this call on readNow() and read()
   * answer from memory; resolves once the piece is in `have` (written, recorded), or to false when it could not be
   * written (disk full, failed write): the bytes then stay readable only while the hot pieces hold them. A flush that
   * fails afterwards takes a piece out of `have` again, perhaps before the promise's reaction runs: `have` is the last word.
   * `isPrefetch` pieces do not displace hot pieces that guests asked for.
   */
  write(pieceIndex: number, piece: Uint8Array, isPrefetch: boolean): Promise<boolean>;
  /** Flushes data, then the bits that vouch for it. Called by its own timer; exposed for shutdown. */
  commit(): Promise<void>;
  /** Commits and releases every resource. */
  close(): Promise<void>;
}
