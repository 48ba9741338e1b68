/** Counts as people read them. */

const COUNTS = new Intl.NumberFormat('en-US');

export function countText(count: number): string {
  return COUNTS.format(count);
}

/** `1 node`, `2,000 nodes`. */
export function countOf(count: number, noun: string): string {
  return `${countText(count)} ${noun}${count === 1 ? '' : 's'}`;
}
