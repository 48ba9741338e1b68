/**
 * Hashes an image in a file on several cores. Cuts the file into spans of pieces and hands those that have data to workers
 * (hash-worker.ts), which read and hash them; bytes never cross threads, hashes meet in shared memory. Says nothing about
 * where the holes are: the caller does.
 */
import { once } from 'node:events';
import { type FileHandle, open } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { assert, messageOf, OperatorError } from '@bootswarm/stdx';
import { type ImageShape, imageShape, levelsAbove, pieceLengthAt } from './image-shape.ts';
import { HASH_LENGTH, zeroHash, zeroPieceHash } from './merkle-tree.ts';
import { type ImageHashes, imageHashes } from './piece-hasher.ts';

/** A range of the file that may hold something other than zeros. */
export interface DataExtent {
  readonly offset: number;
  readonly length: number;
}

export interface HashImageFileOptions {
  /** Bytes of the image: the file has at least as many. */
  readonly length: number;
  readonly pieceLength: number;
  /** Ascending, not overlapping, within the length. What is outside is zeros and is not read. Default: all is data. */
  readonly extents?: readonly DataExtent[];
  /** Bytes done, holes included, after each span. */
  readonly onProgress?: (bytesDone: number, bytesTotal: number) => void;
  /** Stops at once; the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Pieces [firstPiece, endPiece), with the extents cut to them. */
export interface Span {
  readonly firstPiece: number;
  readonly endPiece: number;
  readonly extents: readonly DataExtent[];
}

export interface HashWorkerData {
  readonly fd: number;
  readonly shape: ImageShape;
  /** The piece layer of the image, filled in by all workers. */
  readonly layer: SharedArrayBuffer;
}

export type HashWorkerReply =
  | { readonly type: 'hashed' }
  | { readonly type: 'truncated'; readonly offset: number }
  | { readonly type: 'unreadable'; readonly offset: number; readonly reason: string };

/** 32 MiB: some 15 ms of hashing, against which a message is nothing, and often enough for a progress bar. */
const SPAN_LENGTH_MIN = 32 * 1024 * 1024;
/** A publisher shares its host with the tracker and the origin; at four cores the disk is the limit anyway. */
const WORKERS_MAX = 4;

/**
 * Hashes the image in `source`, a path or an open file. Memory: the piece layer and 1 MiB per core. Throws OperatorError
 * `image-unreadable`, or `image-truncated` when the file ends before `length`.
 */
export async function hashImageFile(
  source: string | FileHandle,
  options: HashImageFileOptions,
): Promise<ImageHashes> {
  const shape = imageShape(options.length, options.pieceLength);
  const extents = options.extents ?? [{ offset: 0, length: options.length }];
  assertExtents(extents, options.length);
  options.signal?.throwIfAborted();
  const file = typeof source === 'string' ? await openImage(source) : source;
  try {
    const layer = zeroLayer(shape);
    await hashSpans(file, shape, layer, spansOf(shape, extents), options);
    // A copy in memory of our own, so that nothing downstream meets a shared buffer.
    return imageHashes(shape, new Uint8Array(layer).slice());
  } finally {
    if (file !== source) await file.close();
  }
}

async function openImage(path: string): Promise<FileHandle> {
  try {
    return await open(path);
  } catch (error) {
    throw new OperatorError(
      'image-unreadable',
      `Cannot open the image ${path}: ${messageOf(error)}`,
      'Check the path and its permissions.',
      { cause: error },
    );
  }
}

async function hashSpans(
  file: FileHandle,
  shape: ImageShape,
  layer: SharedArrayBuffer,
  spans: readonly Span[],
  { onProgress, signal }: HashImageFileOptions,
): Promise<void> {
  let bytesDone = shape.length;
  for (const span of spans) bytesDone -= spanLength(shape, span);
  const queue = spans.values();
  const workers = Array.from(
    { length: Math.min(spans.length, availableParallelism(), WORKERS_MAX) },
    () => startWorker({ fd: file.fd, shape, layer }),
  );
  try {
    const drive = async (worker: Worker): Promise<void> => {
      for (const span of queue) {
        worker.postMessage(span);
        const [reply] = await once(worker, 'message', { signal });
        assertHashed(reply, shape);
        bytesDone += spanLength(shape, span);
        onProgress?.(bytesDone, shape.length);
      }
    };
    await Promise.all(workers.map(drive));
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    // Only then may the file be closed: a worker may be reading it.
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

function startWorker(workerData: HashWorkerData): Worker {
  // Run from .ts sources or from what tsc made of them.
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const url = new URL(`./hash-worker.${extension}`, import.meta.url);
  // The flags of this process (--input-type, --cpu-prof, …) are not meant for the worker, and some break it.
  return new Worker(url, { workerData, execArgv: [] });
}

function assertHashed(reply: HashWorkerReply, shape: ImageShape): void {
  switch (reply.type) {
    case 'hashed':
      return;
    case 'truncated':
      throw new OperatorError(
        'image-truncated',
        `The image ended at byte ${reply.offset} of ${shape.length} while it was being hashed`,
        'Leave the file alone until it is published, and publish it again.',
      );
    case 'unreadable':
      throw new OperatorError(
        'image-unreadable',
        `Cannot read the image at byte ${reply.offset}: ${reply.reason}`,
        'Check the disk under it, and publish it again.',
      );
  }
}

/** The layer of an image of zeros: what no worker writes is right already. */
function zeroLayer(shape: ImageShape): SharedArrayBuffer {
  const layer = new SharedArrayBuffer(shape.pieceCount * HASH_LENGTH);
  const last = shape.pieceCount - 1;
  const bytes = Buffer.from(layer);
  bytes.fill(zeroHash(levelsAbove(shape.leafCount)));
  bytes.set(zeroPieceHash(pieceLengthAt(shape, last), shape.leafCount), last * HASH_LENGTH);
  return layer;
}

/** The spans that have data in them, ascending. */
function spansOf(shape: ImageShape, extents: readonly DataExtent[]): Span[] {
  const spanPieces = Math.max(1, SPAN_LENGTH_MIN / shape.pieceLength);
  const spanBytes = spanPieces * shape.pieceLength;
  const spans: { firstPiece: number; endPiece: number; extents: DataExtent[] }[] = [];
  for (const extent of extents) {
    const extentEnd = extent.offset + extent.length;
    for (let offset = extent.offset; offset < extentEnd; ) {
      const firstPiece = Math.floor(offset / spanBytes) * spanPieces;
      const end = Math.min(extentEnd, firstPiece * shape.pieceLength + spanBytes);
      if (spans.at(-1)?.firstPiece !== firstPiece) {
        const endPiece = Math.min(firstPiece + spanPieces, shape.pieceCount);
        spans.push({ firstPiece, endPiece, extents: [] });
      }
      spans.at(-1)?.extents.push({ offset, length: end - offset });
      offset = end;
    }
  }
  return spans;
}

function spanLength(shape: ImageShape, span: Span): number {
  const end = Math.min(span.endPiece * shape.pieceLength, shape.length);
  return end - span.firstPiece * shape.pieceLength;
}

function assertExtents(extents: readonly DataExtent[], length: number): void {
  let end = 0;
  for (const extent of extents) {
    assert(extent.offset >= end && extent.length > 0, `extent at ${extent.offset} after ${end}`);
    end = extent.offset + extent.length;
  }
  assert(end <= length, `extents end at ${end} of ${length}`);
}
