/** The image that is cached while a process is killed: small enough that every call of its life can be the last. */
import {
  createInfo,
  type Metainfo,
  makePieceLayer,
  PieceHasher,
  type PieceLayer,
} from '@bootswarm/metainfo';
import { Random } from '@bootswarm/stdx';

const PIECE_LENGTH = 16 * 1024;
const PIECE_COUNT = 40;
/** Neither is ever written. */
const ZERO_PIECES = [3, 21];
const LAST_BYTES = 5_000;

export interface CrashImage {
  readonly metainfo: Metainfo;
  readonly layer: PieceLayer;
  /** A copy of one piece. */
  piece(pieceIndex: number): Uint8Array;
}

export function makeCrashImage(): CrashImage {
  const length = (PIECE_COUNT - 1) * PIECE_LENGTH + LAST_BYTES;
  const words = new Uint32Array(PIECE_COUNT * (PIECE_LENGTH / 4));
  const random = new Random(1);
  for (let index = 0; index < words.length; index += 1) words[index] = random.uint32();
  const bytes = new Uint8Array(words.buffer, 0, length);
  for (const index of ZERO_PIECES) bytes.fill(0, index * PIECE_LENGTH, (index + 1) * PIECE_LENGTH);
  const hasher = new PieceHasher({ length, pieceLength: PIECE_LENGTH });
  hasher.push(bytes);
  const { piecesRoot, pieceLayer } = hasher.finish();
  const metainfo = createInfo({
    name: 'crash.raw',
    length,
    pieceLength: PIECE_LENGTH,
    piecesRoot,
  });
  return {
    metainfo,
    layer: makePieceLayer(metainfo, pieceLayer),
    piece: (index) => bytes.slice(index * PIECE_LENGTH, (index + 1) * PIECE_LENGTH),
  };
}
