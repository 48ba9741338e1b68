/**
 * Brings an original image onto this host as a flat raw file that can be hashed: copied, downloaded or flattened, or left where
 * it lies. The one place where kind of source and format meet; each of them has a file of its own. A fetch that fails or is
 * aborted leaves nothing behind; what one that is killed leaves in the directory is the caller's to clear away.
 */
import { randomUUID } from 'node:crypto';
import { join, resolve } from 'node:path';
import { assert, OperatorError } from '@bootswarm/stdx';
import { copySparse, requireSame } from './copy-sparse.ts';
import { type Digest, requireDigest } from './digest.ts';
import { dataExtents, type Extent } from './extents.ts';
import { flattenQcow2 } from './flatten.ts';
import { display } from './http-get.ts';
import { downloadImage } from './http-image.ts';
import {
  detectFormat,
  FORMAT_HEAD_LENGTH,
  requireFormat,
  requireRawDisk,
  type SourceFormat,
} from './image-format.ts';
import { LocalFile } from './local-file.ts';
import { parseQcow2Header, QCOW2_HEAD_LENGTH } from './qcow2-header.ts';
import { copyRemoteDisk } from './remote-disk.ts';
import { parseSource, type RemoteDisk } from './source-location.ts';
import { SparseFile } from './sparse-file.ts';

/** 16 TiB: 2^20 pieces of 16 MiB, and the largest file of ext4. */
export const IMAGE_LENGTH_MAX = 16 * 1024 ** 4;

export interface FetchProgress {
  readonly stage: 'fetch' | 'flatten';
  readonly bytesDone: number;
  /** 0 while an HTTP server has not told. */
  readonly bytesTotal: number;
}

export interface FetchOptions {
  /** Where the flat file is put. */
  readonly directory: string;
  /** What the publisher says the source is; checked against its content. Default: what the content is. */
  readonly format?: SourceFormat;
  /** The flat file is `<name>.raw`; one of that name is replaced. Default: a random name. */
  readonly name?: string;
  /** Use a local raw file where it lies. */
  readonly inPlace?: boolean;
  /** Called at most once for each MiB. */
  readonly onProgress?: (progress: FetchProgress) => void;
  readonly signal?: AbortSignal;
  /** Where the bytes of a Glance image are; default: there is no Glance. */
  readonly glance?: (imageId: string) => Promise<StoredImage>;
}

/** An image that a service keeps, with what that promises of it. */
export interface StoredImage {
  readonly url: URL;
  /** Asked for before each request. */
  readonly headers: () => Promise<Readonly<Record<string, string>>>;
  readonly format: SourceFormat;
  /** Of the bytes as they are stored. */
  readonly digest: Digest;
}

export interface FetchedImage {
  readonly rawPath: string;
  /** Bytes, > 0. */
  readonly length: number;
  /** `rawPath` is the source itself: not to be deleted, and nothing keeps others from writing to it. */
  readonly isInPlace: boolean;
  readonly sourceFormat: SourceFormat;
  /** Where `rawPath` has data; everything else is zeros. Ascending; empty when all is zeros. */
  readonly extents: readonly Extent[];
}

/**
 * Fetches `source`, a path on this host or a URI (source-location.ts). Throws OperatorError, with the codes of parseSource,
 * LocalFile, downloadImage, requireDigest, copyRemoteDisk, requireFormat, parseQcow2Header, flattenQcow2 and SparseFile,
 * `in-place-impossible` and `glance-unknown`; when aborted, the signal's reason.
 */
export async function fetchImage(source: string, options: FetchOptions): Promise<FetchedImage> {
  options.signal?.throwIfAborted();
  const location = parseSource(source);
  const rawPath = join(resolve(options.directory), `${options.name ?? randomUUID()}.raw`);
  assert(/^[A-Za-z0-9][\w.-]*$/.test(options.name ?? 'image'), `file name ${options.name}`);
  if (location.type === 'path') return fetchLocal(resolve(location.path), rawPath, options);
  if (options.inPlace) throw inPlaceImpossible(source, 'it is not on this host');
  if (location.type === 'http') return fetchHttp(location.url, rawPath, options);
  if (location.type === 'remote-disk') return fetchRemoteDisk(location, rawPath, options);
  if (options.glance === undefined) throw glanceUnknown();
  const stored = await options.glance(location.imageId);
  return fetchHttp(stored.url, rawPath, { ...options, format: stored.format }, stored);
}

async function fetchLocal(
  path: string,
  rawPath: string,
  options: FetchOptions,
): Promise<FetchedImage> {
  await using source = await LocalFile.open(path, IMAGE_LENGTH_MAX);
  const sourceFormat = await formatOf(path, source, options.format);
  if (sourceFormat === 'qcow2') {
    if (options.inPlace) throw inPlaceImpossible(path, 'it is qcow2 and has to be flattened');
    if (source.isDevice) return await fetchDevice(source, rawPath, options);
    return await flatten(path, source, rawPath, options);
  }
  if (options.inPlace) {
    const extents = await dataExtents(source.fd, source.length, options.signal);
    return { rawPath: path, length: source.length, isInPlace: true, sourceFormat, extents };
  }
  if (source.isDevice) return await fetchDevice(source, rawPath, options);
  return await intoFile(rawPath, sourceFormat, options, (target) =>
    copySparse(source, target, { onProgress: inSteps('fetch', options), signal: options.signal }),
  );
}

/** Copied first whatever is on it: nothing keeps others from writing to it, so it is read twice. */
function fetchDevice(
  source: LocalFile,
  rawPath: string,
  options: FetchOptions,
): Promise<FetchedImage> {
  const { signal } = options;
  return viaCopy(source.path, rawPath, options, async (copy) => {
    await copySparse(source, copy, { onProgress: inSteps('fetch', options), signal });
    await requireSame(source, copy, signal);
  });
}

/** A volume says nothing of what is on it, and nothing is guessed: it is raw unless the publisher says otherwise. */
function fetchRemoteDisk(
  disk: RemoteDisk,
  rawPath: string,
  options: FetchOptions,
): Promise<FetchedImage> {
  const { signal, format = 'raw' } = options;
  return viaCopy(disk.name, rawPath, { ...options, format }, (copy) =>
    copyRemoteDisk(disk, copy, {
      lengthMax: IMAGE_LENGTH_MAX,
      onProgress: inSteps('fetch', options),
      signal,
    }),
  );
}

/** Has `fill` bring the original as it is, then inspects, and flattens it if need be. */
async function viaCopy(
  name: string,
  rawPath: string,
  options: FetchOptions,
  fill: (copy: SparseFile) => Promise<void>,
): Promise<FetchedImage> {
  const copy = await SparseFile.create(rawPath);
  try {
    await fill(copy);
    await using source = await LocalFile.open(copy.partialPath, IMAGE_LENGTH_MAX);
    const sourceFormat = await formatOf(name, source, options.format);
    if (sourceFormat === 'qcow2') return await flatten(name, source, rawPath, options);
    return await publish(copy, sourceFormat, options.signal);
  } finally {
    await copy.discard();
  }
}

function fetchHttp(
  url: URL,
  rawPath: string,
  options: FetchOptions,
  stored?: StoredImage,
): Promise<FetchedImage> {
  const name = display(url);
  return viaCopy(name, rawPath, options, async (copy) => {
    await downloadImage(url, copy, {
      lengthMax: IMAGE_LENGTH_MAX,
      // So that the wrong file is refused after its first bytes instead of its last.
      onHead: async () => {
        requireFormat(name, detectFormat(await copy.head(FORMAT_HEAD_LENGTH)), options.format);
      },
      onProgress: inSteps('fetch', options),
      signal: options.signal,
      headers: stored?.headers,
    });
    if (stored === undefined) return;
    await using file = await LocalFile.open(copy.partialPath, IMAGE_LENGTH_MAX);
    await requireDigest(name, file, stored.digest, options.signal);
  });
}

async function flatten(
  name: string,
  source: LocalFile,
  rawPath: string,
  options: FetchOptions,
): Promise<FetchedImage> {
  const head = await source.head(QCOW2_HEAD_LENGTH);
  const header = parseQcow2Header(name, head, source.length, IMAGE_LENGTH_MAX);
  return intoFile(rawPath, 'qcow2', options, async (target) => {
    const onProgress = inSteps('flatten', options);
    await flattenQcow2(name, source, header, target, { onProgress, signal: options.signal });
    requireRawDisk(name, await target.head(FORMAT_HEAD_LENGTH));
  });
}

/** Has `fill` write a new file and publishes it, or discards it if anything fails. */
async function intoFile(
  rawPath: string,
  sourceFormat: SourceFormat,
  { signal }: FetchOptions,
  fill: (target: SparseFile) => Promise<void>,
): Promise<FetchedImage> {
  const target = await SparseFile.create(rawPath);
  try {
    await fill(target);
    return await publish(target, sourceFormat, signal);
  } finally {
    await target.discard();
  }
}

async function publish(
  target: SparseFile,
  sourceFormat: SourceFormat,
  signal: AbortSignal | undefined,
): Promise<FetchedImage> {
  const length = await target.length();
  // Synced first: some file systems know the extents of a file only when it is on disk.
  await target.sync();
  const extents = await dataExtents(target.fd, length, signal);
  signal?.throwIfAborted();
  await target.publish();
  return { rawPath: target.path, length, isInPlace: false, sourceFormat, extents };
}

async function formatOf(
  name: string,
  file: LocalFile,
  label: SourceFormat | undefined,
): Promise<SourceFormat> {
  return requireFormat(name, detectFormat(await file.head(FORMAT_HEAD_LENGTH)), label);
}

/** 1 MiB: a progress bar shows no smaller step. */
const PROGRESS_STEP = 1024 * 1024;

function inSteps(stage: FetchProgress['stage'], { onProgress }: FetchOptions) {
  let shown = Number.NEGATIVE_INFINITY;
  return (bytesDone: number, bytesTotal: number) => {
    // Backwards too: a download that cannot be continued starts again.
    if (Math.abs(bytesDone - shown) < PROGRESS_STEP && bytesDone !== bytesTotal) return;
    shown = bytesDone;
    onProgress?.({ stage, bytesDone, bytesTotal });
  };
}

function inPlaceImpossible(source: string, why: string): OperatorError {
  return new OperatorError(
    'in-place-impossible',
    `${source} cannot be served where it lies: ${why}`,
    'Have it copied instead, or give a local raw image.',
  );
}

function glanceUnknown(): OperatorError {
  return new OperatorError(
    'glance-unknown',
    'The tracker has not been told where Glance is',
    'Start it with --glance-url URL or with credentials for OpenStack.',
  );
}
