/** Answers a request for an image's bytes from the swarm, as Glance would: whole or one range, no faster than they are taken. */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { ImageCopy } from '../image-copy.ts';

export interface SendOptions {
  /** undefined: all. */
  readonly range: ByteRange | undefined;
  readonly firstByteMs: number;
  /** Hex, as Glance has it: it covers the whole image. */
  readonly contentMd5: string | undefined;
  readonly onBytes: (bytes: number) => void;
}

/** Bytes [start, end). */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** 1 MiB: one write of it costs no more than one of 64 KiB, and sixteen transfers hold 16 MiB. */
const READ_LENGTH = 1024 * 1024;
/** So that the next bytes are on their way while these are sent: a quarter of a second at 1 Gbit/s. */
const AHEAD_LENGTH = 32 * 1024 * 1024;

/** One range of RFC 9110; 'wrong' for several, for one past the end, and for what is none. */
export function byteRange(
  header: string | undefined,
  length: number,
): ByteRange | 'wrong' | undefined {
  if (header === undefined) return undefined;
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header.trim());
  if (match === null) return 'wrong';
  const [, first, last] = match;
  if (first === '' && last === '') return 'wrong';
  if (first === '') {
    const start = Math.max(0, length - Number(last));
    return start < length ? { start, end: length } : 'wrong';
  }
  const start = Number(first);
  const end = last === '' ? length : Math.min(length, Number(last) + 1);
  return start < end ? { start, end } : 'wrong';
}

/**
 * False, with nothing sent, when the swarm gives no byte in `firstByteMs`. Later than that a read waits for its piece, as every
 * read does, until the caller gives up.
 */
export async function sendCopy(
  response: ServerResponse,
  copy: ImageCopy,
  options: SendOptions,
): Promise<boolean> {
  const { range, firstByteMs, contentMd5, onBytes } = options;
  const { start, end } = range ?? { start: 0, end: copy.length };
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  const inTime = AbortSignal.any([gone.signal, AbortSignal.timeout(firstByteMs)]);
  let bytes = await readAt(copy, start, end, inTime);
  if (bytes === undefined) return gone.signal.aborted;
  response.writeHead(range === undefined ? 200 : 206, {
    'content-type': 'application/octet-stream',
    'content-length': end - start,
    ...(range && { 'content-range': `bytes ${start}-${end - 1}/${copy.length}` }),
    ...(contentMd5 && { 'content-md5': contentMd5 }),
  });
  for (let offset = start; bytes !== undefined; ) {
    offset += bytes.length;
    onBytes(bytes.length);
    const hasRoom = response.write(bytes);
    if (offset === end) {
      response.end();
      return true;
    }
    if (!hasRoom) await once(response, 'drain', { signal: gone.signal }).catch(() => {});
    bytes = await readAt(copy, offset, end, gone.signal);
  }
  return true;
}

/** The bytes from `offset` on; undefined once `signal` says that they are not needed. */
async function readAt(
  copy: ImageCopy,
  offset: number,
  end: number,
  signal: AbortSignal,
): Promise<Buffer | undefined> {
  if (signal.aborted) return undefined;
  copy.prefetch(offset, Math.min(AHEAD_LENGTH, end - offset));
  // To the next multiple, so that later reads do not cross pieces.
  const length = Math.min(end - offset, READ_LENGTH - (offset % READ_LENGTH));
  const bytes = Buffer.allocUnsafe(length);
  return (await copy.read(offset, bytes, signal)) ? bytes : undefined;
}
