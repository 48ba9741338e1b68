import fc from 'fast-check';
import { expect, test } from 'vitest';
import { QMP_LINE_BYTES_MAX, QmpLines } from '../src/qmp-lines.ts';
import { parseQmpMessage } from '../src/qmp-message.ts';

const line = fc.string({ unit: 'grapheme' }).map((text) => text.replace(/[\r\n]/g, '').trim());

test('lines come out as they went in, however they are cut', () => {
  fc.assert(
    fc.property(fc.array(line), fc.array(fc.nat(200)), (texts, cuts) => {
      const bytes = Buffer.from(texts.map((text) => `${text}\r\n`).join(''));
      const lines = new QmpLines();
      const got: string[] = [];
      let at = 0;
      for (const cut of [...cuts, bytes.length]) {
        got.push(...lines.feed(bytes.subarray(at, at + cut)));
        at += cut;
      }
      expect(got).toEqual(texts.filter((text) => text !== ''));
    }),
  );
});

test('a line that is too long is refused in whatever parts it comes', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: QMP_LINE_BYTES_MAX }), (length) => {
      const lines = new QmpLines();
      expect([...lines.feed(Buffer.alloc(length))]).toEqual([]);
      const rest = Buffer.alloc(QMP_LINE_BYTES_MAX - length + 1);
      expect(() => [...lines.feed(rest)]).toThrow('qmp-line-too-long');
    }),
    { numRuns: 20 },
  );
});

test('whatever is parsed is a message or garbage, and nothing else is thrown', () => {
  const value = fc.jsonValue({ maxDepth: 3 });
  const key = fc.constantFrom('QMP', 'event', 'data', 'return', 'error', 'id', 'desc');
  const object = fc.dictionary(key, fc.oneof(value, fc.record({ desc: value }), fc.integer()));
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),

        object.map((o) => JSON.stringify(o)),
      ),
      (text) => {
        try {
          expect(['greeting', 'return', 'error', 'event']).toContain(parseQmpMessage(text).type);
        } catch (error) {
          expect(error).toMatchObject({ code: 'qmp-garbage' });
        }
      },
    ),
  );
});
