/** Bytes per second over the last few seconds, for people to look at: a ring of counts per second. */

const SECONDS = 5;

export class ByteRate {
  readonly #bytes = new Float64Array(SECONDS + 1);
  #second = 0;

  add(bytes: number, nowMs: number): void {
    this.#turnTo(nowMs);
    this.#bytes[this.#second % this.#bytes.length] += bytes;
  }

  /** Mean over the last whole seconds. */
  bytesPerSecond(nowMs: number): number {
    this.#turnTo(nowMs);
    let sum = 0;
    for (let back = 1; back <= SECONDS; back += 1) {
      sum += this.#bytes[(this.#second - back + this.#bytes.length) % this.#bytes.length];
    }
    return sum / SECONDS;
  }

  #turnTo(nowMs: number): void {
    const second = Math.floor(nowMs / 1_000) + SECONDS;
    const from = Math.max(this.#second, second - this.#bytes.length);
    for (let each = from + 1; each <= second; each += 1) this.#bytes[each % this.#bytes.length] = 0;
    this.#second = Math.max(this.#second, second);
  }
}
