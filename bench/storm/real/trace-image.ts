/**
 * A disk for a boot trace: zero where the trace's disk was zero, elsewhere bytes that no two images of different seeds share and
 * that nothing compresses. The trace tells where; the bytes themselves were never recorded.
 */
import { createCipheriv } from 'node:crypto';
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import type { BootTrace } from '@bootswarm/sim';

/** Traces have granules of 64 KiB or a multiple of it. */
const GRANULE_BYTES = 64 * 1024;

/** Writes a sparse raw image to `path`. */
export function writeTraceImage(path: string, trace: BootTrace, seed: number): void {
  const key = Buffer.alloc(16);
  key.writeUInt32BE(seed, 0);
  const cipher = createCipheriv('aes-128-ctr', key, Buffer.alloc(16));
  const zeros = Buffer.alloc(GRANULE_BYTES);
  const file = openSync(path, 'wx');
  try {
    ftruncateSync(file, trace.length);
    for (let offset = 0; offset < trace.length; offset += GRANULE_BYTES) {
      if (trace.isZeroAt(offset)) continue;
      const length = Math.min(GRANULE_BYTES, trace.length - offset);
      writeSync(file, cipher.update(zeros.subarray(0, length)), 0, length, offset);
    }
  } finally {
    closeSync(file);
  }
}
