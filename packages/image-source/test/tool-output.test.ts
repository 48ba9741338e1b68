import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MapLines } from '../src/extents.ts';
import { ProgressText } from '../src/qemu-img.ts';

/** `qemu-img map --output=json` of a file of 1,000,001 bytes (QEMU 7.2). */
const MAP = `[{ "start": 0, "length": 4096, "depth": 0, "present": true, "zero": false, "data": true, "offset": 0},
{ "start": 4096, "length": 4096, "depth": 0, "present": true, "zero": false, "data": true, "offset": 4096},
{ "start": 8192, "length": 991232, "depth": 0, "present": true, "zero": true, "data": false, "offset": 8192},
{ "start": 999424, "length": 577, "depth": 0, "present": true, "zero": false, "data": true, "offset": 999424},
{ "start": 1000001, "length": 447, "depth": 0, "present": true, "zero": true, "data": false, "offset": 1000001}]
`;
const PROGRESS = '    (0.00/100%)\r    (1.56/100%)\r    (50.00/100%)\r    (100.00/100%)\r\n';

/** Each text cut at any places. */
function cuts(text: string) {
  return fc.array(fc.nat(text.length), { maxLength: 20 }).map((places) => {
    const ends = [...places.toSorted((a, b) => a - b), text.length];
    return ends.map((end, index) => text.slice(index === 0 ? 0 : ends[index - 1], end));
  });
}

describe('the map that qemu-img prints', () => {
  test('gives the same extents however it is cut', () => {
    fc.assert(
      fc.property(cuts(MAP), (parts) => {
        const lines = new MapLines(1_000_001);
        for (const part of parts) lines.push(part);
        expect(lines.extents).toEqual([
          { offset: 0, length: 8192 },
          { offset: 999_424, length: 577 },
        ]);
      }),
    );
  });

  test('is cut to the length of the file', () => {
    const lines = new MapLines(1000);
    lines.push('[{ "start": 512, "length": 512, "depth": 0, "data": true, "offset": 0},\n');
    lines.push('{ "start": 1024, "length": 512, "depth": 0, "data": true, "offset": 0}]\n');
    expect(lines.extents).toEqual([{ offset: 512, length: 488 }]);
  });

  test('of a file with too many extents ends in one to the end of the file', () => {
    const count = 2 ** 18 + 10;
    const length = count * 1024;
    const lines = new MapLines(length);
    for (let index = 0; index < count; index += 1) {
      lines.push(`{ "start": ${index * 1024}, "length": 512, "data": true, "offset": 0},\n`);
    }
    expect(lines.extents).toHaveLength(2 ** 18);
    expect(lines.extents[0]).toEqual({ offset: 0, length: 512 });
    const last = lines.extents.at(-1) ?? { offset: 0, length: 0 };
    expect(last.offset + last.length).toBe(length);
  });
});

describe('the progress that qemu-img prints', () => {
  test('rises to 1 however it is cut', () => {
    fc.assert(
      fc.property(cuts(PROGRESS), (parts) => {
        const seen: number[] = [];
        const text = new ProgressText((fraction) => seen.push(fraction));
        for (const part of parts) text.push(part);
        expect(seen.at(-1)).toBe(1);
        expect(seen).toEqual(seen.toSorted((a, b) => a - b));
        for (const fraction of seen) {
          expect([0, 156, 5000, 10_000]).toContain(Math.round(fraction * 10_000));
        }
      }),
    );
  });
});
