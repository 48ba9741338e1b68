/** An image as Glance v2 describes it, with the fields we use; whatever else is in the answer is left there. */

export type Visibility = 'public' | 'community' | 'shared' | 'private';

export interface GlanceImage {
  /** A UUID in lower case. */
  readonly id: string;
  /** '' where it has none. */
  readonly name: string;
  /** `active` is the one that has its bytes and gives them. */
  readonly status: string;
  readonly visibility: Visibility;
  readonly owner: string;
  readonly diskFormat: string;
  readonly containerFormat: string;
  /** Bytes stored; undefined until they are. */
  readonly size: number | undefined;
  /**
   * 'sha512' unless its operator has chosen otherwise; '' together with osHashValue until the bytes are there. Of images from
   * before Glance 17 (Rocky) it is the `checksum`, with 'md5'.
   */
  readonly osHashAlgo: string;
  readonly osHashValue: string;
  /** MD5 of the bytes stored, in hex: what Content-MD5 of a download says. */
  readonly checksum: string | undefined;
  /** The property `bootswarm`, by which owners mark what they want published. */
  readonly mark: string | undefined;
}

const VISIBILITIES: ReadonlySet<unknown> = new Set(['public', 'community', 'shared', 'private']);
/** Glance's own limit for names is 255 characters. */
const TEXT_LENGTH_MAX = 255;
const STATUS = /^[a-z_]{1,40}$/;
const FORMAT = /^[A-Za-z0-9_.-]{1,40}$/;
const HASH_ALGO = /^[a-z0-9_-]{1,20}$/;
const MD5 = /^[0-9a-f]{32}$/;
const HASH_VALUE = /^[0-9a-f]{32,256}$/;

/** As Glance writes them, and in the only form in which we pass them on. */
export function isGlanceImageId(text: unknown): text is string {
  return typeof text === 'string' && /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text);
}

/** undefined when it is not one. */
export function parseGlanceImage(value: unknown): GlanceImage | undefined {
  const fields = Object(value) as Record<string, unknown>;
  const { id, status, visibility, size, os_hash_algo: algo, os_hash_value: hash } = fields;
  if (!isGlanceImageId(id) || typeof status !== 'string' || !STATUS.test(status)) return undefined;
  if (!VISIBILITIES.has(visibility)) return undefined;
  const isSized = Number.isSafeInteger(size) && (size as number) >= 0;
  if (!isSized && size !== null && size !== undefined) return undefined;
  const checksum = matches(MD5, fields.checksum) ? fields.checksum : undefined;
  const isHashed = matches(HASH_ALGO, algo) && matches(HASH_VALUE, hash);
  const summed = checksum === undefined ? { algo: '', hash: '' } : { algo: 'md5', hash: checksum };
  const digest = isHashed ? { algo: algo as string, hash: hash as string } : summed;
  return {
    id,
    name: textOf(fields.name),
    status,
    visibility: visibility as Visibility,
    owner: textOf(fields.owner),
    diskFormat: matches(FORMAT, fields.disk_format) ? fields.disk_format : '',
    containerFormat: matches(FORMAT, fields.container_format) ? fields.container_format : '',
    size: isSized ? (size as number) : undefined,
    osHashAlgo: digest.algo,
    osHashValue: digest.hash,
    checksum,
    mark: typeof fields.bootswarm === 'string' ? fields.bootswarm : undefined,
  };
}

function matches(pattern: RegExp, value: unknown): value is string {
  return typeof value === 'string' && pattern.test(value);
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value.slice(0, TEXT_LENGTH_MAX) : '';
}
