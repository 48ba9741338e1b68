/** How an image is named and shown: the path of its resource, its short id, its details. */
import type { ImageSummary } from '@bootswarm/tracker';
import { formatBytes } from './byte-size.ts';

/** IMAGE is an id, an unambiguous beginning of one, or a name: whatever it is, one path segment. */
export function imagePath(image: string, collection = '/v1/images'): string {
  return `${collection}/${encodeURIComponent(image)}`;
}

/** Enough of an id to tell images of one catalogue apart, and to type. */
export function shortId(id: string): string {
  return id.slice(0, 12);
}

export function describeLength(image: ImageSummary): string {
  const { pieceCount, pieceLength, zeroPieces } = image;
  const pieces = `${pieceCount} pieces of ${formatBytes(pieceLength)}, ${zeroPieces} of them zero`;
  return `${formatBytes(image.length)} (${image.length} bytes), ${pieces}`;
}
