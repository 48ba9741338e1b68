/**
 * What a peer may say that moves no data: keep-alives, choke flapping, cancels, unknown messages, requests that come to
 * nothing. A token bucket that time refills, and pieces that move too: a busy peer has more to say than an idle one.
 */
import { ProtocolError } from '@bootswarm/stdx';

/** A choke answered by rejecting a full pipeline of requests, eight times over. */
const TOKENS_MAX = 4_096;
/** A peer that does nothing but talk may say this much for ever: well under 1 % of a core. */
const TOKENS_PER_SECOND = 256;

export class ChatterBudget {
  #tokens = TOKENS_MAX;
  #refilledAtMs: number;

  constructor(nowMs: number) {
    this.#refilledAtMs = nowMs;
  }

  /** Throws `chatter-flood` when the bucket is empty. `nowMs` never goes back. */
  spend(tokens: number, nowMs: number): void {
    this.#tokens -= tokens;
    if (this.#tokens >= 0) return;
    // The clock matters only once the bucket is empty, so most messages cost one subtraction.
    this.earn(((nowMs - this.#refilledAtMs) * TOKENS_PER_SECOND) / 1_000);
    this.#refilledAtMs = nowMs;
    if (this.#tokens < 0) throw new ProtocolError('chatter-flood');
  }

  earn(tokens: number): void {
    this.#tokens = Math.min(TOKENS_MAX, this.#tokens + tokens);
  }
}
