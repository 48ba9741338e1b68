/** The 68 bytes that open a BitTorrent connection (BEP 3, reserved bits of BEP 6 and 10). */
import { ProtocolError } from '@bootswarm/stdx';

export const HANDSHAKE_BYTES = 68;
const PREFIX = Buffer.from('\x13BitTorrent protocol', 'latin1');

export interface Handshake {
  /** The 68 bytes as received. */
  readonly bytes: Uint8Array;
  /** 20 bytes. */
  readonly infoHash: Uint8Array;
  /** 20 bytes. */
  readonly peerId: Uint8Array;
  /** BEP 6. */
  readonly hasFast: boolean;
  /** BEP 10. */
  readonly hasExtended: boolean;
}

/** Throws `handshake-malformed` as soon as the first `have` bytes cannot become a handshake. */
export function checkHandshakePrefix(bytes: Uint8Array, have: number): void {
  const end = Math.min(have, PREFIX.length);
  for (let at = 0; at < end; at += 1) {
    if (bytes[at] !== PREFIX[at]) throw new ProtocolError('handshake-malformed', { at });
  }
}

/** `bytes` are 68 with a checked prefix; any reserved bits are allowed. */
export function parseHandshake(bytes: Uint8Array): Handshake {
  return {
    bytes,
    infoHash: bytes.subarray(28, 48),
    peerId: bytes.subarray(48, 68),
    hasFast: (bytes[27] & 0x04) !== 0,
    hasExtended: (bytes[25] & 0x10) !== 0,
  };
}
