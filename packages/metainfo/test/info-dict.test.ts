import { OperatorError, ProtocolError } from '@bootswarm/stdx';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type BencodeInput,
  bytesOfKey,
  choosePieceLength,
  createInfo,
  encode,
  keyOfText,
  parseInfo,
} from '../src/index.ts';
import { KIB } from './images.ts';
import { sha256 } from './reference-tree.ts';

const MIB = 1024 * KIB;
const GIB = 1024 * MIB;
const piecesRoot = new Uint8Array(sha256(Buffer.from('root')));
const fields = { name: 'debian-12.raw', length: 2 * GIB + 1, pieceLength: 64 * KIB, piecesRoot };

function infoWith(
  changes: Record<string, BencodeInput | undefined>,
  properties: Record<string, BencodeInput | undefined> = {},
): Uint8Array {
  const present = (entries: Record<string, BencodeInput | undefined>) =>
    new Map<string, BencodeInput>(
      Object.entries(entries).filter(
        (entry): entry is [string, BencodeInput] => entry[1] !== undefined,
      ),
    );
  const file = present({ length: fields.length, 'pieces root': piecesRoot, ...properties });
  return encode(
    present({
      'file tree': new Map([['disk', new Map([['', file]])]]),
      'meta version': 2,
      name: 'disk',
      'piece length': 64 * KIB,
      ...changes,
    }),
  );
}

function codeOf(bytes: Uint8Array): string {
  try {
    parseInfo(bytes);
  } catch (error) {
    if (error instanceof ProtocolError) return error.code;
    throw error;
  }
  return 'none';
}

describe('choosePieceLength', () => {
  it.each([
    [1, 64 * KIB],
    [10 * GIB, 64 * KIB],
    // 2^20 - 1 pieces of 64 KiB are the last that fit.
    [64 * GIB - 64 * KIB, 64 * KIB],
    [64 * GIB - 64 * KIB + 1, 128 * KIB],
    [1024 * GIB, 2 * MIB],
    [64 * 1024 * GIB, 16 * MIB],
  ])('divides %i bytes into pieces of %i', (length, pieceLength) => {
    expect(choosePieceLength(length)).toBe(pieceLength);
  });
});

describe('createInfo', () => {
  it('writes the dictionary of BEP 52', () => {
    const metainfo = createInfo(fields);
    const expected = Buffer.concat([
      Buffer.from('d9:file treed13:debian-12.rawd0:d6:lengthi2147483649e11:pieces root32:'),
      piecesRoot,
      Buffer.from('eee12:meta versioni2e4:name13:debian-12.raw12:piece lengthi65536ee'),
    ]);
    expect(Buffer.from(metainfo.infoBytes)).toEqual(expected);
    expect(Buffer.from(metainfo.infoHash)).toEqual(sha256(expected));
    expect(metainfo.imageId).toBe(sha256(expected).toString('hex').slice(0, 40));
    expect(metainfo).toMatchObject({ ...fields, pieceCount: 32_769 });
  });

  it('is read back as it was', () => {
    const names = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(names, fc.integer({ min: 1, max: 2 ** 45 }), (name, length) => {
        fc.pre(!/[/\\\p{Cc}]/u.test(name) && name !== '.' && name !== '..');
        const metainfo = createInfo({
          name,
          length,
          pieceLength: choosePieceLength(length),
          piecesRoot,
        });
        expect(parseInfo(metainfo.infoBytes)).toEqual(metainfo);
      }),
    );
  });

  it.each(['', '.', '..', 'a/b', 'a\\b', 'a\0', 'a\nb', '\x7f', '\x85', '\ud800', 'é'.repeat(128)])(
    'refuses the name %j',
    (name) => {
      expect(() => createInfo({ ...fields, name })).toThrow(OperatorError);
    },
  );

  it('refuses an image that is empty or needs too many pieces', () => {
    expect(() => createInfo({ ...fields, length: 0 })).toThrow('cannot be divided');
    expect(() => createInfo({ ...fields, length: 2 ** 22 * 64 * KIB + 1 })).toThrow(
      'cannot be divided',
    );
    expect(createInfo({ ...fields, length: 2 ** 22 * 64 * KIB }).pieceCount).toBe(2 ** 22);
  });
});

describe('parseInfo', () => {
  it('accepts keys that others add, and hashes them', () => {
    const bytes = infoWith({ private: 1, source: 'cloud', name: 'A display name' }, { attr: 'x' });
    const metainfo = parseInfo(bytes);
    expect(metainfo.name).toBe('A display name');
    expect(Buffer.from(metainfo.infoHash)).toEqual(sha256(bytes));
  });

  it('keeps no view on the bytes it was given', () => {
    const bytes = infoWith({});
    const metainfo = parseInfo(bytes);
    const before = structuredClone(metainfo);
    bytes.fill(0);
    expect(metainfo).toEqual(before);
  });

  const file = new Map<string, BencodeInput>([
    ['length', 5],
    ['pieces root', piecesRoot],
  ]);
  const tree = (name: string) => new Map([[name, new Map([['', file]])]]);
  it.each<[string, Uint8Array, string]>([
    ['nothing', new Uint8Array(), 'bencode-truncated'],
    ['a list', encode([]), 'info-malformed'],
    ['more than 64 KiB', infoWith({ source: 'x'.repeat(64 * KIB) }), 'bencode-too-long'],
    ['no version', infoWith({ 'meta version': undefined }), 'info-malformed'],
    ['version 1', infoWith({ 'meta version': 1 }), 'info-version'],
    ['version 3, whatever else is wrong', encode(new Map([['meta version', 3]])), 'info-version'],
    ['a hybrid', infoWith({ pieces: new Uint8Array(20) }), 'info-hybrid'],
    ['a hybrid of one file', infoWith({ length: 5 }), 'info-hybrid'],
    ['a hybrid of several files', infoWith({ files: [] }), 'info-hybrid'],
    ['no piece length', infoWith({ 'piece length': undefined }), 'info-malformed'],
    ['pieces of 8 KiB', infoWith({ 'piece length': 8 * KIB }), 'info-piece-length'],
    ['pieces of 48 KiB', infoWith({ 'piece length': 48 * KIB }), 'info-piece-length'],
    ['pieces of 32 MiB', infoWith({ 'piece length': 32 * MIB }), 'info-piece-length'],
    ['pieces of 2^33 bytes', infoWith({ 'piece length': 2 ** 33 }), 'info-piece-length'],
    ['pieces of -65,536 bytes', infoWith({ 'piece length': -64 * KIB }), 'info-piece-length'],
    ['too many pieces', infoWith({}, { length: 2 ** 22 * 64 * KIB + 1 }), 'info-piece-count'],
    ['no file tree', infoWith({ 'file tree': undefined }), 'info-malformed'],
    ['a text for a file tree', infoWith({ 'file tree': 'disk' }), 'info-malformed'],
    ['no file', infoWith({ 'file tree': new Map() }), 'info-not-one-file'],
    [
      'two files',
      infoWith({ 'file tree': new Map([...tree('a'), ...tree('b')]) }),
      'info-not-one-file',
    ],
    [
      'a directory',
      infoWith({ 'file tree': new Map([['dir', tree('disk')]]) }),
      'info-not-one-file',
    ],
    ['a file at the root', infoWith({ 'file tree': new Map([['', file]]) }), 'info-name'],
    [
      'a file with siblings',
      infoWith({
        'file tree': new Map([
          [
            'disk',
            new Map([
              ['', file],
              ['a', file],
            ]),
          ],
        ]),
      }),
      'info-not-one-file',
    ],
    [
      'a number for a file',
      infoWith({ 'file tree': new Map([['disk', new Map([['', 1]])]]) }),
      'info-malformed',
    ],
    ['no length', infoWith({}, { length: undefined }), 'info-malformed'],
    ['an empty file', infoWith({}, { length: 0 }), 'info-length'],
    ['a negative length', infoWith({}, { length: -1 }), 'info-length'],
    ['no pieces root', infoWith({}, { 'pieces root': undefined }), 'info-malformed'],
    ['a short pieces root', infoWith({}, { 'pieces root': new Uint8Array(31) }), 'info-malformed'],
    ['a padding file', infoWith({}, { attr: 'p' }), 'info-file-attributes'],
    ['a symbolic link', infoWith({}, { attr: 'xl' }), 'info-file-attributes'],
    ['no name', infoWith({ name: undefined }), 'info-malformed'],
    ['a number for a name', infoWith({ name: 1 }), 'info-malformed'],
    ['a name that climbs', infoWith({ name: '../disk' }), 'info-name'],
    ['a name that is not UTF-8', infoWith({ name: new Uint8Array([0xc0, 0xaf]) }), 'info-name'],
    ['a file name that climbs', infoWith({ 'file tree': tree('..') }), 'info-name'],
    [
      'a file name with a control character',
      infoWith({ 'file tree': tree('a\x1b[2J') }),
      'info-name',
    ],
  ])('rejects %s', (_, bytes, code) => {
    expect(codeOf(bytes)).toBe(code);
  });

  it('throws nothing but ProtocolError, however the bytes are mangled', () => {
    const edits = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), {
      minLength: 1,
      maxLength: 4,
    });
    fc.assert(
      fc.property(edits, fc.nat(), (changes, cut) => {
        const bytes = infoWith({});
        for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
        codeOf(bytes);
        codeOf(bytes.subarray(0, cut % bytes.length));
      }),
      { numRuns: 1000 },
    );
  });

  it('reads file names as UTF-8', () => {
    const name = 'müsli 🥣.raw';
    expect(Buffer.from(bytesOfKey(keyOfText(name))).toString()).toBe(name);
    expect(parseInfo(createInfo({ ...fields, name }).infoBytes).name).toBe(name);
  });
});
