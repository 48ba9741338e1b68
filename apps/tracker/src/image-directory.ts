/**
 * The files of one published image, in DATA/images/<id>, and how they are read back: image.json (below), `metainfo` (signed,
 * without the whole layer), `image.torrent` (with it), `piece-layer` and its compressed forms, `packed-layer` if the metainfo
 * names a swarm for it, and disk.raw unless the original is served where it lies. They are written once, by Publisher, and
 * never change, but for what image.json quotes of Glance; boot-order.json beside them does.
 */
import { open, readFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { type LayerTorrent, type Metainfo, openSignedMetainfo } from '@bootswarm/metainfo';
import { messageOf, OperatorError } from '@bootswarm/stdx';
import type { ImageSummary } from './api.ts';
import { replaceFile } from './durable-file.ts';

export const RECORD_FILE = 'image.json';
export const METAINFO_FILE = 'metainfo';
export const TORRENT_FILE = 'image.torrent';
export const PIECE_LAYER_FILE = 'piece-layer';
/** What the layer's own swarm carries. */
export const PACKED_LAYER_FILE = 'packed-layer';
/** By the content coding of RFC 9110; a form that would not be smaller is left out. */
export const PIECE_LAYER_CODED_FILES = { zstd: 'piece-layer.zst', gzip: 'piece-layer.gz' } as const;

/** image.json. */
export interface ImageRecord {
  readonly version: 1;
  readonly image: Omit<ImageSummary, 'state'>;
  /** The flat raw disk: absolute when it is served in place, otherwise within the image's directory. */
  readonly rawPath: string;
}

export interface ImageDirectory {
  readonly path: string;
  readonly image: Omit<ImageSummary, 'state'>;
  readonly metainfo: Metainfo;
  /** As signed: what every node that joins asks for, so it is kept at hand. */
  readonly metainfoBytes: Uint8Array;
  /** Undefined when the piece layer is in the metainfo itself. */
  readonly layerTorrent?: LayerTorrent;
  /** Absolute. */
  readonly rawPath: string;
}

/** Throws OperatorError `image-directory` when it is not the image `id` as Publisher wrote it. */
export async function readImageDirectory(
  path: string,
  id: string = basename(path),
): Promise<ImageDirectory> {
  try {
    const record = JSON.parse(await readFile(join(path, RECORD_FILE), 'utf8')) as ImageRecord;
    if (record.version !== 1) throw new Error(`${RECORD_FILE} has version ${record.version}`);
    const metainfoBytes = await readFile(join(path, METAINFO_FILE));
    const { metainfo, layerTorrent } = openSignedMetainfo(metainfoBytes);
    const { rawPath } = record;
    // Images that were published before there was a choice have none.
    const image = { ...record.image, prejoin: record.image.prejoin ?? 'none' };
    if (metainfo.imageId !== id || image.id !== metainfo.imageId) {
      throw new Error(`it holds the image ${metainfo.imageId}`);
    }
    if (image.name !== metainfo.name || image.length !== metainfo.length) {
      throw new Error(`${RECORD_FILE} and ${METAINFO_FILE} disagree`);
    }
    return {
      ...{ path, image, metainfo, metainfoBytes, rawPath: resolve(path, rawPath) },
      ...(layerTorrent && { layerTorrent }),
    };
  } catch (error) {
    throw new OperatorError(
      'image-directory',
      `Cannot read the image in ${path}: ${messageOf(error)}`,
      'Move the directory away and publish the image again.',
      { cause: error },
    );
  }
}

/** Changes what may change of a published image: what Glance says of it. */
export async function rewriteRecord(
  { path }: ImageDirectory,
  changes: Pick<ImageSummary, 'glance'>,
): Promise<void> {
  const file = join(path, RECORD_FILE);
  const record = JSON.parse(await readFile(file, 'utf8')) as ImageRecord;
  const changed: ImageRecord = { ...record, image: { ...record.image, ...changes } };
  await replaceFile(file, `${JSON.stringify(changed, null, 2)}\n`, 0o644);
}

/** Why the original cannot be what was published, if its size alone tells. */
export async function whyDamaged(image: ImageDirectory): Promise<string | undefined> {
  try {
    const file = await open(image.rawPath, 'r');
    try {
      const { size } = await file.stat();
      // Block devices have size 0, and an image may end before its file does.
      return size !== 0 && size < image.metainfo.length
        ? `${image.rawPath} has ${size} bytes of ${image.metainfo.length}`
        : undefined;
    } finally {
      await file.close();
    }
  } catch (error) {
    return messageOf(error);
  }
}
