/** What no kernel sends: the session has an answer to everything, and throws at nothing. */
import { FuseSession } from '@bootswarm/fuse-proto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { message, name, replyOf, TestDirectory, TestFile, words } from './kernel.ts';

const FILE = 99;
const LENGTH = 65_536;
const session = () => new FuseSession(new TestDirectory(new TestFile(FILE, 'a.raw', LENGTH)));

test('any bytes at all are answered or refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      expect(session().handle(bytes)).toHaveProperty('type');
    }),
  );
});

test('any arguments of any operation are answered under their number', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 60 }),
      fc.constantFrom(0, 1, FILE, 12_345),
      fc.uint8Array({ maxLength: 120 }),
      fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }),
      (opcode, nodeId, args, unique) => {
        const effect = session().handle(message(opcode, nodeId, args, unique));
        if (effect.type === 'read') {
          expect(effect.offset + effect.length).toBeLessThanOrEqual(LENGTH);
          expect(effect.length).toBeGreaterThan(0);
        }
        if (!('bytes' in effect) || effect.bytes === undefined) return;
        const reply = replyOf(effect.bytes);
        expect(reply.unique).toBe(unique);
        expect(reply.length).toBe(effect.bytes.length);
        expect(reply.error).toBeLessThanOrEqual(0);
        if (reply.error < 0) expect(reply.length).toBe(16);
      },
    ),
    { numRuns: 2_000 },
  );
});

test('a message that is cut short is refused, and answered where it has a number', () => {
  const whole = [
    message(1, 1, name('a.raw')),
    message(15, FILE, words(5n, 0n, 4096, 0, 0n, 0, 0)),
    message(14, FILE, words(0, 0)),
  ];
  for (const bytes of whole) {
    for (let length = 0; length < bytes.length; length += 1) {
      const cut = Buffer.from(bytes.subarray(0, length));
      expect(session().handle(cut)).toMatchObject({ type: 'broken' });
      if (length < 40) continue;
      cut.writeUInt32LE(length, 0);
      const effect = session().handle(cut);
      expect(effect.type).toBe('broken');
      if (effect.type === 'broken') expect(replyOf(effect.bytes!).error).toBe(-5);
    }
  }
});

test('a name without an end, or longer than any, is refused', () => {
  expect(session().handle(message(1, 1, Buffer.from('a.raw')))).toMatchObject({
    ...{ type: 'broken', error: { code: 'name-open' } },
  });
  expect(session().handle(message(1, 1, name('x'.repeat(256))))).toMatchObject({
    ...{ type: 'broken', error: { code: 'name-long' } },
  });
});
