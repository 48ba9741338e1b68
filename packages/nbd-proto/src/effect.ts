/** What an NbdSession asks of the runner. */
import type { ProtocolError } from '@bootswarm/stdx';

export type NbdEffect = WriteEffect | StartTlsEffect | ReadEffect | CacheEffect | CloseEffect;

/** Send `bytes`. Writes and read replies may go out in any order once the handshake is over. */
export interface WriteEffect {
  readonly type: 'write';
  readonly bytes: Uint8Array;
}

/**
 * Send `bytes`, the last in the clear, and become the server of a TLS handshake. Neither poll() nor hand in anything until that
 * is over; from then on, hand in what was decrypted.
 */
export interface StartTlsEffect {
  readonly type: 'start-tls';
  readonly bytes: Uint8Array;
}

/**
 * Read `length` bytes of the export at `offset`, now or as late as it takes; there is no way to fail. Put them after the
 * first `replyHeaderLength` bytes of a buffer, have encodeReadReply() fill those in, and send the whole buffer.
 */
export interface ReadEffect {
  readonly type: 'read';
  readonly offset: number;
  readonly length: number;
  readonly replyHeaderLength: number;
  readonly request: ReadRequest;
}

/** One NBD_CMD_READ: what is needed to answer it, and how much of it is still open. Only the session writes to it. */
export interface ReadRequest {
  /** The 64-bit cookie, opaque. */
  readonly cookieHigh: number;
  readonly cookieLow: number;
  readonly isStructured: boolean;
  /** First byte not yet covered by a reply chunk or a ReadEffect. */
  next: number;
  readonly end: number;
  /** ReadEffects handed out and not yet answered. The last chunk of a structured reply carries NBD_REPLY_FLAG_DONE. */
  readsOutstanding: number;
}

/** The client will soon read this range: a hint. Send `bytes`, the acknowledgement, at once. */
export interface CacheEffect {
  readonly type: 'cache';
  readonly offset: number;
  readonly length: number;
  readonly bytes: Uint8Array;
}

/** The last effect. Without `error`, send what was written, then close; with it, close at once: the client broke a rule. */
export interface CloseEffect {
  readonly type: 'close';
  readonly error: ProtocolError | undefined;
}
