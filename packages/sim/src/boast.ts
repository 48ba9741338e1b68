/** How a liar of the simulator lies. */
import type { PeerMessage } from '@bootswarm/swarm-proto';
import type { SimPayload } from './sim-message.ts';

/** Whatever it has to say of its pieces, a liar says it has them all. */
export function boast(message: PeerMessage<SimPayload>): PeerMessage<SimPayload> {
  const { type } = message;
  const isAboutPieces = type === 'bitfield' || type === 'have-none' || type === 'have';
  return isAboutPieces ? { type: 'have-all' } : message;
}
