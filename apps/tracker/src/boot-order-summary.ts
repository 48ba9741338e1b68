/** What the registry has learned of an image's boots, in the words of the HTTP API. */
import type { BootOrderStats } from '@bootswarm/tracker-proto';
import type { BootOrderSummary, ImageSummary } from './api.ts';

export function bootOrderSummary(
  { id, length, pieceLength, pieceCount }: ImageSummary,
  stats: readonly BootOrderStats[],
): BootOrderSummary {
  const shortBy = pieceCount * pieceLength - length;
  const kinds = stats.map(({ bootsMerged, learnedAtMs, pieceIndexes }) => ({
    boots: bootsMerged,
    pieces: pieceIndexes.length,
    bytes:
      pieceIndexes.length * pieceLength - (pieceIndexes.includes(pieceCount - 1) ? shortBy : 0),
    lastLearnedAt: new Date(learnedAtMs).toISOString(),
  }));
  return { image: id, kinds };
}
