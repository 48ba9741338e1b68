/** The buffers of a store: how many unused ones it keeps, and that the threads of piece-thread.ts can use them. */
import { BufferPool } from '@bootswarm/stdx';

/** As much as the write queue holds: what it lets go at once will be taken again. */
const SPARE_BYTES_MAX = 16 * 1024 * 1024;

export function makePieceBuffers(pieceLength: number): BufferPool {
  return new BufferPool(pieceLength, Math.ceil(SPARE_BYTES_MAX / pieceLength), 'shared');
}
