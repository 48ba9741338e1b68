/**
 * Sends the metainfo, .torrent and piece layer of an image. All are files that never change under their id, so caches may
 * keep them for ever; the piece layer, which tools fetch, and agents that cannot get it from its swarm, goes out compressed as
 * it lies on disk.
 */
import { open } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { errnoOf } from '@bootswarm/stdx';
import {
  type ImageDirectory,
  METAINFO_FILE,
  PIECE_LAYER_CODED_FILES,
  PIECE_LAYER_FILE,
  TORRENT_FILE,
} from './image-directory.ts';

type ImageFile = 'metainfo' | 'torrent' | 'piece-layer';
type Coding = 'zstd' | 'gzip' | 'identity';

export async function sendImageFile(
  request: IncomingMessage,
  response: ServerResponse,
  image: ImageDirectory,
  what: ImageFile,
): Promise<void> {
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
  what: ImageFile,
  coding: Coding,
): Promise<boolean> {
  const file = await openIfThere(join(image.path, fileName(what, coding)));
  if (file === undefined) return false;
  try {
    const etag = `"${image.image.id}-${what}-${coding}"`;
    const headers = {
      etag,
      'cache-control': 'public, max-age=31536000, immutable',
      ...(what === 'piece-layer' && { vary: 'accept-encoding' }),
    };
    if (isKnown(request.headers['if-none-match'], etag)) {
      response.writeHead(304, headers).end();
      return true;
    }
    response.writeHead(200, {
      ...headers,
      'content-type':
        what === 'piece-layer' ? 'application/octet-stream' : 'application/x-bittorrent',
      'content-length': (await file.stat()).size,
      ...(coding !== 'identity' && { 'content-encoding': coding }),
    });
    if (request.method === 'HEAD') {
      response.end();
      return true;
    }
    // A caller that goes away ends the pipeline with an error that concerns nobody.
    await pipeline(file.createReadStream({ autoClose: false }), response).catch(() =>
      response.destroy(),
    );
    return true;
  } finally {
    await file.close();
  }
}

function fileName(what: ImageFile, coding: Coding): string {
  if (what === 'metainfo') return METAINFO_FILE;
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
