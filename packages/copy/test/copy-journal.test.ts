import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeJournal, encodeHeader, encodeRecord, RECORD_LENGTH } from '../src/copy-journal.ts';

const UNITS = 40;
const HEADER = {
  source: 'file:/ä',
  version: '"etag"',
  length: UNITS * 65_536 - 1,
  unitLength: 65_536,
};
const head = encodeHeader(HEADER);
const digests = Array.from({ length: UNITS }, () => randomBytes(32));
const written = fc.array(fc.nat(UNITS - 1), { maxLength: 60 });

const journalOf = (units: readonly number[]): Buffer =>
  Buffer.concat([head, ...units.map((unit) => encodeRecord(unit, digests[unit]))]);

describe('the journal of a copy', () => {
  it('gives back what was recorded', () => {
    fc.assert(
      fc.property(written, (units) => {
        const journal = decodeJournal(journalOf(units))!;
        expect(journal.header).toEqual(HEADER);
        expect(journal.units).toEqual(
          new Map(units.map((unit) => [unit, Uint8Array.from(digests[unit])])),
        );
        expect(journal.validLength).toBe(head.length + units.length * RECORD_LENGTH);
      }),
    );
  });

  it('gives back whole records only when it is cut anywhere', () => {
    fc.assert(
      fc.property(written, fc.nat(), (units, at) => {
        const whole = journalOf(units);
        const cut = at % (whole.length + 1);
        const journal = decodeJournal(whole.subarray(0, cut));
        if (cut < head.length) {
          expect(journal).toBeUndefined();
          return;
        }
        const records = Math.floor((cut - head.length) / RECORD_LENGTH);
        expect([...journal!.units.keys()]).toEqual([...new Set(units.slice(0, records))]);
        expect(journal!.validLength).toBe(head.length + records * RECORD_LENGTH);
      }),
    );
  });

  it('never gives a unit that was not recorded when a bit is wrong', () => {
    fc.assert(
      fc.property(written, fc.nat(), (units, at) => {
        const bytes = journalOf(units);
        const bit = at % (bytes.length * 8);
        bytes[bit >> 3] ^= 1 << (bit & 7);
        const journal = decodeJournal(bytes);
        if (journal === undefined) return;
        expect(journal.header).toEqual(HEADER);
        for (const [unit, digest] of journal.units) {
          expect(units).toContain(unit);
          expect(digests[unit].equals(digest)).toBe(true);
        }
      }),
    );
  });

  it('makes nothing of other bytes, and throws nothing', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(decodeJournal(bytes)).toBeUndefined();
      }),
    );
  });
});
