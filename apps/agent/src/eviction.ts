/**
 * Which images leave the cache when it holds too much: whole ones that no guest uses, the one used longest ago first. Pure;
 * cache-keeper.ts measures and carries out.
 */

export interface EvictableImage {
  readonly imageId: string;
  readonly diskBytes: number;
  /** Milliseconds since 1970. */
  readonly lastUsedAt: number;
  /** A guest reads it, is attached to it, or will be. */
  readonly isInUse: boolean;
}

/** Above this part of the limit images are evicted: the rest is for what arrives until somebody looks again. */
export const HIGH_WATERMARK = 0.95;
/** ...until no more than this is left, so that not each new piece evicts another image. */
export const LOW_WATERMARK = 0.85;

/** An image that was attached or fetched a moment ago may be about to get its VM. */
export const UNUSED_MS_MIN = 10_000;

/** Ids in the order in which they go; none while no more than the high watermark is used. */
export function imagesToEvict(
  images: readonly EvictableImage[],
  bytesMax: number,
  now: number,
): string[] {
  let used = images.reduce((sum, { diskBytes }) => sum + diskBytes, 0);
  if (used <= bytesMax * HIGH_WATERMARK) return [];
  const chosen: string[] = [];
  // A clock that was ahead for a while must not keep an image until that time has come.
  const unused = images.filter(
    ({ isInUse, lastUsedAt }) => !isInUse && Math.abs(now - lastUsedAt) > UNUSED_MS_MIN,
  );
  for (const image of unused.sort((a, b) => a.lastUsedAt - b.lastUsedAt)) {
    if (used <= bytesMax * LOW_WATERMARK) break;
    used -= image.diskBytes;
    chosen.push(image.imageId);
  }
  return chosen;
}
