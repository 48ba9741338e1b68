/**
 * Sends the metainfo, .torrent and piece layer of an image. None ever changes under its id, so caches may keep them for ever.
 * The metainfo, which a thousand nodes ask for in a storm, comes from memory. The piece layer, for tools and for agents that
 * cannot get it from its swarm, goes out compressed as it lies on disk.
 */
import { open } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { errnoOf } from '@bootswarm/stdx';
import {
  type ImageDirectory,
  PIECE_LAYER_CODED_FILES,
  PIECE_LAYER_FILE,
  TORRENT_FILE,
} from './image-directory.ts';

type ImageFile = 'metainfo' | 'torrent' | 'piece-layer';
type StoredFile = Exclude<ImageFile, 'metainfo'>;
type Coding = 'zstd' | 'gzip' | 'identity';

export async function sendImageFile(
  request: IncomingMessage,
  response: ServerResponse,
  image: ImageDirectory,
  what: ImageFile,
): Promise<void> {
  if (what === 'metainfo') {
    const etag = etagOf(image, what, 'identity');
    const { metainfoBytes } = image;
    const { length } = metainfoBytes;
    if (!startAnswer(request, response, { what, coding: 'identity', etag, length })) return;
    response.end(metainfoBytes);
    return;
  }
  const codings = what === 'piece-layer' ? codingsOf(request.headers['accept-encoding']) : [];
  for (const coding of [...codings, 'identity'] as const) {
    if (await sendCoded(request, response, image, what, coding)) return;
  }
  throw new Error(`${image.path} has no ${what}`);
}

/** Returns false when there is no such form of the file. */
async function sendCoded(
  request: IncomingMessage,
  response: ServerResponse,
  image: ImageDirectory,
  what: StoredFile,
  coding: Coding,
): Promise<boolean> {
  const file = await openIfThere(join(image.path, fileName(what, coding)));
  if (file === undefined) return false;
  try {
    const etag = etagOf(image, what, coding);
    const { size: length } = await file.stat();
    if (!startAnswer(request, response, { what, coding, etag, length })) return true;
    // A caller that goes away ends the pipeline with an error that concerns nobody.
    await pipeline(file.createReadStream({ autoClose: false }), response).catch(() =>
      response.destroy(),
    );
    return true;
  } finally {
    await file.close();
  }
}

/** Writes the head; false when that is the whole answer. */
function startAnswer(
  request: IncomingMessage,
  response: ServerResponse,
  file: { what: ImageFile; coding: Coding; etag: string; length: number },
): boolean {
  const { what, coding, etag, length } = file;
  const headers = {
    etag,
    'cache-control': 'public, max-age=31536000, immutable',
    ...(what === 'piece-layer' && { vary: 'accept-encoding' }),
  };
  if (isKnown(request.headers['if-none-match'], etag)) {
    response.writeHead(304, headers).end();
    return false;
  }
  response.writeHead(200, {
    ...headers,
    'content-type':
      what === 'piece-layer' ? 'application/octet-stream' : 'application/x-bittorrent',
    'content-length': length,
    ...(coding !== 'identity' && { 'content-encoding': coding }),
  });
  if (request.method === 'HEAD') response.end();
  return request.method !== 'HEAD';
}

function etagOf({ image }: ImageDirectory, what: ImageFile, coding: Coding): string {
  return `"${image.id}-${what}-${coding}"`;
}

function fileName(what: StoredFile, coding: Coding): string {
  if (what === 'torrent') return TORRENT_FILE;
  return coding === 'identity' ? PIECE_LAYER_FILE : PIECE_LAYER_CODED_FILES[coding];
}

async function openIfThere(path: string) {
  try {
    return await open(path, 'r');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** The codings of ours that the caller takes, ours first; weights other than zero make no difference. */
function codingsOf(acceptEncoding: string | string[] | undefined): Exclude<Coding, 'identity'>[] {
  const accepted = String(acceptEncoding ?? '')
    .toLowerCase()
    .split(',')
    .map((item) => item.trim().split(/\s*;\s*/))
    .filter(([, weight]) => weight === undefined || !/^q=0(\.0*)?$/.test(weight))
    .map(([coding]) => coding);
  return (['zstd', 'gzip'] as const).filter((coding) => accepted.includes(coding));
}

function isKnown(ifNoneMatch: string | undefined, etag: string): boolean {
  return (ifNoneMatch ?? '').split(',').some((each) => each.trim().replace(/^W\//, '') === etag);
}
