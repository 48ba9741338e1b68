/**
 * A disk for a boot trace: zero where the trace's disk was zero, elsewhere bytes that no two images of different seeds share and
 * that nothing compresses. The trace tells where; the bytes themselves were never recorded.
 */
import { createCipheriv } from 'node:crypto';
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import type { BootTrace } from '@bootswarm/sim';

/** The shortest piece that a tracker makes: which pieces are zero is all that shows of a trace's granules. */
const STEP_BYTES = 64 * 1024;

/** Writes a sparse raw image to `path`. */
export function writeTraceImage(path: string, trace: BootTrace, seed: number): void {
  const key = Buffer.alloc(16);
  key.writeUInt32BE(seed, 0);
  const cipher = createCipheriv('aes-128-ctr', key, Buffer.alloc(16));
  const zeros = Buffer.alloc(STEP_BYTES);
  const file = openSync(path, 'wx');
  try {
    ftruncateSync(file, trace.length);
    for (let offset = 0; offset < trace.length; offset += STEP_BYTES) {
      const length = Math.min(STEP_BYTES, trace.length - offset);
      if (trace.isZero(offset, length)) continue;
      writeSync(file, cipher.update(zeros.subarray(0, length)), 0, length, offset);
    }
  } finally {
    closeSync(file);
  }
}
