/**
 * Copies bytes, also from or to memory that threads share. `Uint8Array.set` is slow there: 64 KiB take it 5 µs, 18 to an odd
 * address, and 2 another way. Node hands it every copy of a whole view.
 */

const { copy } = Buffer.prototype;

/** Copies bytes [from, end) of `source` into `target` at `at`, which has room for them. */
export function copyBytes(
  source: Uint8Array,
  from: number,
  end: number,
  target: Uint8Array,
  at: number,
): void {
  let last = end;
  if (from === 0 && end === source.length && end > 0) {
    last -= 1;
    target[at + last] = source[last];
  }
  copy.call(source, target, at, from, last);
}
