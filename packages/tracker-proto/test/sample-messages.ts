/** One valid message of each kind as a plain object, and the code with which the codec refuses bytes. */
import { ProtocolError } from '@bootswarm/stdx';
import { Packr } from 'msgpackr';
import { decodeAgentMessage, decodeTrackerMessage } from '../src/index.ts';

export const IMAGE = '0123456789abcdef0123456789abcdef01234567';
export const HELLO = {
  type: 'hello',
  version: 1,
  node: 'n1',
  zone: 'z',
  rack: 'r',
  address: { host: '', port: 6881 },
};
export const JOIN = { type: 'join', image: IMAGE, piecesHad: 0 };
export const PROGRESS = {
  ...JOIN,
  type: 'progress',
  bytesFromPeers: 1,
  bytesFromOrigin: 2,
  bytesSent: 3,
};
export const SUSPECT = { type: 'suspect', image: IMAGE, nodes: ['b'] };
export const TOUCHED = {
  type: 'touched',
  image: IMAGE,
  boot: 1,
  pieceIndexes: Buffer.of(2, 2),
  isOver: false,
};
export const STATS = {
  type: 'stats',
  report: {
    ...{ intervalMs: 2_000, vmsBooting: 1, vmsConnected: 2 },
    ...{ readCache: 1, readPeers: 2, readOrigin: 3, receivedPeers: 4, receivedOrigin: 5 },
    ...{ cacheBytes: 6, cacheBytesMax: 0 },
    originReads: [[IMAGE, 'tree-root', 7]],
    alarms: [['read-waiting', 'debian', 'why', 'what', '2026-01-02T03:04:05.678Z']],
  },
};
export const BOOT_ORDER = {
  type: 'boot-order',
  image: IMAGE,
  revision: 1,
  isFull: true,
  kinds: [{ kind: 1, from: 0, pieceIndexes: Buffer.of(2, 2) }],
};
export const MEMBERS = {
  type: 'members',
  image: IMAGE,
  epoch: 1,
  isFull: true,
  members: [{ node: 'a', zone: 'z', rack: 'r', address: { host: '10.0.0.1', port: 1 }, place: 0 }],
  left: ['b'],
  origins: [{ host: 'origin.example', port: 6881 }],
};
/** The same as it is on the wire. */
export const PACKED_MEMBERS = {
  ...MEMBERS,
  locations: [{ zone: 'z', rack: 'r' }],
  members: [['a', '10.0.0.1', 1, 0, 0]],
};
export const WELCOME = { type: 'welcome', version: 1, publisherKey: 'ab'.repeat(32) };
export const REFUSED = { type: 'refused', code: 'image-not-found', message: 'No.', image: IMAGE };

export const packr = new Packr({ useRecords: false, variableMapSize: true });

function codeOf(decode: () => unknown): string {
  try {
    decode();
  } catch (error) {
    if (error instanceof ProtocolError) return error.code;
    throw error;
  }
  return 'accepted';
}

export const agentCode = (bytes: Uint8Array) => codeOf(() => decodeAgentMessage(bytes));
export const trackerCode = (bytes: Uint8Array) => codeOf(() => decodeTrackerMessage(bytes));
