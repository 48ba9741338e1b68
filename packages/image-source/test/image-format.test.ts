import { OperatorError } from '@bootswarm/stdx';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type DetectedFormat,
  detectFormat,
  FORMAT_HEAD_LENGTH,
  requireFormat,
  requireRawDisk,
  type SourceFormat,
} from '../src/image-format.ts';

function bytes(text: string, offset = 0): Buffer {
  const head = Buffer.alloc(FORMAT_HEAD_LENGTH);
  head.write(text, offset, 'latin1');
  return head;
}

const FOREIGN: [DetectedFormat, Buffer][] = [
  ['qcow', bytes('QFI\xfb\0\0\0\x01')],
  ['qed', bytes('QED\0')],
  ['vmdk', bytes('KDMV\x01\0\0\0')],
  ['vmdk', bytes('COWD\x01\0\0\0')],
  ['vmdk', bytes('# Disk DescriptorFile\nversion=1\nRW 1 FLAT "/etc/shadow" 0\n')],
  ['vmdk', bytes('#\r\n \r\n\n# x\nversion=2\n')],
  ['vdi', bytes('\x7f\x10\xda\xbe', 64)],
  ['vhd', bytes('conectix')],
  ['vhdx', bytes('vhdxfile')],
  ['luks', bytes('LUKS\xba\xbe\0\x01')],
  ['parallels', bytes('WithoutFreeSpace')],
  ['parallels', bytes('WithouFreSpacExt')],
  ['bochs', bytes('Bochs Virtual HD Image')],
];

const COMPRESSED: [DetectedFormat, Buffer][] = [
  ['gzip', bytes('\x1f\x8b\x08')],
  ['xz', bytes('\xfd7zXZ\0')],
  ['zstd', bytes('\x28\xb5\x2f\xfd')],
  ['bzip2', bytes('BZh9')],
  ['zip', bytes('PK\x03\x04')],
];

function codeOf(detected: DetectedFormat, label: SourceFormat | undefined): string {
  try {
    return requireFormat('disk.img', detected, label);
  } catch (error) {
    if (error instanceof OperatorError) return error.code;
    throw error;
  }
}

describe('the format of an image', () => {
  test.each([
    ...FOREIGN,
    ...COMPRESSED,
    ['qcow2', bytes('QFI\xfb\0\0\0\x03')] as [DetectedFormat, Buffer],
    ['qcow2', bytes('QFI\xfb\0\0\0\x63')] as [DetectedFormat, Buffer],
  ])('is %s by its signature', (format, head) => {
    expect(detectFormat(head)).toBe(format);
  });

  test.each([
    ['zeros', Buffer.alloc(FORMAT_HEAD_LENGTH)],
    ['an MBR', bytes('\x55\xaa', 510)],
    ['a GPT', bytes('EFI PART', 512)],
    ['a file of one byte', Buffer.from('Q')],
    ['a signature that is not at the start', bytes('QFI\xfb\0\0\0\x03', 1)],
    ['text', bytes('# version=1\nhello')],
  ])('is raw for %s', (_, head) => {
    expect(detectFormat(head)).toBe('raw');
  });

  test('is found for any bytes, without a guess outside the table', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), (head) => {
        expect(typeof detectFormat(head)).toBe('string');
      }),
    );
  });

  test('is found in linear time in text made to be backtracked over', () => {
    const head = Buffer.alloc(FORMAT_HEAD_LENGTH, ' \r\n#\n');
    expect(detectFormat(head)).toBe('raw');
    expect(detectFormat(Buffer.alloc(FORMAT_HEAD_LENGTH, ' '))).toBe('raw');
  });
});

describe('a label', () => {
  test('agrees with the content or the image is refused, both ways', () => {
    expect(codeOf('raw', 'raw')).toBe('raw');
    expect(codeOf('qcow2', 'qcow2')).toBe('qcow2');
    expect(codeOf('qcow2', 'raw')).toBe('format-mismatch');
    expect(codeOf('raw', 'qcow2')).toBe('format-mismatch');
    for (const [format] of FOREIGN) {
      expect(codeOf(format, 'raw')).toBe('format-mismatch');
      expect(codeOf(format, 'qcow2')).toBe('format-mismatch');
    }
  });

  test('may be left out for raw and qcow2 only', () => {
    expect(codeOf('raw', undefined)).toBe('raw');
    expect(codeOf('qcow2', undefined)).toBe('qcow2');
    for (const [format] of FOREIGN) expect(codeOf(format, undefined)).toBe('format-unsupported');
    for (const [format] of COMPRESSED) expect(codeOf(format, undefined)).toBe('image-compressed');
  });

  test('settles that a disk which begins like a compressed file is raw', () => {
    for (const [format] of COMPRESSED) expect(codeOf(format, 'raw')).toBe('raw');
  });
});

test('a flat disk that begins like an image itself is refused', () => {
  for (const [format, head] of FOREIGN) {
    expect(() => requireRawDisk('disk.qcow2', head), format).toThrow(OperatorError);
  }
  requireRawDisk('disk.qcow2', bytes('\x55\xaa', 510));
});
