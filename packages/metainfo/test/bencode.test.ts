import { ProtocolError } from '@bootswarm/stdx';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type BencodeInput,
  type BencodeLimits,
  type BencodeValue,
  bytesOfKey,
  decode,
  decodeEntries,
  encode,
  keyOfBytes,
  keyOfText,
} from '../src/index.ts';

const limits: BencodeLimits = { bytesMax: 1024 };

function ascii(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'latin1'));
}

function codeOf(run: () => unknown): string | undefined {
  try {
    run();
  } catch (error) {
    // Anything but a ProtocolError is a bug of ours and must fail the test.
    if (error instanceof ProtocolError) return error.code;
    throw error;
  }
  return undefined;
}

const keys = fc.uint8Array({ maxLength: 6 }).map(keyOfBytes);
const { value: values } = fc.letrec<{ value: BencodeValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    fc.maxSafeInteger(),
    fc.uint8Array({ maxLength: 40 }),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.array(fc.tuple(keys, tie('value')), { maxLength: 4 }).map((entries) => new Map(entries)),
  ),
}));
const roomy: BencodeLimits = { bytesMax: 1_000_000, depthMax: 16 };

describe('decode', () => {
  it('reads integers, strings, lists and dictionaries', () => {
    expect(decode(ascii('i-42e'), limits)).toBe(-42);
    expect(decode(ascii('i0e'), limits)).toBe(0);
    expect(decode(ascii('i9007199254740991e'), limits)).toBe(Number.MAX_SAFE_INTEGER);
    expect(decode(ascii('0:'), limits)).toEqual(new Uint8Array());
    expect(decode(ascii('l4:spami7ee'), limits)).toEqual([ascii('spam'), 7]);
    expect(decode(ascii('d3:cow3:moo4:spaml1:a1:bee'), limits)).toEqual(
      new Map<string, BencodeValue>([
        ['cow', ascii('moo')],
        ['spam', [ascii('a'), ascii('b')]],
      ]),
    );
  });

  it('returns byte strings as views on the input', () => {
    const bytes = ascii('xx4:spam').subarray(2);
    const value = decode(bytes, limits) as Uint8Array;
    expect(value.buffer).toBe(bytes.buffer);
    expect(value.byteOffset).toBe(4);
  });

  it('treats __proto__ and constructor as keys like any other', () => {
    const dict = decode(ascii('d9:__proto__d8:pollutedi1ee11:constructori2ee'), {
      ...limits,
      isCanonical: false,
    });
    expect([...(dict as Map<string, BencodeValue>).keys()]).toEqual(['__proto__', 'constructor']);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  it.each([
    ['', 'bencode-truncated'],
    ['i42', 'bencode-truncated'],
    ['l', 'bencode-truncated'],
    ['d1:a', 'bencode-truncated'],
    ['4:spa', 'bencode-truncated'],
    ['9007199254740991:a', 'bencode-truncated'],
    ['l-3:', 'bencode-syntax'],
    ['-3:abc', 'bencode-syntax'],
    ['ie', 'bencode-syntax'],
    ['i-e', 'bencode-syntax'],
    ['i+1e', 'bencode-syntax'],
    ['i1.5e', 'bencode-syntax'],
    ['i 1e', 'bencode-syntax'],
    [':', 'bencode-syntax'],
    ['e', 'bencode-syntax'],
    ['x', 'bencode-syntax'],
    ['di1ei2ee', 'bencode-syntax'],
    ['d1:ae', 'bencode-syntax'],
    ['i03e', 'bencode-number'],
    ['i00e', 'bencode-number'],
    ['i-0e', 'bencode-number'],
    ['i-01e', 'bencode-number'],
    ['00:', 'bencode-number'],
    ['01:a', 'bencode-number'],
    ['i9007199254740992e', 'bencode-number'],
    ['i-9007199254740992e', 'bencode-number'],
    ['i18446744073709551616e', 'bencode-number'],
    ['99999999999999999999:a', 'bencode-number'],
    ['i1ei2e', 'bencode-trailing'],
    ['1:ab', 'bencode-trailing'],
    ['d1:bi1e1:ai2ee', 'bencode-keys-unsorted'],
    ['d2:aai1e1:ai2ee', 'bencode-keys-unsorted'],
    ['d1:ai1e1:ai2ee', 'bencode-key-duplicate'],
  ])('rejects %j with %s', (text, code) => {
    expect(codeOf(() => decode(ascii(text), limits))).toBe(code);
  });

  it('sorts keys as raw bytes', () => {
    expect(codeOf(() => decode(ascii('d1:\x7fi1e1:\x80i2ee'), limits))).toBeUndefined();
    expect(codeOf(() => decode(ascii('d1:\x80i1e1:\x7fi2ee'), limits))).toBe(
      'bencode-keys-unsorted',
    );
  });

  it('tolerates unsorted keys when asked to, duplicates never', () => {
    const loose = { ...limits, isCanonical: false };
    expect(decode(ascii('d1:bi1e1:ai2ee'), loose)).toEqual(
      new Map([
        ['b', 1],
        ['a', 2],
      ]),
    );
    expect(codeOf(() => decode(ascii('d1:bi1e1:ai2e1:bi3ee'), loose))).toBe(
      'bencode-key-duplicate',
    );
    expect(codeOf(() => decode(ascii('d1:bi01ee'), loose))).toBe('bencode-number');
  });

  it('bounds bytes, depth and the number of values', () => {
    expect(codeOf(() => decode(ascii('4:spam'), { bytesMax: 5 }))).toBe('bencode-too-long');
    expect(codeOf(() => decode(ascii('llllllllllllllll'), limits))).toBe('bencode-too-deep');
    const nested = (depth: number) => ascii('l'.repeat(depth) + 'e'.repeat(depth));
    expect(codeOf(() => decode(nested(8), limits))).toBeUndefined();
    expect(codeOf(() => decode(nested(9), limits))).toBe('bencode-too-deep');
    expect(codeOf(() => decode(nested(3), { ...limits, depthMax: 2 }))).toBe('bencode-too-deep');
    const flat = ascii(`l${'le'.repeat(100)}e`);
    expect(codeOf(() => decode(flat, { ...limits, valuesMax: 101 }))).toBeUndefined();
    expect(codeOf(() => decode(flat, { ...limits, valuesMax: 100 }))).toBe(
      'bencode-too-many-values',
    );
  });

  it('gives back what was encoded', () => {
    fc.assert(
      fc.property(values, (value) => {
        expect(decode(encode(value), roomy)).toEqual(value);
      }),
      { numRuns: 500 },
    );
  });

  it('rejects every truncation of a value', () => {
    fc.assert(
      fc.property(
        values,
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (value, part) => {
          const bytes = encode(value);
          const cut = bytes.subarray(0, Math.floor(bytes.length * part));
          expect(codeOf(() => decode(cut, roomy))).toMatch(/^bencode-/);
        },
      ),
    );
  });

  it('either rejects bytes or is the inverse of encode on them', () => {
    const mutated = fc
      .tuple(
        values,
        fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 3 }),
      )
      .map(([value, edits]) => {
        const bytes = encode(value);
        for (const [at, byte] of edits) bytes[at % bytes.length] = byte;
        return bytes;
      });
    const soup = fc
      .array(fc.constantFrom('d', 'l', 'i', 'e', '1:a', '1:b', '0:', '3', ':', '-', '0', '7'), {
        maxLength: 40,
      })
      .map((tokens) => ascii(tokens.join('')));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 64 }), mutated, soup), (bytes) => {
        let value: BencodeValue | undefined;
        const code = codeOf(() => {
          value = decode(bytes, roomy);
        });
        if (code === undefined) expect(encode(value as BencodeValue)).toEqual(bytes);
        else expect(code).toMatch(/^bencode-/);
      }),
      { numRuns: 3000 },
    );
  });
});

describe('decodeEntries', () => {
  it('gives each value as it is encoded', () => {
    const entries = decodeEntries(ascii('d4:infod1:ai1ee4:name3:abce'), limits);
    expect(entries).toEqual(
      new Map([
        ['info', ascii('d1:ai1ee')],
        ['name', ascii('3:abc')],
      ]),
    );
  });

  it.each([
    ['le', 'bencode-not-a-dictionary'],
    ['i1e', 'bencode-not-a-dictionary'],
    ['d1:ai1e1:ai1ee', 'bencode-key-duplicate'],
    ['d1:bi1e1:ai1ee', 'bencode-keys-unsorted'],
    ['d1:ad1:bi1e1:ai1eee', 'bencode-keys-unsorted'],
    ['dex', 'bencode-trailing'],
    ['d1:al', 'bencode-truncated'],
    [`d1:a${'l'.repeat(8)}${'e'.repeat(8)}e`, 'bencode-too-deep'],
  ])('rejects %j with %s', (text, code) => {
    expect(codeOf(() => decodeEntries(ascii(text), limits))).toBe(code);
  });
});

describe('encode', () => {
  it('sorts keys, encodes text as UTF-8 and copies what is encoded already', () => {
    const input = new Map<string, BencodeInput>([
      ['b', { bencoded: ascii('le') }],
      [keyOfText('ä'), 'ä'],
      ['a', -0],
    ]);
    expect(Buffer.from(encode(input)).toString()).toBe('d1:ai0e1:ble2:ä2:äe');
  });

  it('asserts that numbers are safe integers and keys are bytes', () => {
    expect(() => encode(1.5)).toThrow('bencode of the number');
    expect(() => encode(2 ** 53)).toThrow('bencode of the number');
    expect(() => encode(new Map([['€', 1]]))).toThrow('one byte per character');
  });

  it('turns keys into bytes and back', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(bytesOfKey(keyOfBytes(bytes))).toEqual(bytes);
      }),
    );
  });
});
