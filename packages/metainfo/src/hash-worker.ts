/** The thread behind hashImageFile(): reads the data of one span after another and hashes it into the shared layer. */
import { readSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { assert, messageOf } from '@bootswarm/stdx';
import type { HashWorkerData, HashWorkerReply, Span } from './image-file.ts';
import { PieceRun } from './piece-run.ts';

/** Large enough for a system call to cost nothing, small enough to be hashed while it is still in the cache. */
const READ_LENGTH = 256 * 1024;

const { fd, shape, layer } = workerData as HashWorkerData;
const layerBytes = new Uint8Array(layer);
const buffer = Buffer.allocUnsafeSlow(READ_LENGTH);

assert(parentPort !== null, 'hash-worker is started by hashImageFile()');
const port = parentPort;
port.on('message', (span: Span) => port.postMessage(hashSpan(span)));

function hashSpan(span: Span): HashWorkerReply {
  const run = new PieceRun(shape, layerBytes, span.firstPiece, span.endPiece);
  for (const extent of span.extents) {
    run.skipZeros(extent.offset - run.offset);
    const end = extent.offset + extent.length;
    while (run.offset < end) {
      const { offset } = run;
      let bytesRead: number;
      try {
        bytesRead = readSync(fd, buffer, 0, Math.min(READ_LENGTH, end - offset), offset);
      } catch (error) {
        return { type: 'unreadable', offset, reason: messageOf(error) };
      }
      if (bytesRead === 0) return { type: 'truncated', offset };
      run.push(buffer.subarray(0, bytesRead));
    }
  }
  run.skipZeros(Math.min(span.endPiece * shape.pieceLength, shape.length) - run.offset);
  return { type: 'hashed' };
}
