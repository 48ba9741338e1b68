/**
 * Decides from its first bytes what kind of disk image a file is, and whether that agrees with what its publisher says. Never
 * asks another program to guess: a guess that QEMU makes is a guess an image can steer. Reads no file itself.
 */
import { OperatorError } from '@bootswarm/stdx';

/** The formats an image may be published from. */
export type SourceFormat = 'raw' | 'qcow2';

/** Formats that are recognised in order to be refused. */
export type ForeignFormat =
  | 'qcow'
  | 'qed'
  | 'vmdk'
  | 'vdi'
  | 'vhd'
  | 'vhdx'
  | 'luks'
  | 'parallels'
  | 'bochs';

export type CompressedFormat = 'gzip' | 'xz' | 'zstd' | 'bzip2' | 'zip';

export type DetectedFormat = SourceFormat | ForeignFormat | CompressedFormat;

/** As much of a file as detectFormat looks at. */
export const FORMAT_HEAD_LENGTH = 4096;

/**
 * The format that the first FORMAT_HEAD_LENGTH bytes (or the whole of a shorter file) announce. Anything without the signature
 * of another format is a raw disk: an MBR, a GPT and an ISO 9660 file system are contents of one.
 */
export function detectFormat(head: Uint8Array): DetectedFormat {
  const text = Buffer.from(head.subarray(0, FORMAT_HEAD_LENGTH)).toString('latin1');
  const signature = SIGNATURES.find(({ offset, magic }) => text.startsWith(magic, offset));
  if (signature !== undefined) return signature.format;
  return VMDK_DESCRIPTOR.test(text) ? 'vmdk' : 'raw';
}

/**
 * The format to read `source` as. Throws OperatorError: `format-mismatch` when `label` says something else than the content,
 * `format-unsupported` and `image-compressed` when the content is neither raw nor qcow2.
 */
export function requireFormat(
  source: string,
  detected: DetectedFormat,
  label: SourceFormat | undefined,
): SourceFormat {
  if (detected === label) return label;
  // The signatures of compressed files are short enough for an honest disk to begin with one, so a label settles it.
  if (label === 'raw' && isCompressed(detected)) return 'raw';
  if (label !== undefined) {
    throw new OperatorError(
      'format-mismatch',
      `${source} is given as ${label} but its content is ${detected}`,
      'Give the format the file has, or none; an image whose label and content differ is never published.',
    );
  }
  if (detected === 'raw' || detected === 'qcow2') return detected;
  if (isCompressed(detected)) {
    throw new OperatorError(
      'image-compressed',
      `${source} is compressed (${detected})`,
      'Decompress it and publish the disk image inside.',
    );
  }
  throw new OperatorError(
    'format-unsupported',
    `${source} is a ${detected} image; only raw and qcow2 are supported`,
    detected === 'luks'
      ? 'Publish the image unencrypted.'
      : 'Convert it first, on a host where the file is trusted: qemu-img convert -O raw FILE FILE.raw',
  );
}

/** Throws OperatorError `image-nested` when the flat disk that came out of `source` begins like an image itself. */
export function requireRawDisk(source: string, head: Uint8Array): void {
  const detected = detectFormat(head);
  if (detected === 'raw' || isCompressed(detected)) return;
  // Whoever probes the flat disk later (Nova, an operator's qemu-img) would follow the header inside it.
  throw new OperatorError(
    'image-nested',
    `the disk inside ${source} begins with a ${detected} header`,
    'Publish the inner image instead; a disk that other tools take for an image file is never published.',
  );
}

interface Signature {
  readonly format: DetectedFormat;
  readonly offset: number;
  /** Latin-1. */
  readonly magic: string;
}

/** The probe functions of QEMU's block/*.c, without their laxer guesses. */
const SIGNATURES: readonly Signature[] = [
  { format: 'qcow', offset: 0, magic: 'QFI\xfb\0\0\0\x01' },
  { format: 'qcow2', offset: 0, magic: 'QFI\xfb' },
  { format: 'qed', offset: 0, magic: 'QED\0' },
  { format: 'vmdk', offset: 0, magic: 'KDMV' },
  { format: 'vmdk', offset: 0, magic: 'COWD' },
  { format: 'vdi', offset: 64, magic: '\x7f\x10\xda\xbe' },
  { format: 'vhd', offset: 0, magic: 'conectix' },
  { format: 'vhdx', offset: 0, magic: 'vhdxfile' },
  { format: 'luks', offset: 0, magic: 'LUKS\xba\xbe' },
  { format: 'parallels', offset: 0, magic: 'WithoutFreeSpace' },
  { format: 'parallels', offset: 0, magic: 'WithouFreSpacExt' },
  { format: 'bochs', offset: 0, magic: 'Bochs Virtual HD Image' },
  { format: 'gzip', offset: 0, magic: '\x1f\x8b\x08' },
  { format: 'xz', offset: 0, magic: '\xfd7zXZ\0' },
  { format: 'zstd', offset: 0, magic: '\x28\xb5\x2f\xfd' },
  { format: 'bzip2', offset: 0, magic: 'BZh' },
  { format: 'zip', offset: 0, magic: 'PK\x03\x04' },
];

/** A VMDK descriptor is text that names other files: comments and blank lines, then `version=`, as QEMU's vmdk_probe has it. */
const VMDK_DESCRIPTOR = /^(?:#[^\n]*\n|[ \r]*\n)*version=\d/;

function isCompressed(format: DetectedFormat): format is CompressedFormat {
  return (
    format === 'gzip' ||
    format === 'xz' ||
    format === 'zstd' ||
    format === 'bzip2' ||
    format === 'zip'
  );
}
