/**
 * BEP 10's handshake: what we say of ourselves in it and what we take from a peer's. Decoded by metainfo's strict
 * bencode and never by the wire's, which four bytes can hang.
 */
import { type BencodeDict, type BencodeValue, decode } from '@bootswarm/metainfo';
import { ProtocolError } from '@bootswarm/stdx';
import type { PeerIdentity } from '@bootswarm/swarm-proto';
import { EXTENDED_BYTES_MAX } from './frame-lengths.ts';
import { decodeName } from './node-name.ts';

type OursIdentity = Extract<PeerIdentity, { kind: 'ours' }>;

/** Version of `bs` and of the messages it announces. Another version is a foreign peer. */
const BS_VERSION = 1;
/** The ids under which we take our extension messages. */
export const EXTENSION_ID = { bs_have: 1, bs_prio: 2, bs_redir: 3, bs_ping: 4 } as const;
const CLIENT = 'bootswarm 0.1';
const CLIENT_CHARACTERS_MAX = 64;
/** What libtorrent assumes of a peer that does not say. */
export const REQQ_DEFAULT = 250;

export interface ExtendedHandshake {
  readonly client: string;
  /** Requests the peer lets wait, at least 1. */
  readonly reqq: number;
  /** Set iff the peer is one of ours. */
  readonly ours: OurExtensions | undefined;
}

export interface OurExtensions {
  readonly identity: OursIdentity;
  /** The ids under which the peer takes our extension messages. */
  readonly haveId: number;
  readonly prioId: number;
  readonly redirId: number;
  readonly pingId: number;
}

/** Everything but `m`, which the wire adds. */
export function ourExtendedHandshake(self: OursIdentity, reqq: number): Record<string, unknown> {
  const { node, zone, rack } = self;
  return {
    bs: { n: node, o: self.isOrigin ? 1 : 0, r: rack, v: BS_VERSION, z: zone },
    reqq,
    v: CLIENT,
  };
}

/** Throws ProtocolError: `bencode-…`, or `extended-handshake-malformed` for a field we need that makes no sense. */
export function parseExtendedHandshake(payload: Uint8Array): ExtendedHandshake {
  const dict = decode(payload, { bytesMax: EXTENDED_BYTES_MAX, isCanonical: false });
  if (!(dict instanceof Map)) throw malformed('the handshake');
  const ids = dict.get('m') ?? new Map();
  if (!(ids instanceof Map)) throw malformed('m');
  for (const [name, id] of ids) {
    if (typeof id !== 'number' || id < 0 || id > 255) throw malformed(`m ${name}`);
  }
  return {
    client: clientOf(dict.get('v')),
    reqq: reqqOf(dict.get('reqq')),
    ours: oursOf(dict.get('bs'), ids),
  };
}

function oursOf(bs: BencodeValue | undefined, ids: BencodeDict): OurExtensions | undefined {
  if (!(bs instanceof Map) || bs.get('v') !== BS_VERSION) return undefined;
  const isOrigin = bs.get('o');
  if (isOrigin !== 0 && isOrigin !== 1) throw malformed('bs o');
  const identity: OursIdentity = {
    kind: 'ours',
    node: nameOf(bs, 'n'),
    zone: nameOf(bs, 'z'),
    rack: nameOf(bs, 'r'),
    isOrigin: isOrigin === 1,
  };
  if (identity.node === '') throw malformed('bs n');
  return {
    identity,
    haveId: idOf(ids, 'bs_have'),
    prioId: idOf(ids, 'bs_prio'),
    redirId: idOf(ids, 'bs_redir'),
    pingId: idOf(ids, 'bs_ping'),
  };
}

function nameOf(bs: BencodeDict, key: string): string {
  const bytes = bs.get(key);
  const name = bytes instanceof Uint8Array ? decodeName(bytes) : undefined;
  if (name === undefined) throw malformed(`bs ${key}`);
  return name;
}

function idOf(ids: BencodeDict, name: string): number {
  const id = ids.get(name);
  // 0 would be BEP 10's "not supported"; version 1 supports all.
  if (typeof id !== 'number' || id === 0) throw malformed(`m ${name}`);
  return id;
}

/** Shown to people only: what is not printable is left out. */
function clientOf(bytes: BencodeValue | undefined): string {
  if (!(bytes instanceof Uint8Array)) return '';
  const shown = bytes.subarray(0, CLIENT_CHARACTERS_MAX).filter(isPrintable);
  return String.fromCharCode(...shown);
}

function reqqOf(reqq: BencodeValue | undefined): number {
  return typeof reqq === 'number' ? Math.max(1, reqq) : REQQ_DEFAULT;
}

function isPrintable(byte: number): boolean {
  return byte >= 0x20 && byte <= 0x7e;
}

function malformed(field: string): ProtocolError {
  return new ProtocolError('extended-handshake-malformed', { field });
}
