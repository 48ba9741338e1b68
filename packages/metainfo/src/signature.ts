/**
 * The publisher's Ed25519 signature over an image's identity and over where its piece layer is found. An agent that pins the
 * public key needs to trust nobody else for content, the tracker least of all. Keeping keys, and their file modes, is the
 * caller's.
 */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  hash,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { messageOf, OperatorError, ProtocolError } from '@bootswarm/stdx';
import { encode } from './bencode.ts';
import { type CarriedLayer, encodeCarriedLayer, type LayerTorrent } from './layer-torrent.ts';
import type { Metainfo, PieceLayer } from './metainfo.ts';
import { unpackLayer } from './packed-layer.ts';
import { encodeTorrent, type MetainfoSignature, parseTorrent } from './torrent-file.ts';

/** Keeps our signatures from being taken for anything else's, and anything else's for ours. */
const DOMAIN = Buffer.from('bootswarm metainfo v2\0');

export interface SignedMetainfo {
  readonly metainfo: Metainfo;
  /** 64 lower-case hex digits: who signed. */
  readonly publicKeyHex: string;
  /** When the bytes carried it, in either form, or the image is a single piece. */
  readonly pieceLayer?: PieceLayer;
  /** Where it is to be had when they did not. */
  readonly layerTorrent?: LayerTorrent;
}

export function generatePublisherKey(): KeyObject {
  return generateKeyPairSync('ed25519').privateKey;
}

/** PKCS #8 PEM of a private key: to be written with mode 0600. */
export function publisherKeyToPem(privateKey: KeyObject): string {
  return privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
}

/** Throws OperatorError `publisher-key` when `pem` is not an Ed25519 private key. */
export function publisherKeyFromPem(pem: string): KeyObject {
  let key: KeyObject | undefined;
  let reason = 'it holds a key of another type';
  try {
    key = createPrivateKey(pem);
  } catch (error) {
    reason = messageOf(error);
  }
  if (key?.asymmetricKeyType === 'ed25519') return key;
  throw new OperatorError(
    'publisher-key',
    `The publisher's key is not an Ed25519 private key: ${reason}`,
    'Give the PEM file that was made for this publisher.',
  );
}

/** What agents pin: 64 lower-case hex digits. Takes either half of a key pair. */
export function publicKeyHex(key: KeyObject): string {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key;
  const { x } = publicKey.export({ format: 'jwk' });
  return Buffer.from(x as string, 'base64url').toString('hex');
}

/** For encodeTorrent(). */
export function makeSignature(
  metainfo: Metainfo,
  privateKey: KeyObject,
  carriedLayer?: CarriedLayer,
): MetainfoSignature {
  const message = signedMessage(metainfo, carriedLayer);
  return {
    publicKey: new Uint8Array(Buffer.from(publicKeyHex(privateKey), 'hex')),
    signature: new Uint8Array(sign(null, message, privateKey)),
  };
}

/** Signed metainfo as agents fetch it, a .torrent in form: some 400 bytes, and the carried layer of up to 16 KiB. */
export function signMetainfo(
  metainfo: Metainfo,
  privateKey: KeyObject,
  carriedLayer?: CarriedLayer,
): Uint8Array {
  const signature = makeSignature(metainfo, privateKey, carriedLayer);
  return encodeTorrent({ metainfo, signature, ...(carriedLayer && { carriedLayer }) });
}

/**
 * Opens signed metainfo, with or without a piece layer, from anyone. With `pinnedKeyHex` only that key's signature will do;
 * without it the caller decides whether to trust the key returned. Throws ProtocolError `signature-missing`,
 * `signature-key` or `signature-invalid`, or what parseTorrent() and unpackLayer() throw.
 */
export function openSignedMetainfo(bytes: Uint8Array, pinnedKeyHex?: string): SignedMetainfo {
  const { metainfo, carriedLayer, signature, ...torrent } = parseTorrent(bytes);
  if (signature === undefined) throw new ProtocolError('signature-missing');
  const keyHex = Buffer.from(signature.publicKey).toString('hex');
  if (pinnedKeyHex !== undefined && keyHex !== pinnedKeyHex.toLowerCase()) {
    throw new ProtocolError('signature-key', { publicKeyHex: keyHex });
  }
  if (!isSignatureValid(metainfo, carriedLayer, signature)) {
    throw new ProtocolError('signature-invalid', { imageId: metainfo.imageId });
  }
  const isInline = torrent.pieceLayer === undefined && carriedLayer?.type === 'inline';
  const pieceLayer = isInline ? unpackLayer(metainfo, carriedLayer.packed) : torrent.pieceLayer;
  return {
    metainfo,
    publicKeyHex: keyHex,
    ...(pieceLayer !== undefined && { pieceLayer }),
    ...(carriedLayer?.type === 'swarm' && { layerTorrent: carriedLayer }),
  };
}

function isSignatureValid(
  metainfo: Metainfo,
  carriedLayer: CarriedLayer | undefined,
  claim: MetainfoSignature,
): boolean {
  const x = Buffer.from(claim.publicKey).toString('base64url');
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
  return verify(null, signedMessage(metainfo, carriedLayer), key, claim.signature);
}

/**
 * The info hash covers name, length, piece length and pieces root, and so every byte of the image; the other one what is said
 * of the layer, so that nobody can send nodes into a swarm that the publisher did not name.
 */
function signedMessage(metainfo: Metainfo, carriedLayer: CarriedLayer | undefined): Buffer {
  const carried = carriedLayer ? encode(encodeCarriedLayer(carriedLayer)) : new Uint8Array();
  return Buffer.concat([DOMAIN, metainfo.infoHash, hash('sha256', carried, 'buffer')]);
}
