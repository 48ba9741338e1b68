/** Bytes per second over the last few seconds: fast enough to notice a stall, slow enough to be read. Times in milliseconds. */

const WINDOW_MS = 5_000;
const SLOT_MS = 250;

export class RecentRate {
  readonly #slots: { readonly at: number; bytes: number }[] = [];
  #startedAt: number | undefined;

  add(bytes: number, now: number): void {
    this.#startedAt ??= now;
    const last = this.#slots.at(-1);
    if (last !== undefined && now - last.at < SLOT_MS) last.bytes += bytes;
    else this.#slots.push({ at: now, bytes });
    this.#forget(now);
  }

  bytesPerSecond(now: number): number {
    if (this.#startedAt === undefined) return 0;
    this.#forget(now);
    const spanMs = Math.min(WINDOW_MS, Math.max(SLOT_MS, now - this.#startedAt));
    const bytes = this.#slots.reduce((sum, slot) => sum + slot.bytes, 0);
    return Math.round((bytes * 1_000) / spanMs);
  }

  #forget(now: number): void {
    while (this.#slots.length > 0 && this.#slots[0].at < now - WINDOW_MS) this.#slots.shift();
  }
}
