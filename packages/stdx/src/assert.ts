/** Assertions for our own mistakes: they stay on in production. STYLE.md says what a failed one ends. */

export class AssertionError extends Error {
  override readonly name = 'AssertionError';
}

/** Throws AssertionError when `condition` is false: the bug is ours, never the peer's or the world's. */
export function assert(condition: boolean, what: string): asserts condition {
  if (!condition) throw new AssertionError(what);
}

/** Marks a switch over a tagged union as complete; the compiler objects when a tag is missing. */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable: ${JSON.stringify(value)}`);
}
