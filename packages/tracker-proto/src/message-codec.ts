/**
 * AgentMessage and TrackerMessage ↔ bytes: MessagePack maps, no extensions, bounded length and depth. A message that
 * decodes is valid to the last field; anything else throws ProtocolError, and the connection it came on should close.
 */
import { ProtocolError } from '@bootswarm/stdx';
import { Packr } from 'msgpackr';
import { MessageReader } from './message-schema.ts';
import type { AgentMessage, Member, TrackerMessage } from './messages.ts';
import { scanMessagePack } from './msgpack-scan.ts';
import { encodePieceIndexes } from './piece-index-list.ts';
import { packReport } from './report-schema.ts';

/** The largest valid one, a stats, stays under 32 KiB: 16 alarms of three texts of 512 bytes, and 64 origin reads. */
export const AGENT_MESSAGE_BYTES_MAX = 64 * 1024;
/**
 * 10,000 members of at most 700 bytes (three names of 128, a host of 253, a place, all in racks of their own) is 6.7 MiB; a
 * change in which all of them take the place of 10,000 others names those too: 1.3 MiB more.
 */
export const TRACKER_MESSAGE_BYTES_MAX = 8 * 1024 * 1024;

export function encodeAgentMessage(message: AgentMessage): Buffer {
  return encode(message);
}

/** One encoding may go to any number of agents. */
export function encodeTrackerMessage(message: TrackerMessage): Buffer {
  return encode(message);
}

/** Throws ProtocolError, nothing else, whatever the bytes. */
export function decodeAgentMessage(bytes: Uint8Array): AgentMessage {
  return decode(bytes, AGENT_MESSAGE_BYTES_MAX, (reader, value) => reader.agentMessage(value));
}

/** Throws ProtocolError, nothing else, whatever the bytes. */
export function decodeTrackerMessage(bytes: Uint8Array): TrackerMessage {
  return decode(bytes, TRACKER_MESSAGE_BYTES_MAX, (reader, value) => reader.trackerMessage(value));
}

const packr = new Packr({
  useRecords: false,
  mapsAsObjects: true,
  structuredClone: false,
  int64AsType: 'number',
  variableMapSize: true,
});

/** Piece indexes as one binary value, members without keys and zones and racks once; the rest as it is. */
function wireForm(message: AgentMessage | TrackerMessage): object {
  switch (message.type) {
    case 'touched':
      return { ...message, pieceIndexes: binaryOf(message.pieceIndexes) };
    case 'boot-order': {
      const kinds = message.kinds.map((each) => ({
        ...each,
        pieceIndexes: binaryOf(each.pieceIndexes),
      }));
      return { ...message, kinds };
    }
    case 'stats':
      return { ...message, report: packReport(message.report) };
    case 'members':
      return { ...message, ...memberColumns(message.members) };
    default:
      return message;
  }
}

/** Orders are nearly all that a tracker sends when many join: as maps they were three times as long. */
function memberColumns(members: readonly Member[]): object {
  const locations: { zone: string; rack: string }[] = [];
  const indexOf = new Map<string, number>();
  const rows = members.map(({ node, zone, rack, address, place }) => {
    const key = JSON.stringify([zone, rack]);
    let location = indexOf.get(key);
    if (location === undefined) {
      location = locations.push({ zone, rack }) - 1;
      indexOf.set(key, location);
    }
    return [node, address.host, address.port, place, location];
  });
  return { locations, members: rows };
}

function binaryOf(pieceIndexes: Uint32Array): Buffer {
  return Buffer.from(encodePieceIndexes(pieceIndexes));
}

function encode(message: AgentMessage | TrackerMessage): Buffer {
  // pack() returns a view of an arena that grows to the largest message; a small one in a send queue must not pin it.
  return Buffer.from(packr.pack(wireForm(message)));
}

function decode<T>(
  bytes: Uint8Array,
  bytesMax: number,
  read: (reader: MessageReader, value: unknown) => T,
): T {
  if (bytes.length > bytesMax) {
    throw new ProtocolError('message-too-long', { length: bytes.length, lengthMax: bytesMax });
  }
  const { mapEntries } = scanMessagePack(bytes);
  const reader = new MessageReader();
  const message = read(reader, packr.unpack(bytes));
  if (reader.fieldsTaken !== mapEntries) throw new ProtocolError('field-repeated');
  return message;
}
