/** Small images with their real hashes: every piece differs, except the zero pieces. */
import {
  createInfo,
  type Metainfo,
  makePieceLayer,
  PieceHasher,
  type PieceLayer,
} from '@bootswarm/metainfo';
import { Random } from '@bootswarm/stdx';

export interface TestImage {
  readonly bytes: Uint8Array;
  readonly metainfo: Metainfo;
  readonly layer: PieceLayer;
  /** A copy of one piece. */
  piece(pieceIndex: number): Uint8Array;
}

export const PIECE_LENGTH = 16 * 1024;

export interface TestImageOptions {
  readonly pieceCount?: number;
  readonly pieceLength?: number;
  /** Bytes of the last piece; default whole. */
  readonly lastBytes?: number;
  readonly zeroPieces?: readonly number[];
  readonly seed?: number;
}

export function makeImage(options: TestImageOptions = {}): TestImage {
  const { pieceCount = 8, pieceLength = PIECE_LENGTH, zeroPieces = [], seed = 1 } = options;
  const length = (pieceCount - 1) * pieceLength + (options.lastBytes ?? pieceLength);
  const bytes = new Uint8Array(length);
  const words = new Uint32Array(bytes.buffer, 0, Math.floor(length / 4));
  const random = new Random(seed);
  for (let index = 0; index < words.length; index += 1) words[index] = random.uint32();
  for (const index of zeroPieces) bytes.fill(0, index * pieceLength, (index + 1) * pieceLength);
  const hasher = new PieceHasher({ length, pieceLength });
  hasher.push(bytes);
  const { piecesRoot, pieceLayer } = hasher.finish();
  const metainfo = createInfo({ name: 'test.raw', length, pieceLength, piecesRoot });
  return {
    bytes,
    metainfo,
    layer: makePieceLayer(metainfo, pieceLayer),
    piece: (index) => bytes.slice(index * pieceLength, (index + 1) * pieceLength),
  };
}
