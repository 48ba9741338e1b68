/** Bytes that a message between peers takes on the wire, as peer-wire encodes it (docs/protocol/peer.md). */
import type { PeerMessage } from '@bootswarm/swarm-proto';

/** Length prefix and id. */
const FRAME = 5;
/** Names of nodes here are about this long. */
const NODE_NAME = 8;
/** Extended messages carry a second id. */
const EXTENDED = FRAME + 1;
const PRIORITY = EXTENDED + 5;

/** `shapeBytes` is the length of a bitfield of the swarm. */
export function bytesOfMessage(message: PeerMessage<unknown>, shapeBytes: number): number {
  switch (message.type) {
    case 'piece':
      return FRAME + 8 + message.length;
    case 'request':
      return (
        FRAME +
        12 +
        (message.pieceClass === 'fill' ? 0 : PRIORITY) +
        (message.failedLease === undefined ? 0 : 4)
      );
    case 'redirect':
      return EXTENDED + 8 + NODE_NAME;
    case 'ping':
    case 'pong':
    case 'busy':
      return EXTENDED + 1;
    case 'cancel':
    case 'reject':
      return FRAME + 12;
    case 'priority':
      return PRIORITY;
    case 'have':
      return EXTENDED + 4 * message.pieceIndexes.length;
    case 'bitfield':
      return FRAME + shapeBytes;
    default:
      return FRAME;
  }
}

/** 0 control, 1 demand, 2 the rest: the order in which an egress lets them overtake. */
export function priorityOfMessage(message: PeerMessage<unknown>, isDemandPiece: boolean): number {
  if (message.type !== 'piece') return 0;
  return isDemandPiece ? 1 : 2;
}
