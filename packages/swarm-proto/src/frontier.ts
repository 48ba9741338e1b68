/**
 * Whether this node's guest runs ahead of the swarm. What nobody has touched yet is with the origin alone: the guest in front
 * asks it at once instead of through the whole depth of a tree, and all behind it find the piece on its way. Nodes find out who
 * is in front by trying: who is sent the piece stays in front, who is redirected leaves it to others for a while.
 */

/** A try that failed is repeated after this, and after twice as long each time: a swarm of thousands tries a few times each. */
const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 6_400;

export class Frontier {
  #isInFront = false;
  #retryAt = 0;
  #pauseMs = RETRY_MIN_MS;

  /** Whether the last try succeeded. */
  get isInFront(): boolean {
    return this.#isInFront;
  }

  /** Whether a piece that no order names and no peer has may be asked of the origin out of turn. */
  mayAskFirst(now: number): boolean {
    return this.#isInFront || now >= this.#retryAt;
  }

  /** A try is under way: one at a time until it is known who is in front. */
  tried(now: number): void {
    if (!this.#isInFront) this.#retryAt = now + this.#pauseMs;
  }

  /** The origin sent the piece. */
  granted(): void {
    this.#isInFront = true;
    this.#pauseMs = RETRY_MIN_MS;
  }

  /** The origin named somebody who was there before. */
  redirected(now: number): void {
    this.#isInFront = false;
    this.#retryAt = now + this.#pauseMs;
    this.#pauseMs = Math.min(RETRY_MAX_MS, 2 * this.#pauseMs);
  }
}
