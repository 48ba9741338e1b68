/**
 * Turns a decoded value into a message, copied field by field into fresh objects, or throws ProtocolError: a type nobody
 * knows, a field missing, unknown, of the wrong type or out of range. Bytes and MessagePack are message-codec.ts's matter.
 */
import { ProtocolError } from '@bootswarm/stdx';
import { BOOT_PIECES_MAX } from './boot-kind.ts';
import { Fields, invalid, isPrintable, uintOf } from './message-fields.ts';
import type {
  AgentMessage,
  KindOrder,
  Member,
  NodeReport,
  PeerAddress,
  TrackerMessage,
} from './messages.ts';
import {
  PREFETCHES_MAX,
  PRIORITY_MAX,
  type PrefetchState,
  type PrefetchTask,
} from './prefetch-order.ts';
import { readReport } from './report-schema.ts';

/** Members of one swarm: one agent per compute node, and the largest Nova cells have a few thousand nodes. */
export const MEMBERS_MAX = 10_000;
/** Members that one message may suspect: a node has no more wires than that. */
export const SUSPECTS_MAX = 64;
/** First touches in one message: 50 ms of a guest that reads 20,000 pieces a second. */
export const TOUCHES_MAX = 1_024;
/** Kinds of VM in one message: those there are and those that are gone. */
const KIND_CHANGES_MAX = 16;
/** Addresses of the origin: one process, seen over a few networks. */
const ORIGINS_MAX = 16;
/** UTF-8 bytes of a node, zone or rack: a host name is at most 64 on Linux. */
const NAME_BYTES_MAX = 128;
/** Bytes of the text of a refusal. */
const TEXT_BYTES_MAX = 1_024;

/** Whether `value` may name a node, zone or rack: 1 to 128 UTF-8 bytes, all printable. */
export function isName(value: string): boolean {
  return isPrintable(value, 1, NAME_BYTES_MAX);
}

/** Whether `value` is an IPv4 or IPv6 address without a zone index, or a DNS name (RFC 1123). */
export function isHost(value: string): boolean {
  if (value.length === 0 || value.length > 253) return false;
  if (value.includes(':'))
    return /^[0-9a-f:.]+$/i.test(value) && URL.canParse(`http://[${value}]/`);
  // A last label of digits makes it an IPv4 address or nothing, as the URL standard has it.
  if (/(^|\.)[0-9]+$/.test(value)) return IPV4.test(value);
  return value.split('.').every((label) => DNS_LABEL.test(label));
}

type Location = Pick<Member, 'zone' | 'rack'>;

/** Reads one message and counts the fields it took, so that a key sent twice can be told. */
export class MessageReader {
  #fieldsTaken = 0;

  get fieldsTaken(): number {
    return this.#fieldsTaken;
  }

  agentMessage(value: unknown): AgentMessage {
    const fields = this.#fields(value, 'message');
    const message = this.#agentMessage(fields);
    this.#fieldsTaken += fields.end();
    return message;
  }

  trackerMessage(value: unknown): TrackerMessage {
    const fields = this.#fields(value, 'message');
    const message = this.#trackerMessage(fields);
    this.#fieldsTaken += fields.end();
    return message;
  }

  #agentMessage(fields: Fields): AgentMessage {
    const type = fields.type();
    switch (type) {
      case 'hello':
        return {
          type,
          version: fields.uint('version', 0, 0xffff),
          ...names(fields),
          address: this.#address(fields.take('address'), true),
        };
      case 'join':
        return { type, image: fields.image(), piecesHad: fields.uint('piecesHad', 0, PIECES_MAX) };
      case 'leave':
        return { type, image: fields.image() };
      case 'suspect':
        return {
          type,
          image: fields.image(),
          nodes: fields.list('nodes', SUSPECTS_MAX).map((node) => nodeName(node, 'nodes')),
        };
      case 'touched':
        return {
          type,
          image: fields.image(),
          boot: fields.uint('boot', 0, 0xffff_ffff),
          pieceIndexes: fields.pieceIndexes(TOUCHES_MAX),
          isOver: fields.boolean('isOver'),
        };
      case 'progress':
        return {
          type,
          image: fields.image(),
          piecesHad: fields.uint('piecesHad', 0, PIECES_MAX),
          bytesFromPeers: fields.uint('bytesFromPeers', 0, Number.MAX_SAFE_INTEGER),
          bytesFromOrigin: fields.uint('bytesFromOrigin', 0, Number.MAX_SAFE_INTEGER),
          bytesSent: fields.uint('bytesSent', 0, Number.MAX_SAFE_INTEGER),
        };
      case 'stats':
        return { type, report: this.#report(fields.take('report')) };
      case 'prefetch-state':
        return {
          type,
          order: fields.order('order'),
          state: fields.string('state', isPrefetchState) as PrefetchState,
          piecesHad: fields.uint('piecesHad', 0, PIECES_MAX),
          piecesWanted: fields.uint('piecesWanted', 0, PIECES_MAX),
          code: fields.string('code', (text) => /^[a-z0-9-]{0,64}$/.test(text)),
        };
      case 'boot-held':
        return {
          type,
          image: fields.image(),
          pieces: fields.uint('pieces', 0, PIECES_MAX),
          piecesHad: fields.uint('piecesHad', 0, PIECES_MAX),
        };
      default:
        throw new ProtocolError('message-type-unknown', { type: type.slice(0, 32) });
    }
  }

  #trackerMessage(fields: Fields): TrackerMessage {
    const type = fields.type();
    switch (type) {
      case 'welcome':
        return {
          type,
          version: fields.uint('version', 0, 0xffff),
          publisherKey: fields.string('publisherKey', (text) => /^[0-9a-f]{64}$/.test(text)),
        };
      case 'members':
        return {
          type,
          image: fields.image(),
          epoch: fields.uint('epoch', 0, Number.MAX_SAFE_INTEGER),
          isFull: fields.boolean('isFull'),
          members: this.#members(fields),
          left: fields.list('left', MEMBERS_MAX).map((node) => nodeName(node, 'left')),
          origins: fields.list('origins', ORIGINS_MAX).map((each) => this.#address(each, false)),
        };
      case 'boot-order':
        return {
          type,
          image: fields.image(),
          revision: fields.uint('revision', 0, Number.MAX_SAFE_INTEGER),
          isFull: fields.boolean('isFull'),
          kinds: fields.list('kinds', KIND_CHANGES_MAX).map((kind) => this.#kindOrder(kind)),
        };
      case 'prefetch':
        return {
          type,
          tasks: fields.list('tasks', PREFETCHES_MAX).map((task) => this.#prefetchTask(task)),
        };
      case 'published':
      case 'withdrawn':
        return { type, image: fields.image() };
      case 'refused':
        return {
          type,
          code: fields.string('code', (text) => /^[a-z0-9-]{1,64}$/.test(text)),
          message: fields.string('message', (text) => isPrintable(text, 0, TEXT_BYTES_MAX)),
          image: fields.image(),
        };
      default:
        throw new ProtocolError('message-type-unknown', { type: type.slice(0, 32) });
    }
  }

  /** Each as [node, host, port, place, index of its location]. */
  #members(fields: Fields): Member[] {
    const locations = fields.list('locations', MEMBERS_MAX).map((each) => this.#location(each));
    return fields.list('members', MEMBERS_MAX).map((row) => memberOf(row, locations));
  }

  #location(value: unknown): Location {
    const fields = this.#fields(value, 'locations');
    const location = { zone: fields.string('zone', isName), rack: fields.string('rack', isName) };
    this.#fieldsTaken += fields.end();
    return location;
  }

  #kindOrder(value: unknown): KindOrder {
    const fields = this.#fields(value, 'kinds');
    const order = {
      kind: fields.uint('kind', 0, 0xffff_ffff),
      from: fields.uint('from', 0, BOOT_PIECES_MAX),
      pieceIndexes: fields.pieceIndexes(BOOT_PIECES_MAX),
    };
    this.#fieldsTaken += fields.end();
    return order;
  }

  #report(value: unknown): NodeReport {
    const fields = this.#fields(value, 'report');
    const report = readReport(fields);
    this.#fieldsTaken += fields.end();
    return report;
  }

  #prefetchTask(value: unknown): PrefetchTask {
    const fields = this.#fields(value, 'tasks');
    const task = {
      id: fields.order('id'),
      image: fields.image(),
      bootOrderOnly: fields.boolean('bootOrderOnly'),
      priority: fields.uint('priority', 0, PRIORITY_MAX),
      isPinned: fields.boolean('isPinned'),
      expiresInMs: fields.uint('expiresInMs', 0, Number.MAX_SAFE_INTEGER),
    };
    this.#fieldsTaken += fields.end();
    return task;
  }

  #address(value: unknown, mayBeEmpty: boolean): PeerAddress {
    const fields = this.#fields(value, 'address');
    const isValid = (host: string) => isHost(host) || (mayBeEmpty && host === '');
    const address = { host: fields.string('host', isValid), port: fields.uint('port', 1, 65_535) };
    this.#fieldsTaken += fields.end();
    return address;
  }

  #fields(value: unknown, where: string): Fields {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(where);
    return new Fields(value as Record<string, unknown>);
  }
}

/** 2^20 pieces is the design's bound for one image; foreign piece lengths may give more. */
const PIECES_MAX = 0xffff_ffff;

const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?=\d)|$)){4}$/;
const DNS_LABEL = /^(?!-)[a-z0-9-]{1,63}(?<!-)$/i;

const PREFETCH_STATES: readonly string[] = ['waiting', 'fetching', 'done', 'failed'];

function isPrefetchState(text: string): boolean {
  return PREFETCH_STATES.includes(text);
}

function names(fields: Fields): { node: string; zone: string; rack: string } {
  return {
    node: fields.string('node', isName),
    zone: fields.string('zone', isName),
    rack: fields.string('rack', isName),
  };
}

function memberOf(row: unknown, locations: readonly Location[]): Member {
  if (!Array.isArray(row) || row.length !== 5) throw invalid('members');
  const [node, host, port, place, location] = row;
  if (typeof host !== 'string' || !isHost(host)) throw invalid('members');
  return {
    node: nodeName(node, 'members'),
    ...locations[uintOf(location, 'members', 0, locations.length - 1)],
    address: { host, port: uintOf(port, 'members', 1, 65_535) },
    place: uintOf(place, 'members', 0, MEMBERS_MAX - 1),
  };
}

function nodeName(value: unknown, where: string): string {
  if (typeof value !== 'string' || !isName(value)) throw invalid(where);
  return value;
}
