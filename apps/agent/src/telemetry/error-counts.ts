/** How often what went wrong, by the part it happened in and the code it has. Nothing on the path of a read is counted here. */

/** api: told to callers of the control API; wire: wires that closed; dial: that were not made; tracker: refused joins. */
export type ErrorPart = 'api' | 'wire' | 'dial' | 'piece' | 'nbd' | 'tracker';

/** Codes are ours, a few dozen; a peer's close may bring a word of its own. */
const CODES_MAX = 128;

export class ErrorCounts {
  readonly #counts = new Map<string, { part: ErrorPart; code: string; count: number }>();

  add(part: ErrorPart, code: string): void {
    const key = `${part} ${code}`;
    const known = this.#counts.get(key);
    if (known) known.count += 1;
    else if (this.#counts.size < CODES_MAX) this.#counts.set(key, { part, code, count: 1 });
    else this.#addOther(part);
  }

  /** One more per part: there are six. */
  #addOther(part: ErrorPart): void {
    const key = `${part} other`;
    const known = this.#counts.get(key);
    if (known) known.count += 1;
    else this.#counts.set(key, { part, code: 'other', count: 1 });
  }

  get all(): Iterable<{ readonly part: ErrorPart; readonly code: string; readonly count: number }> {
    return this.#counts.values();
  }
}
