/** Bytes that a message between peers takes on the wire, as peer-wire encodes it (docs/protocol/peer.md). */
import type { PeerIdentity, PeerMessage } from '@bootswarm/swarm-proto';

/** BEP 3's handshake. */
const HANDSHAKE = 68;
/** Length prefix and id. */
const FRAME = 5;
/** Extended messages carry a second id. */
const EXTENDED = FRAME + 1;
/** All of an extended handshake but the names in it. */
const EXTENDED_HANDSHAKE = EXTENDED + 113;
const PRIORITY = EXTENDED + 5;
/** Shorter runs of neighbours are not folded in a bs_have. */
const RUN_MIN = 3;

/** Both handshakes of one of ours. */
export function bytesOfHandshake({ node, zone, rack }: OursIdentity): number {
  const names = [node, zone, rack].map((name) => Buffer.byteLength(name));
  const bencoded = names.map((bytes) => String(bytes).length + 1 + bytes);
  return HANDSHAKE + EXTENDED_HANDSHAKE + bencoded.reduce((sum, bytes) => sum + bytes, 0);
}

/** `shapeBytes` is the length of a bitfield of the swarm. */
export function bytesOfMessage(message: PeerMessage<unknown>, shapeBytes: number): number {
  switch (message.type) {
    case 'piece':
      return FRAME + 8 + message.length;
    case 'request':
      return FRAME + 12 + bytesOfAnnouncement(message);
    case 'redirect':
      return EXTENDED + 8 + Buffer.byteLength(message.node);
    case 'ping':
      return EXTENDED + 1 + message.padding;
    case 'pong':
      return EXTENDED + 5;
    case 'busy':
      return EXTENDED + 1;
    case 'cancel':
    case 'reject':
      return FRAME + 12;
    case 'priority':
      return PRIORITY;
    case 'have':
      return EXTENDED + 4 * wordsOfBatch(message.pieceIndexes);
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

type OursIdentity = Extract<PeerIdentity, { kind: 'ours' }>;
type RequestMessage = Extract<PeerMessage<unknown>, { type: 'request' }>;

/** The bs_prio before a request that has more to say than its range. */
function bytesOfAnnouncement({ pieceClass, failedLease }: RequestMessage): number {
  if (failedLease !== undefined) return PRIORITY + 4;
  return pieceClass === 'fill' ? 0 : PRIORITY;
}

function wordsOfBatch(pieceIndexes: readonly number[]): number {
  let words = 0;
  for (let at = 0; at < pieceIndexes.length; ) {
    let end = at + 1;
    while (end < pieceIndexes.length && pieceIndexes[end] === pieceIndexes[end - 1] + 1) end += 1;
    words += end - at >= RUN_MIN ? 2 : end - at;
    at = end;
  }
  return words;
}
