/**
 * The info dictionary of an image: one file, BitTorrent v2 only (BEP 52). Makes it, and refuses any other kind. Its bytes
 * are the identity of the image and are kept as they are.
 */
import { hash } from 'node:crypto';
import { assert, OperatorError, ProtocolError } from '@bootswarm/stdx';
import {
  type BencodeDict,
  type BencodeInput,
  type BencodeValue,
  bytesOfKey,
  decode,
  encode,
  keyOfBytes,
  keyOfText,
} from './bencode.ts';
import { imageShape, isPieceLength, PIECE_COUNT_MAX, PIECE_LENGTH_MAX } from './image-shape.ts';
import { HASH_LENGTH } from './merkle-tree.ts';
import type { Metainfo } from './metainfo.ts';

/** Ours have some 200 bytes; the rest is room for what other clients add. */
export const INFO_BYTES_MAX = 64 * 1024;
/** What a Linux file name may have. */
const NAME_BYTES_MAX = 255;
/** 64 KiB: the least that a boot reads in excess of what it needs, at a bearable number of pieces. */
const PIECE_LENGTH_CHOSEN_MIN = 64 * 1024;
/** A layer of 32 MiB, and one `have` bitfield of 128 KiB. */
const PIECE_COUNT_CHOSEN = 2 ** 20;

/** The smallest power of two, from 64 KiB to 16 MiB, that keeps an image of `length` bytes under 2^20 pieces. */
export function choosePieceLength(length: number): number {
  assert(Number.isSafeInteger(length) && length > 0, `image length ${length}`);
  let pieceLength = PIECE_LENGTH_CHOSEN_MIN;
  while (pieceLength < PIECE_LENGTH_MAX && Math.ceil(length / pieceLength) >= PIECE_COUNT_CHOSEN) {
    pieceLength *= 2;
  }
  return pieceLength;
}

export interface InfoFields {
  /** A file name: shown to people, and what other clients save the image as. */
  readonly name: string;
  readonly length: number;
  readonly pieceLength: number;
  readonly piecesRoot: Uint8Array;
}

/** Describes an image that was hashed. Throws OperatorError `image-name` or `image-size` for what no swarm can carry. */
export function createInfo(fields: InfoFields): Metainfo {
  const { name, length, pieceLength, piecesRoot } = fields;
  assert(piecesRoot.length === HASH_LENGTH, `pieces root of ${piecesRoot.length} bytes`);
  assert(isPieceLength(pieceLength), `piece length ${pieceLength}`);
  if (!isName(name)) {
    throw new OperatorError(
      'image-name',
      `${JSON.stringify(name)} cannot name an image`,
      'Use 1 to 255 bytes of UTF-8 without slashes, backslashes and control characters.',
    );
  }
  if (length === 0 || length > pieceLength * PIECE_COUNT_MAX) {
    throw new OperatorError(
      'image-size',
      `An image of ${length} bytes cannot be divided into pieces of ${pieceLength}`,
      `Use an image of 1 byte to ${PIECE_COUNT_MAX} pieces.`,
    );
  }
  const properties = new Map<string, BencodeInput>([
    ['length', length],
    ['pieces root', piecesRoot],
  ]);
  const info = new Map<string, BencodeInput>([
    ['file tree', new Map([[keyOfText(name), new Map([['', properties]])]])],
    ['meta version', 2],
    ['name', name],
    ['piece length', pieceLength],
  ]);
  return metainfoOf(fields, encode(info));
}

/**
 * Reads an info dictionary of a stranger. Throws ProtocolError `bencode-…` or `info-…`. Keys that BEP 52 does not name are
 * let pass, since other clients add some (`private`, `source`).
 */
export function parseInfo(infoBytes: Uint8Array): Metainfo {
  const info = decode(infoBytes, { bytesMax: INFO_BYTES_MAX });
  if (!(info instanceof Map)) throw malformed('info');
  // First, as BEP 52 asks: whatever else is strange about a later version follows from its being later.
  const version = integerOf(info, 'meta version');
  if (version !== 2) throw new ProtocolError('info-version', { version });
  for (const key of ['files', 'length', 'pieces']) {
    if (info.has(key)) throw new ProtocolError('info-hybrid', { key });
  }
  const pieceLength = integerOf(info, 'piece length');
  if (!isPieceLength(pieceLength)) throw new ProtocolError('info-piece-length', { pieceLength });
  const { length, piecesRoot } = onlyFileOf(info);
  const pieceCount = Math.ceil(length / pieceLength);
  if (pieceCount > PIECE_COUNT_MAX) throw new ProtocolError('info-piece-count', { pieceCount });
  const name = nameOf(bytesOf(info, 'name'));
  return metainfoOf({ name, length, pieceLength, piecesRoot }, infoBytes);
}

function metainfoOf(fields: InfoFields, infoBytes: Uint8Array): Metainfo {
  const infoHash = new Uint8Array(hash('sha256', infoBytes, 'buffer'));
  return {
    name: fields.name,
    length: fields.length,
    pieceLength: fields.pieceLength,
    pieceCount: imageShape(fields.length, fields.pieceLength).pieceCount,
    // Copies: a view would keep all of a torrent file alive, piece layers included.
    piecesRoot: new Uint8Array(fields.piecesRoot),
    infoBytes: new Uint8Array(infoBytes),
    infoHash,
    imageId: Buffer.from(infoHash.buffer, 0, 20).toString('hex'),
  };
}

/** `file tree` is `{name: {"": {length, pieces root}}}`. */
function onlyFileOf(info: BencodeDict): { length: number; piecesRoot: Uint8Array } {
  const [name, node] = onlyEntryOf(info.get('file tree'));
  nameOf(bytesOfKey(name));
  const [empty, properties] = onlyEntryOf(node);
  if (empty !== '') throw new ProtocolError('info-not-one-file');
  if (!(properties instanceof Map)) throw malformed('file');
  // BEP 47: a padding file or a symbolic link has no content of its own.
  const attributes = properties.has('attr') ? keyOfBytes(bytesOf(properties, 'attr')) : '';
  if (/[pl]/.test(attributes)) throw new ProtocolError('info-file-attributes', { attributes });
  const length = integerOf(properties, 'length');
  if (length <= 0) throw new ProtocolError('info-length', { length });
  const piecesRoot = bytesOf(properties, 'pieces root');
  if (piecesRoot.length !== HASH_LENGTH) throw malformed('pieces root');
  return { length, piecesRoot };
}

function onlyEntryOf(value: BencodeValue | undefined): [string, BencodeValue] {
  if (!(value instanceof Map)) throw malformed('file tree');
  const [entry, another] = value;
  if (entry === undefined || another !== undefined) throw new ProtocolError('info-not-one-file');
  return entry;
}

function nameOf(bytes: Uint8Array): string {
  const name = textOf(bytes);
  if (name === undefined || !isName(name)) throw new ProtocolError('info-name');
  return name;
}

/** Fit to be a file name anywhere, and to be shown on a terminal. */
function isName(name: string): boolean {
  const { length } = Buffer.from(name);
  if (length === 0 || length > NAME_BYTES_MAX || name === '.' || name === '..') return false;
  return name.isWellFormed() && !/[/\\\p{Cc}]/u.test(name);
}

function textOf(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

function integerOf(dict: BencodeDict, key: string): number {
  const value = dict.get(key);
  if (typeof value !== 'number') throw malformed(key);
  return value;
}

function bytesOf(dict: BencodeDict, key: string): Uint8Array {
  const value = dict.get(key);
  if (!(value instanceof Uint8Array)) throw malformed(key);
  return value;
}

function malformed(field: string): ProtocolError {
  return new ProtocolError('info-malformed', { field });
}
