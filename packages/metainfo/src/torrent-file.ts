/**
 * The .torrent file of an image: its info dictionary, piece layer and, under a key of ours that other clients ignore, the
 * publisher's signature and how the layer travels between our own. Reads what libtorrent writes too. Carries signatures;
 * signature.ts makes and checks them.
 */
import { ProtocolError } from '@bootswarm/stdx';
import {
  type BencodeDict,
  type BencodeInput,
  decode,
  decodeEntries,
  encode,
  keyOfBytes,
} from './bencode.ts';
import { PIECE_COUNT_MAX } from './image-shape.ts';
import { INFO_BYTES_MAX, parseInfo } from './info-dict.ts';
import { type CarriedLayer, encodeCarriedLayer, parseCarriedLayer } from './layer-torrent.ts';
import { HASH_LENGTH } from './merkle-tree.ts';
import type { Metainfo, PieceLayer } from './metainfo.ts';
import { makePieceLayer } from './piece-layer.ts';

/** A claim that the holder of a key published an info dictionary. Worth nothing until it has been verified. */
export interface MetainfoSignature {
  /** Ed25519, 32 bytes. */
  readonly publicKey: Uint8Array;
  /** 64 bytes. */
  readonly signature: Uint8Array;
}

export interface Torrent {
  readonly metainfo: Metainfo;
  /** Without it the file names an image, and other clients refuse it unless the image is a single piece. */
  readonly pieceLayer?: PieceLayer;
  /** How nodes of ours get the piece layer. */
  readonly carriedLayer?: CarriedLayer;
  readonly signature?: MetainfoSignature;
}

/** The longest piece layer, and the rest with a margin for what other clients add. */
export const TORRENT_BYTES_MAX = PIECE_COUNT_MAX * HASH_LENGTH + 16 * INFO_BYTES_MAX;

/** Of what is under `bootswarm`. 1 was signed over the info hash alone and said nothing of the layer. */
const VERSION = 2;
const PUBLIC_KEY_LENGTH = 32;
const SIGNATURE_LENGTH = 64;

/** `announce` is the URL of an HTTP tracker, for other clients. */
export function encodeTorrent(torrent: Torrent & { readonly announce?: string }): Uint8Array {
  const { metainfo, pieceLayer, carriedLayer, signature, announce } = torrent;
  const entries = new Map<string, BencodeInput>([['info', { bencoded: metainfo.infoBytes }]]);
  if (announce !== undefined) entries.set('announce', announce);
  if (signature !== undefined) {
    const ours = new Map<string, BencodeInput>([
      ['key', signature.publicKey],
      ['signature', signature.signature],
      ['version', VERSION],
    ]);
    if (carriedLayer !== undefined) ours.set('layer', encodeCarriedLayer(carriedLayer));
    entries.set('bootswarm', ours);
  }
  if (pieceLayer !== undefined) {
    const layers = new Map<string, BencodeInput>();
    // BEP 52: only files larger than one piece have a layer, but the dictionary is there for all.
    if (pieceLayer.pieceCount > 1) {
      layers.set(keyOfBytes(metainfo.piecesRoot), pieceLayer.bytes);
    }
    entries.set('piece layers', layers);
  }
  return encode(entries);
}

/**
 * Reads a .torrent of a stranger. The piece layer in it is checked against the pieces root, the signature and a layer that is
 * carried are not. Throws ProtocolError `bencode-…`, `info-…`, `layer-…`, `piece-layer-…` or `torrent-…`.
 */
export function parseTorrent(bytes: Uint8Array): Torrent {
  const entries = decodeEntries(bytes, { bytesMax: TORRENT_BYTES_MAX });
  const info = entries.get('info');
  if (info === undefined) throw malformed('info');
  const metainfo = parseInfo(info);
  const ours = dictOf(entries, 'bootswarm');
  const signature = signatureOf(ours);
  const carried = ours?.get('layer');
  const carriedLayer = carried === undefined ? undefined : parseCarriedLayer(metainfo, carried);
  const pieceLayer = pieceLayerOf(metainfo, dictOf(entries, 'piece layers'));
  return {
    metainfo,
    ...(pieceLayer !== undefined && { pieceLayer }),
    ...(carriedLayer !== undefined && { carriedLayer }),
    ...(signature !== undefined && { signature }),
  };
}

function signatureOf(dict: BencodeDict | undefined): MetainfoSignature | undefined {
  if (dict === undefined) return undefined;
  const version = dict.get('version') ?? 1;
  if (version !== VERSION) throw new ProtocolError('metainfo-version', { version, known: VERSION });
  const publicKey = dict.get('key');
  const signature = dict.get('signature');
  if (!(publicKey instanceof Uint8Array) || publicKey.length !== PUBLIC_KEY_LENGTH) {
    throw malformed('bootswarm.key');
  }
  if (!(signature instanceof Uint8Array) || signature.length !== SIGNATURE_LENGTH) {
    throw malformed('bootswarm.signature');
  }
  return { publicKey: new Uint8Array(publicKey), signature: new Uint8Array(signature) };
}

function pieceLayerOf(metainfo: Metainfo, dict: BencodeDict | undefined): PieceLayer | undefined {
  if (metainfo.pieceCount === 1) return makePieceLayer(metainfo, metainfo.piecesRoot);
  if (dict === undefined) return undefined;
  const layer = dict.get(keyOfBytes(metainfo.piecesRoot));
  if (!(layer instanceof Uint8Array)) throw new ProtocolError('piece-layer-missing');
  // A copy: the layer outlives the file it came in.
  return makePieceLayer(metainfo, new Uint8Array(layer));
}

function dictOf(entries: ReadonlyMap<string, Uint8Array>, key: string): BencodeDict | undefined {
  const bytes = entries.get(key);
  if (bytes === undefined) return undefined;
  const dict = decode(bytes, { bytesMax: TORRENT_BYTES_MAX });
  if (!(dict instanceof Map)) throw malformed(key);
  return dict;
}

function malformed(field: string): ProtocolError {
  return new ProtocolError('torrent-malformed', { field });
}
