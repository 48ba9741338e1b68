/** What a store tells its owner: everything that changes `have` for the worse, and everything an operator should see. */

/** Why a piece left `have`. */
export type LostReason =
  /** Its bytes in the cache do not have its hash. */
  | 'wrong-hash'
  /** The cache file ends before the piece does. */
  | 'short-file'
  | 'read-failed'
  /** The flush that should have made it durable failed. */
  | 'commit-failed'
  /** The original image no longer holds the bytes that were published. */
  | 'damaged-original';

/** Why a cache's records were not believed when it was opened. */
export type DiscardReason =
  /** No slot could be read and had a valid checksum. */
  | 'damaged'
  | 'unknown-version'
  | 'other-image'
  /** A disk error: pieces written just before the last process ended may have to be fetched again. */
  | 'unreadable-log'
  /** cache.raw is missing or truncated: what lay beyond its end is gone. */
  | 'cache-file-short';

export type StoreEvent =
  /** A piece left `have`. Sent for each one, whatever the reason. */
  | {
      readonly type: 'piece-lost';
      readonly pieceIndex: number;
      readonly reason: LostReason;
      readonly error?: unknown;
    }
  /** A read failed; the piece stays in `have` and the next read tries again (original images only). */
  | { readonly type: 'read-failed'; readonly pieceIndex: number; readonly error: unknown }
  /** The original was changed after it was published: every piece is verified again before it is served. */
  | { readonly type: 'original-changed'; readonly path: string }
  /** All pieces left `have`, on the owner's wish. */
  | { readonly type: 'pieces-evicted'; readonly pieceIndexes: readonly number[] }
  /** Somebody else wrote to the cache file: every piece is verified again before it is served. */
  | { readonly type: 'cache-changed' }
  /** Pieces could not be written; the store works from memory until a probe succeeds. */
  | {
      readonly type: 'write-failed';
      readonly pieceIndexes: readonly number[];
      readonly error: unknown;
    }
  /** As write-failed, because there is no space (ENOSPC, EDQUOT). */
  | { readonly type: 'disk-full'; readonly error: unknown }
  /** A flush failed at this step. A piece-lost event follows for each of `lostCount` pieces. */
  | {
      readonly type: 'commit-failed';
      readonly step: 'data' | 'bits';
      readonly lostCount: number;
      readonly error: unknown;
    }
  /** A probe could write again: pieces are kept from now on. */
  | { readonly type: 'caching-resumed' }
  /** On opening: the records of `pieceCount` pieces (0: not known) were thrown away. */
  | {
      readonly type: 'cache-discarded';
      readonly reason: DiscardReason;
      readonly pieceCount: number;
    };

export type OnStoreEvent = (event: StoreEvent) => void;
