/**
 * Makes an image of a source: fetches and flattens it (image-source), hashes and signs it (metainfo), writes its directory,
 * and hands that to the catalogue. Nothing is visible until it is whole; whatever fails leaves no trace.
 */
import { rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { constants, gzip, zstdCompress } from 'node:zlib';
import { fetchImage, parseSource, publicSource } from '@bootswarm/image-source';
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
import { isGlanceImageId } from '@bootswarm/openstack';
import { errnoOf, messageOf, OperatorError } from '@bootswarm/stdx';
import { isName } from '@bootswarm/tracker-proto';
import type { ImageSummary, PrejoinPolicy, PublishEvent, PublishRequest } from './api.ts';
import type { Catalogue } from './catalogue.ts';
import { writeNew } from './durable-file.ts';
import type { GlanceImport, GlanceOriginals } from './glance/glance-originals.ts';
import { isRestricted } from './glance/visibility.ts';
import {
  type ImageRecord,
  METAINFO_FILE,
  PACKED_LAYER_FILE,
  PIECE_LAYER_CODED_FILES,
  PIECE_LAYER_FILE,
  RECORD_FILE,
  TORRENT_FILE,
} from './image-directory.ts';
import type { Secrets } from './publisher-key.ts';

export type PublishProgress = PublishEvent & { type: 'progress' };

/** Each hashes on all cores and fills the disk; more would only slow each other down. */
const PUBLISHING_MAX = 4;

export interface PublisherOptions {
  readonly catalogue: Catalogue;
  readonly secrets: Secrets;
  /** Called before anybody can have asked for the new image. */
  readonly onAdded: (image: ImageSummary) => void;
  /** Where images of Glance come from; default: there is none. */
  readonly glance?: GlanceOriginals;
}

/** What is to be published, once it is known what the source is. */
interface Original {
  readonly request: PublishRequest;
  readonly name: string;
  readonly prejoin: PrejoinPolicy;
  readonly glance?: GlanceImport;
}

export class Publisher {
  readonly #catalogue: Catalogue;
  readonly #secrets: Secrets;
  readonly #onAdded: (image: ImageSummary) => void;
  readonly #glance: GlanceOriginals | undefined;
  /** Names of Glance images that are on their way: nobody needs one twice. */
  readonly #arriving = new Set<string>();
  #publishing = 0;

  constructor({ catalogue, secrets, onAdded, glance }: PublisherOptions) {
    this.#catalogue = catalogue;
    this.#secrets = secrets;
    this.#onAdded = onAdded;
    this.#glance = glance;
  }

  /**
   * `isFollowed`: because the tracker follows Glance. Throws OperatorError, of image-source, metainfo, Glance or the catalogue;
   * or the reason of `signal`.
   */
  async publish(
    request: PublishRequest,
    onProgress: (progress: PublishProgress) => void,
    signal: AbortSignal,
    { isFollowed = false } = {},
  ): Promise<{ image: ImageSummary; alreadyThere: boolean }> {
    const original = await this.#look(request, isFollowed);
    const { name, glance } = original;
    assertName(name);
    const known = glance === undefined ? undefined : this.#known(glance);
    if (known !== undefined) return { image: known, alreadyThere: true };
    if (this.#publishing >= PUBLISHING_MAX) throw tooMany();
    if (this.#arriving.has(name)) throw arriving(name);
    this.#publishing += 1;
    if (glance !== undefined) this.#arriving.add(name);
    let staged: string | undefined;
    try {
      staged = await this.#catalogue.stage();
      const id = await this.#fill(staged, original, onProgress, signal);
      signal.throwIfAborted();
      const added = await this.#catalogue.add(staged, id);
      if (!added.alreadyThere) this.#onAdded(added.image);
      return added;
    } catch (error) {
      throw toldIfDiskFull(error);
    } finally {
      this.#publishing -= 1;
      if (glance !== undefined) this.#arriving.delete(name);
      // Gone already when the catalogue took it.
      if (staged !== undefined) await rm(staged, { recursive: true, force: true });
    }
  }

  /** Asks Glance what its image is, so that it goes by its id and nobody is told of it whom Glance would not tell. */
  async #look(request: PublishRequest, isFollowed: boolean): Promise<Original> {
    const { source, name, prejoin = 'none' } = request;
    const location = parseSource(source);
    if (location.type !== 'glance') {
      const called = name ?? nameOf(source);
      if (isGlanceImageId(called)) throw nameOfGlance(called);
      return { request, prejoin, name: called };
    }
    if (this.#glance === undefined) throw glanceUnknown();
    if (name !== undefined || request.format !== undefined || request.inPlace)
      throw glanceDecides();
    const glance = await this.#glance.find(location.imageId, isFollowed);
    const isOpen = !isRestricted(glance.source);
    return { request, name: location.imageId, prejoin: isOpen ? prejoin : 'none', glance };
  }

  #known({ source }: GlanceImport): ImageSummary | undefined {
    const image = this.#catalogue.ofGlance(source.id);
    return image?.glance?.osHashValue === source.osHashValue ? image : undefined;
  }

  /** Writes all files of the image and returns its id. */
  async #fill(
    staged: string,
    { request, name, prejoin, glance }: Original,
    onProgress: (progress: PublishProgress) => void,
    signal: AbortSignal,
  ): Promise<string> {
    const { source, format, inPlace } = request;
    const fetched = await fetchImage(source, {
      directory: staged,
      name: 'disk',
      signal,
      onProgress: (progress) => onProgress({ type: 'progress', ...progress }),
      ...(format !== undefined && { format }),
      ...(inPlace !== undefined && { inPlace }),
      ...(glance !== undefined && { glance: async () => glance.stored }),
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
        ...(glance !== undefined && { glance: glance.source }),
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

function tooMany(): OperatorError {
  return new OperatorError(
    'too-many-publishes',
    `${PUBLISHING_MAX} images are being published already`,
    'Try again when one of them is done.',
  );
}

function arriving(imageId: string): OperatorError {
  return new OperatorError(
    'publish-under-way',
    `The image ${imageId} of Glance is being published already`,
    'Wait until bootswarm images lists it.',
  );
}

function glanceUnknown(): OperatorError {
  return new OperatorError(
    'glance-unknown',
    'The tracker has not been told where Glance is',
    'Start it with --glance-url URL or with credentials for OpenStack.',
  );
}

/** Nodes take it for Glance's promise of what the image is. */
function nameOfGlance(name: string): OperatorError {
  return new OperatorError(
    'image-name',
    `${name} is a name that images of Glance have`,
    'Give another --name, or publish glance:IMAGE_ID.',
  );
}

function glanceDecides(): OperatorError {
  return new OperatorError(
    'glance-decides',
    'An image of Glance has the name and the format that Glance gives it, and is never served in place',
    'Leave out the name, the format and --in-place: the image goes by its Glance id.',
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
