/** Bytes per ms of one direction of one peer, as an exponentially weighted mean over busy time. */

/** Half of what is known is forgotten in this time: long against one piece, short against a change of load. */
const HALF_LIFE_MS = 2_000;

export class RateMeter {
  #bytesPerMs = 0;
  #weight = 0;

  /** `bytes` took `elapsedMs` while the peer was busy for us. */
  add(bytes: number, elapsedMs: number): void {
    const elapsed = Math.max(elapsedMs, 0.01);
    const keep = 2 ** (-elapsed / HALF_LIFE_MS);
    this.#bytesPerMs = keep * this.#bytesPerMs + (1 - keep) * (bytes / elapsed);
    this.#weight = keep * this.#weight + (1 - keep);
  }

  /** 0 until something was measured. */
  get bytesPerMs(): number {
    return this.#weight === 0 ? 0 : this.#bytesPerMs / this.#weight;
  }
}
