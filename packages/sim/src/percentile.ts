/** The value below which a share of an ascending list lies; 0 of an empty one. */
export function percentile(ascending: readonly number[], share: number): number {
  if (ascending.length === 0) return 0;
  return ascending[Math.min(ascending.length - 1, Math.floor(ascending.length * share))];
}
