/** Bytes received and verified, by who sent them and by why they were wanted. Counted once per piece. */
import type { Peer } from './peer.ts';
import { PIECE_CLASSES, type PieceClass } from './peer-message.ts';

/** zone: one of ours in our zone; remote: in another; foreign: a BitTorrent client that is no agent. */
export const PIECE_SOURCES = ['zone', 'remote', 'foreign', 'origin'] as const;
export type PieceSource = (typeof PIECE_SOURCES)[number];
export type ReceivedBytes = Record<PieceSource, Record<PieceClass, number>>;

export function noReceivedBytes(): ReceivedBytes {
  const none = () => Object.fromEntries(PIECE_CLASSES.map((each) => [each, 0]));
  return Object.fromEntries(PIECE_SOURCES.map((each) => [each, none()])) as ReceivedBytes;
}

export function sourceOf(peer: Peer, isNear: boolean): PieceSource {
  if (peer.isOrigin) return 'origin';
  if (!peer.isOurs) return 'foreign';
  return isNear ? 'zone' : 'remote';
}
