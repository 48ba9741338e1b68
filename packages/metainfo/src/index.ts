export {
  type BencodeDict,
  type BencodeInput,
  type BencodeLimits,
  type BencodeValue,
  bytesOfKey,
  decode,
  decodeEntries,
  encode,
  keyOfBytes,
  keyOfText,
} from './bencode.ts';
export { HASHES_MAX, type HashRequest, hashesFor } from './hash-request.ts';
export { type DataExtent, type HashImageFileOptions, hashImageFile } from './image-file.ts';
export {
  BLOCK_LENGTH,
  isPieceLength,
  PIECE_COUNT_MAX,
  PIECE_LENGTH_MAX,
  PIECE_LENGTH_MIN,
  pieceLengthAt,
} from './image-shape.ts';
export {
  choosePieceLength,
  createInfo,
  INFO_BYTES_MAX,
  type InfoFields,
  parseInfo,
} from './info-dict.ts';
export {
  type CarriedLayer,
  carryLayer,
  type LayerTorrent,
} from './layer-torrent.ts';
export { HASH_LENGTH, leavesOf, proofOf, rootOfProof } from './merkle-tree.ts';
export type { Metainfo, PieceLayer } from './metainfo.ts';
export {
  PACKED_LAYER_BYTES_MAX,
  packedLayerLength,
  packLayer,
  unpackLayer,
} from './packed-layer.ts';
export { type ImageHashes, PieceHasher } from './piece-hasher.ts';
export { makePieceLayer } from './piece-layer.ts';
export {
  generatePublisherKey,
  makeSignature,
  openSignedMetainfo,
  publicKeyHex,
  publisherKeyFromPem,
  publisherKeyToPem,
  type SignedMetainfo,
  signMetainfo,
} from './signature.ts';
export {
  encodeTorrent,
  type MetainfoSignature,
  parseTorrent,
  TORRENT_BYTES_MAX,
  type Torrent,
} from './torrent-file.ts';
