/**
 * The publisher's Ed25519 signature over an image's identity. An agent that pins the public key needs to trust nobody
 * else for content, the tracker least of all. Keeping keys, and their file modes, is the caller's.
 */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { messageOf, OperatorError, ProtocolError } from '@bootswarm/stdx';
import type { Metainfo, PieceLayer } from './metainfo.ts';
import { encodeTorrent, type MetainfoSignature, parseTorrent } from './torrent-file.ts';

/** Keeps our signatures from being taken for anything else's, and anything else's for ours. */
const DOMAIN = Buffer.from('bootswarm metainfo v1\0');

export interface SignedMetainfo {
  readonly metainfo: Metainfo;
  /** 64 lower-case hex digits: who signed. */
  readonly publicKeyHex: string;
  /** When the bytes carried it, or the image is a single piece. */
  readonly pieceLayer?: PieceLayer;
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
export function makeSignature(metainfo: Metainfo, privateKey: KeyObject): MetainfoSignature {
  return {
    publicKey: new Uint8Array(Buffer.from(publicKeyHex(privateKey), 'hex')),
    signature: new Uint8Array(sign(null, signedMessage(metainfo), privateKey)),
  };
}

/** Signed metainfo without the piece layer: some 400 bytes, a .torrent in form. */
export function signMetainfo(metainfo: Metainfo, privateKey: KeyObject): Uint8Array {
  return encodeTorrent({ metainfo, signature: makeSignature(metainfo, privateKey) });
}

/**
 * Opens signed metainfo, with or without a piece layer, from anyone. With `pinnedKeyHex` only that key's signature will do;
 * without it the caller decides whether to trust the key returned. Throws ProtocolError `signature-missing`,
 * `signature-key` or `signature-invalid`, or what parseTorrent() throws.
 */
export function openSignedMetainfo(bytes: Uint8Array, pinnedKeyHex?: string): SignedMetainfo {
  const { metainfo, pieceLayer, signature } = parseTorrent(bytes);
  if (signature === undefined) throw new ProtocolError('signature-missing');
  const keyHex = Buffer.from(signature.publicKey).toString('hex');
  if (pinnedKeyHex !== undefined && keyHex !== pinnedKeyHex.toLowerCase()) {
    throw new ProtocolError('signature-key', { publicKeyHex: keyHex });
  }
  if (!isSignatureValid(metainfo, signature)) {
    throw new ProtocolError('signature-invalid', { imageId: metainfo.imageId });
  }
  return {
    metainfo,
    publicKeyHex: keyHex,
    ...(pieceLayer !== undefined && { pieceLayer }),
  };
}

function isSignatureValid(metainfo: Metainfo, claim: MetainfoSignature): boolean {
  const x = Buffer.from(claim.publicKey).toString('base64url');
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
  return verify(null, signedMessage(metainfo), key, claim.signature);
}

/** The info hash covers name, length, piece length and pieces root, and so every byte of the image. */
function signedMessage(metainfo: Metainfo): Buffer {
  return Buffer.concat([DOMAIN, metainfo.infoHash]);
}
