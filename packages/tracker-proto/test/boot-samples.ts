/** Boots made up for tests: kinds share a prefix (firmware, kernel), boots of a kind differ a little in order and in content. */
import { Random } from '@bootswarm/stdx';

export const PIECES = 20_000;
export const PREFIX = 120;

/** The pieces of a kind in their usual order, `PREFIX` of them those of every kind. */
export function kindOf(kind: number, length = 700): number[] {
  const random = new Random(1_000 + kind);
  const shared = new Random(7);
  const pieces = new Set<number>();
  while (pieces.size < PREFIX) pieces.add(shared.below(4_000));
  // Some of what kinds read later is the same too: libc, the shell.
  while (pieces.size < PREFIX + 60) pieces.add(4_000 + shared.below(1_000));
  const tail: number[] = [...pieces].slice(PREFIX);
  const own = new Set<number>();
  while (own.size < length - pieces.size) own.add(5_000 + kind * 2_000 + random.below(2_000));
  return [...[...pieces].slice(0, PREFIX), ...random.shuffle([...tail, ...own])];
}

/** One boot: neighbours in the order change places, and a few pieces are missing. */
export function bootOf(order: readonly number[], seed: number): number[] {
  const random = new Random(seed);
  const keyed = order
    .filter(() => random.float() > 0.03)
    .map((pieceIndex, rank) => ({ pieceIndex, at: rank + random.float() * 12 }));
  return keyed.sort((a, b) => a.at - b.at).map(({ pieceIndex }) => pieceIndex);
}

/** Share of `of` that is in `among`. */
export function shareIn(of: readonly number[] | Uint32Array, among: Iterable<number>): number {
  const set = new Set(among);
  let found = 0;
  for (const each of of) if (set.has(each)) found += 1;
  return found / of.length;
}
