/**
 * Makes an image of a source: fetches and flattens it (image-source), hashes and signs it (metainfo), writes its directory,
 * and hands that to the catalogue. Nothing is visible until it is whole; whatever fails leaves no trace.
 */
import { rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { constants, gzip, zstdCompress } from 'node:zlib';
import { fetchImage } from '@bootswarm/image-source';
import {
  carryLayer,
  choosePieceLength,
  createInfo,
  encodeTorrent,
  hashImageFile,
  type ImageHashes,
  type Metainfo,
  makePieceLayer,
  makeSignature,
  signMetainfo,
} from '@bootswarm/metainfo';
import { errnoOf, messageOf, OperatorError } from '@bootswarm/stdx';
import { isName } from '@bootswarm/tracker-proto';
import type { ImageSummary, PublishEvent, PublishRequest } from './api.ts';
import type { Catalogue } from './catalogue.ts';
import { writeNew } from './durable-file.ts';
import {
  type ImageRecord,
  METAINFO_FILE,
  PACKED_LAYER_FILE,
  PIECE_LAYER_CODED_FILES,
  PIECE_LAYER_FILE,
  RECORD_FILE,
  TORRENT_FILE,
} from './image-directory.ts';
import { publicSource } from './publish-request.ts';
import type { Secrets } from './publisher-key.ts';

export type PublishProgress = PublishEvent & { type: 'progress' };

/** Each hashes on all cores and fills the disk; more would only slow each other down. */
const PUBLISHING_MAX = 4;

export class Publisher {
  readonly #catalogue: Catalogue;
  readonly #secrets: Secrets;
  readonly #onAdded: (image: ImageSummary) => void;
  #publishing = 0;

  /** `onAdded` is called before anybody can have asked for the new image. */
  constructor(catalogue: Catalogue, secrets: Secrets, onAdded: (image: ImageSummary) => void) {
    this.#catalogue = catalogue;
    this.#secrets = secrets;
    this.#onAdded = onAdded;
  }

  /** Throws OperatorError, of image-source, metainfo or the catalogue; or the reason of `signal`. */
  async publish(
    request: PublishRequest,
    onProgress: (progress: PublishProgress) => void,
    signal: AbortSignal,
  ): Promise<{ image: ImageSummary; alreadyThere: boolean }> {
    const name = request.name ?? nameOf(request.source);
    assertName(name);
    if (this.#publishing >= PUBLISHING_MAX) {
      throw new OperatorError(
        'too-many-publishes',
        `${PUBLISHING_MAX} images are being published already`,
        'Try again when one of them is done.',
      );
    }
    this.#publishing += 1;
    let staged: string | undefined;
    try {
      staged = await this.#catalogue.stage();
      const id = await this.#fill(staged, name, request, onProgress, signal);
      signal.throwIfAborted();
      const added = await this.#catalogue.add(staged, id);
      if (!added.alreadyThere) this.#onAdded(added.image);
      return added;
    } catch (error) {
      throw toldIfDiskFull(error);
    } finally {
      this.#publishing -= 1;
      // Gone already when the catalogue took it.
      if (staged !== undefined) await rm(staged, { recursive: true, force: true });
    }
  }

  /** Writes all files of the image and returns its id. */
  async #fill(
    staged: string,
    name: string,
    request: PublishRequest,
    onProgress: (progress: PublishProgress) => void,
    signal: AbortSignal,
  ): Promise<string> {
    const { source, format, inPlace, prejoin = 'none' } = request;
    const fetched = await fetchImage(source, {
      directory: staged,
      name: 'disk',
      signal,
      onProgress: (progress) => onProgress({ type: 'progress', ...progress }),
      ...(format !== undefined && { format }),
      ...(inPlace !== undefined && { inPlace }),
    });
    const { length, rawPath } = fetched;
    const pieceLength = choosePieceLength(length);
    const hashes = await hashImageFile(rawPath, {
      length,
      pieceLength,
      extents: fetched.extents,
      onProgress: (bytesDone, bytesTotal) =>
        onProgress({ type: 'progress', stage: 'hash', bytesDone, bytesTotal }),
      signal,
    });
    const metainfo = createInfo({ name, length, pieceLength, piecesRoot: hashes.piecesRoot });
    const id = metainfo.imageId;
    // It would be thrown away: publishing again what is there is quick, and common in scripts.
    if (this.#catalogue.has(id)) return id;
    await this.#writeMetainfo(staged, metainfo, hashes);
    const record: ImageRecord = {
      version: 1,
      image: {
        id,
        name,
        length,
        pieceLength,
        pieceCount: metainfo.pieceCount,
        zeroPieces: hashes.zeroPieceCount,
        createdAt: new Date().toISOString(),
        source: publicSource(source),
        sourceFormat: fetched.sourceFormat,
        prejoin,
      },
      rawPath: fetched.isInPlace ? rawPath : basename(rawPath),
    };
    await writeNew(join(staged, RECORD_FILE), `${JSON.stringify(record, null, 2)}\n`);
    return id;
  }

  async #writeMetainfo(staged: string, metainfo: Metainfo, hashes: ImageHashes): Promise<void> {
    const { publisherKey } = this.#secrets;
    const layer = hashes.pieceLayer;
    const pieceLayer = makePieceLayer(metainfo, layer);
    const { carried, packed } = carryLayer(metainfo, pieceLayer);
    const signature = makeSignature(metainfo, publisherKey, carried);
    const torrent = { metainfo, pieceLayer, carriedLayer: carried, signature };
    await writeNew(join(staged, METAINFO_FILE), signMetainfo(metainfo, publisherKey, carried));
    await writeNew(join(staged, TORRENT_FILE), encodeTorrent(torrent));
    await writeNew(join(staged, PIECE_LAYER_FILE), layer);
    if (carried.type === 'swarm') await writeNew(join(staged, PACKED_LAYER_FILE), packed);
    // Hashes do not compress, but those of zero pieces repeat: a sparse image's layer shrinks to what it holds.
    const coded = {
      zstd: await promisify(zstdCompress)(layer),
      gzip: await promisify(gzip)(layer, { level: constants.Z_DEFAULT_COMPRESSION }),
    };
    for (const coding of ['zstd', 'gzip'] as const) {
      if (coded[coding].length >= layer.length) continue;
      await writeNew(join(staged, PIECE_LAYER_CODED_FILES[coding]), coded[coding]);
    }
  }
}

/** The disk may be full for any of the files, not only for the image's own. */
function toldIfDiskFull(error: unknown): unknown {
  if (!['ENOSPC', 'EDQUOT'].includes(errnoOf(error) ?? '')) return error;
  return new OperatorError(
    'disk-full',
    `No space left in the tracker's data directory: ${messageOf(error)}`,
    'Free space there, then publish again; nothing was kept.',
    { cause: error },
  );
}

/** debian-12.raw of /images/debian-12.raw, and of https://host/debian-12.raw?x=1. */
function nameOf(source: string): string {
  const path = URL.canParse(source) ? new URL(source).pathname : source;
  return basename(path);
}

function assertName(name: string): void {
  // Such a name would hide the image that has it as its id.
  const isId = /^[0-9a-f]{40}$/.test(name);
  if (isName(name) && !/[/\\]/.test(name) && name !== '.' && name !== '..' && !isId) return;
  throw new OperatorError(
    'image-name',
    `${JSON.stringify(name.slice(0, 200))} cannot name an image`,
    'Give a name of 1 to 128 bytes of printable UTF-8 without slashes that is not 40 hex digits.',
  );
}
