/** Our peer ids: BEP 20's client prefix and 12 random bytes. */
import { assert } from '@bootswarm/stdx';

const PREFIX = '-BS0100-';
const PEER_ID_BYTES = 20;
export const PEER_ID_RANDOM_BYTES = PEER_ID_BYTES - PREFIX.length;

/** `randomBytes` are PEER_ID_RANDOM_BYTES: unique among the peers of a swarm, not secret. */
export function makePeerId(randomBytes: Uint8Array): Uint8Array {
  assert(randomBytes.length === PEER_ID_RANDOM_BYTES, `${randomBytes.length} random bytes`);
  const peerId = new Uint8Array(PEER_ID_BYTES);
  peerId.set(Buffer.from(PREFIX, 'latin1'));
  peerId.set(randomBytes, PREFIX.length);
  return peerId;
}
