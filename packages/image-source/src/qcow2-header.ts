/**
 * Reads the header of a qcow2 file (QEMU docs/interop/qcow2.txt) and refuses every image that could make a reader open another
 * file, use a key, or allocate without bound. Looks at the header only: the tables behind it are `qemu-img check`'s job
 * (flatten.ts), which is run on nothing that was refused here.
 */
import { OperatorError } from '@bootswarm/stdx';

export interface Qcow2Header {
  readonly version: 2 | 3;
  /** Bytes of the disk inside: a multiple of 512, > 0. */
  readonly virtualSize: number;
  readonly clusterSize: number;
}

/** As much of a file as parseQcow2Header needs. Header and extensions of real images end within 1 KiB. */
export const QCOW2_HEAD_LENGTH = 65_536;

/**
 * Parses the first QCOW2_HEAD_LENGTH bytes (or the whole of a shorter file) of a qcow2 file of `fileLength` bytes. Throws only
 * OperatorError: `qcow2-backing-file`, `qcow2-data-file`, `qcow2-encrypted`, `qcow2-version-unsupported`,
 * `qcow2-feature-unknown`, `qcow2-corrupt` (marked so by its writer), `qcow2-damaged` (makes no sense), `image-empty`,
 * `image-size-invalid`, `image-too-large`.
 */
export function parseQcow2Header(
  source: string,
  head: Uint8Array,
  fileLength: number,
  lengthMax: number,
): Qcow2Header {
  const fields = readFields(source, head);
  refuseReferences(source, fields);
  refuseFeatures(source, fields);
  const clusterSize = checkGeometry(source, fields);
  const virtualSize = checkVirtualSize(source, fields.virtualSize, lengthMax);
  checkTables(source, fields, { fileLength, clusterSize, virtualSize });
  refuseExtensions(source, head, fields, Math.min(clusterSize, fileLength));
  return { version: fields.version, virtualSize, clusterSize };
}

interface Fields {
  readonly version: 2 | 3;
  readonly backingFileOffset: bigint;
  readonly backingFileSize: number;
  readonly clusterBits: number;
  readonly virtualSize: bigint;
  readonly cryptMethod: number;
  readonly l1Size: number;
  readonly l1TableOffset: bigint;
  readonly refcountTableOffset: bigint;
  readonly refcountTableClusters: number;
  readonly snapshotCount: number;
  readonly snapshotsOffset: bigint;
  readonly incompatibleFeatures: bigint;
  readonly refcountOrder: number;
  readonly headerLength: number;
  readonly compressionType: number;
}

const HEADER_LENGTH_V2 = 72;
const HEADER_LENGTH_V3_MIN = 104;

const FEATURE_CORRUPT = 1n << 1n;
const FEATURE_DATA_FILE = 1n << 2n;
const FEATURE_COMPRESSION_TYPE = 1n << 3n;
const FEATURE_EXTENDED_L2 = 1n << 4n;
/** Bit 0, dirty: refcounts may be stale, which a reader does not use and `qemu-img check` reports. */
const FEATURES_KNOWN = 0b1_1111n;

const EXTENSION_END = 0;
const EXTENSION_DATA_FILE = 0x44415441;
const EXTENSION_LUKS = 0x0537be77;

/** QEMU's own limits (block/qcow2.h): 32 MiB of L1 table, 8 MiB of refcount table, 65,536 snapshots. */
const L1_ENTRIES_MAX = (32 * 1024 * 1024) / 8;
const REFCOUNT_TABLE_LENGTH_MAX = 8 * 1024 * 1024;
const SNAPSHOTS_MAX = 65_536;

function readFields(source: string, head: Uint8Array): Fields {
  if (head.length < HEADER_LENGTH_V2) throw damaged(source, 'it ends within its header');
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const version = view.getUint32(4);
  if (version !== 2 && version !== 3) {
    throw new OperatorError(
      'qcow2-version-unsupported',
      `${source} is qcow2 version ${version}; 2 and 3 exist`,
      'Convert it with qemu-img, or check that it arrived undamaged.',
    );
  }
  const hasV3Fields = version === 3;
  if (hasV3Fields && head.length < HEADER_LENGTH_V3_MIN) {
    throw damaged(source, 'it ends within its header');
  }
  const headerLength = hasV3Fields ? view.getUint32(100) : HEADER_LENGTH_V2;
  if (hasV3Fields && (headerLength < HEADER_LENGTH_V3_MIN || headerLength % 8 !== 0)) {
    throw damaged(source, `its header length is ${headerLength}`);
  }
  if (headerLength > head.length) throw damaged(source, `its header length is ${headerLength}`);
  return {
    version,
    backingFileOffset: view.getBigUint64(8),
    backingFileSize: view.getUint32(16),
    clusterBits: view.getUint32(20),
    virtualSize: view.getBigUint64(24),
    cryptMethod: view.getUint32(32),
    l1Size: view.getUint32(36),
    l1TableOffset: view.getBigUint64(40),
    refcountTableOffset: view.getBigUint64(48),
    refcountTableClusters: view.getUint32(56),
    snapshotCount: view.getUint32(60),
    snapshotsOffset: view.getBigUint64(64),
    incompatibleFeatures: hasV3Fields ? view.getBigUint64(72) : 0n,
    refcountOrder: hasV3Fields ? view.getUint32(96) : 4,
    headerLength,
    compressionType: headerLength > HEADER_LENGTH_V3_MIN ? view.getUint8(104) : 0,
  };
}

/** What would make a reader open a second file or ask for a key. */
function refuseReferences(source: string, fields: Fields): void {
  if (fields.backingFileOffset !== 0n || fields.backingFileSize !== 0) {
    throw new OperatorError(
      'qcow2-backing-file',
      `${source} refers to a backing file`,
      'Publish a standalone image: qemu-img convert -O qcow2 FILE STANDALONE, where its backing file is at hand.',
    );
  }
  if ((fields.incompatibleFeatures & FEATURE_DATA_FILE) !== 0n) throw dataFile(source);
  if (fields.cryptMethod !== 0) throw encrypted(source);
}

function refuseFeatures(source: string, fields: Fields): void {
  const unknown = fields.incompatibleFeatures & ~FEATURES_KNOWN;
  if (unknown !== 0n) {
    throw new OperatorError(
      'qcow2-feature-unknown',
      `${source} needs qcow2 features that are not known here (bits 0x${unknown.toString(16)})`,
      'Convert it to raw with the program that wrote it, and publish that.',
    );
  }
  if ((fields.incompatibleFeatures & FEATURE_CORRUPT) !== 0n) {
    throw new OperatorError(
      'qcow2-corrupt',
      `${source} is marked corrupt by the program that wrote it`,
      'Repair a copy with qemu-img check -r all, or take the image from its origin again.',
    );
  }
  const hasCompressionType = (fields.incompatibleFeatures & FEATURE_COMPRESSION_TYPE) !== 0n;
  // 1 is zstd; 0, zlib, is the one type that the feature bit must not announce.
  if (fields.compressionType !== (hasCompressionType ? 1 : 0)) {
    throw damaged(source, `its compression type is ${fields.compressionType}`);
  }
}

/** Returns the cluster size. */
function checkGeometry(source: string, fields: Fields): number {
  const { clusterBits } = fields;
  if (clusterBits < 9 || clusterBits > 21) {
    throw damaged(source, `its cluster size is 2^${clusterBits} bytes`);
  }
  if ((fields.incompatibleFeatures & FEATURE_EXTENDED_L2) !== 0n && clusterBits < 14) {
    throw damaged(source, `its clusters of 2^${clusterBits} bytes are too small for subclusters`);
  }
  if (fields.refcountOrder > 6) {
    throw damaged(source, `its refcounts have 2^${fields.refcountOrder} bits`);
  }
  return 2 ** clusterBits;
}

function checkVirtualSize(source: string, virtualSize: bigint, lengthMax: number): number {
  if (virtualSize === 0n) {
    throw new OperatorError(
      'image-empty',
      `the disk inside ${source} has no bytes`,
      'Check that this is the image you meant to publish.',
    );
  }
  if (virtualSize > BigInt(lengthMax)) {
    throw new OperatorError(
      'image-too-large',
      `the disk inside ${source} has ${virtualSize} bytes; the limit is ${lengthMax}`,
      'Check that this is the image you meant to publish; shrink the disk if it is.',
    );
  }
  if (virtualSize % 512n !== 0n) {
    throw new OperatorError(
      'image-size-invalid',
      `the disk inside ${source} has ${virtualSize} bytes, not a whole number of 512-byte sectors`,
      'Resize a copy with qemu-img resize.',
    );
  }
  return Number(virtualSize);
}

interface Sizes {
  readonly fileLength: number;
  readonly clusterSize: number;
  readonly virtualSize: number;
}

function checkTables(source: string, fields: Fields, sizes: Sizes): void {
  const { clusterSize } = sizes;
  const hasSubclusters = (fields.incompatibleFeatures & FEATURE_EXTENDED_L2) !== 0n;
  const bytesPerL2 = (clusterSize / (hasSubclusters ? 16 : 8)) * clusterSize;
  const l1Needed = Math.ceil(sizes.virtualSize / bytesPerL2);
  if (fields.l1Size < l1Needed || fields.l1Size > L1_ENTRIES_MAX) {
    throw damaged(source, `its L1 table has ${fields.l1Size} entries, ${l1Needed} are needed`);
  }
  checkTable(source, 'L1 table', fields.l1TableOffset, fields.l1Size * 8, sizes);

  const refcountTableLength = fields.refcountTableClusters * clusterSize;
  if (refcountTableLength === 0 || refcountTableLength > REFCOUNT_TABLE_LENGTH_MAX) {
    throw damaged(source, `its refcount table has ${fields.refcountTableClusters} clusters`);
  }
  const refcountTableOffset = fields.refcountTableOffset;
  checkTable(source, 'refcount table', refcountTableOffset, refcountTableLength, sizes);

  if (fields.snapshotCount > SNAPSHOTS_MAX) {
    throw damaged(source, `it has ${fields.snapshotCount} snapshots`);
  }
  if (fields.snapshotCount > 0) {
    // 40 bytes: the fixed part of an entry.
    const length = fields.snapshotCount * 40;
    checkTable(source, 'snapshot table', fields.snapshotsOffset, length, sizes);
  }
}

function checkTable(
  source: string,
  name: string,
  offset: bigint,
  length: number,
  sizes: Sizes,
): void {
  if (offset === 0n || offset % BigInt(sizes.clusterSize) !== 0n) {
    throw damaged(source, `its ${name} is at offset ${offset}, not at the start of a cluster`);
  }
  if (offset + BigInt(length) > BigInt(sizes.fileLength)) {
    throw damaged(source, `its ${name} lies behind the end of the file`);
  }
}

/** Walks the header extensions, which end with one of type 0 or where the first cluster ends. */
function refuseExtensions(source: string, head: Uint8Array, fields: Fields, end: number): void {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  let offset = fields.headerLength;
  while (offset < end) {
    if (offset + 8 > Math.min(end, head.length)) {
      throw damaged(source, 'its header extensions do not end');
    }
    const type = view.getUint32(offset);
    const length = view.getUint32(offset + 4);
    if (type === EXTENSION_END) return;
    if (type === EXTENSION_DATA_FILE) throw dataFile(source);
    if (type === EXTENSION_LUKS) throw encrypted(source);
    offset += 8 + Math.ceil(length / 8) * 8;
    if (offset > end) throw damaged(source, 'a header extension runs over the end of its cluster');
  }
}

function dataFile(source: string): OperatorError {
  return new OperatorError(
    'qcow2-data-file',
    `${source} keeps its data in another file`,
    'Publish a standalone image: qemu-img convert -O qcow2 FILE STANDALONE, where its data file is at hand.',
  );
}

function encrypted(source: string): OperatorError {
  return new OperatorError(
    'qcow2-encrypted',
    `${source} is encrypted`,
    'Publish the image unencrypted; guests can encrypt their own disks.',
  );
}

function damaged(source: string, what: string): OperatorError {
  return new OperatorError(
    'qcow2-damaged',
    `${source} is not a valid qcow2 image: ${what}`,
    'Run qemu-img check on it, or take the image from its origin again: it may have been cut short.',
  );
}
