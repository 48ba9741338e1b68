/**
 * The buffers of pieces, that the threads of piece-thread.ts can use too. All stores of a process with pieces of one length have
 * one pool: shared memory does not count where the collector decides that it is time, and what threads have seen lives until
 * theirs has run, so that buffers of stores that come and go must be used again.
 */
import { BufferPool } from '@bootswarm/stdx';

/** As much as the write queue holds: what it lets go at once will be taken again. */
const SPARE_BYTES_MAX = 16 * 1024 * 1024;

/** By piece length: powers of two, so there are few. */
const pools = new Map<number, BufferPool>();

export function pieceBuffersOf(pieceLength: number): BufferPool {
  let pool = pools.get(pieceLength);
  if (pool === undefined) {
    pool = new BufferPool(pieceLength, Math.ceil(SPARE_BYTES_MAX / pieceLength), 'shared');
    pools.set(pieceLength, pool);
  }
  return pool;
}
