import { OUT_HEADER_LENGTH } from '@bootswarm/fuse-proto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ReplyAhead } from '../../src/fuse/reply-ahead.ts';
import type { ForesightedSource } from '../../src/nbd/export-source.ts';

const LENGTH = 4096;

/** Bytes of its own, of which `hereUpTo` are at hand. */
function sourceOf(seed: number, log: string[], hereUpTo = LENGTH): ForesightedSource {
  return {
    readNow: () => expect.unreachable(),
    read: () => expect.unreachable(),
    prefetch: () => {},
    close: () => {},
    readAhead: (offset, target) => {
      if (offset + target.length > hereUpTo) return false;
      for (let at = 0; at < target.length; at += 1) target[at] = byteAt(seed, offset + at);
      log.push(`fill ${offset}+${target.length}`);
      return true;
    },
    took: (offset, length) => log.push(`took ${offset}+${length}`),
  };
}

const byteAt = (seed: number, offset: number): number => (seed * 89 + offset * 7) % 251;

test('a file that is read in order is read ahead, and what was is not read again', () => {
  const log: string[] = [];
  const source = sourceOf(1, log);
  const ahead = new ReplyAhead();
  for (const offset of [0, 100, 200]) {
    const range = { handle: 1, offset, length: 100, file: { length: LENGTH } };
    ahead.replyTo(range, source);
    ahead.prepare(range, source);
  }
  expect(log).toEqual([
    ...['fill 0+100', 'took 0+100'],
    ...['fill 100+100', 'took 100+100', 'fill 200+100'],
    ...['took 200+100', 'fill 300+100'],
  ]);
});

test('nothing is read ahead past the end of a file', () => {
  const log: string[] = [];
  const source = sourceOf(1, log);
  const ahead = new ReplyAhead();
  for (const offset of [0, 100]) {
    const range = { handle: 1, offset, length: 100, file: { length: 250 } };
    ahead.replyTo(range, source);
    ahead.prepare(range, source);
  }
  expect(log.filter((line) => line.startsWith('fill'))).toEqual(['fill 0+100', 'fill 100+100']);
});

test('every read gets the bytes of its place in its file and counts once, whoever else reads', () => {
  const read = fc.record({
    handle: fc.constantFrom(1, 2),
    back: fc.constantFrom(0, 0, 0, 0, 7),
    length: fc.constantFrom(64, 64, 64, 65),
    isStreaming: fc.constantFrom(true, true, false),
  });
  fc.assert(
    fc.property(fc.array(read, { maxLength: 60 }), (reads) => {
      const log: string[] = [];
      const files = [0, 1, 2].map((handle) => sourceOf(handle, log, 2_000));
      const ends = [0, 0, 0];
      const ahead = new ReplyAhead();
      for (const { handle, back, length, isStreaming } of reads) {
        const offset = Math.max(0, ends[handle] - back);
        const range = { handle, offset, length, file: { length: LENGTH } };
        const count = log.filter((line) => line.startsWith('took')).length;
        const reply = ahead.replyTo(range, files[handle]);
        const isHere = offset + length <= 2_000;
        expect(reply?.length).toBe(isHere ? OUT_HEADER_LENGTH + length : undefined);
        const expected = Array.from({ length }, (_, at) => byteAt(handle, offset + at));
        if (reply) expect([...reply.subarray(OUT_HEADER_LENGTH)]).toEqual(expected);
        const took = log.filter((line) => line.startsWith('took')).slice(count);
        expect(took).toEqual(isHere ? [`took ${offset}+${length}`] : []);
        // As the kernel takes it, before the next is prepared in its place.
        if (reply && isStreaming) ahead.prepare(range, files[handle]);
        ends[handle] = offset + length;
      }
    }),
  );
});
