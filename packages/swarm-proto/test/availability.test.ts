import { Bitfield } from '@bootswarm/stdx';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Availability } from '../src/availability.ts';

const PEERS = 5;

type Step =
  | { readonly op: 'toggle'; readonly piece: number }
  | { readonly op: 'has'; readonly peer: number; readonly piece: number }
  | { readonly op: 'has-all'; readonly peer: number; readonly pieces: readonly number[] }
  | { readonly op: 'leave'; readonly peer: number };

/** Around 256 and 512 pieces a page begins. */
const history = fc.constantFrom(1, 30, 256, 600).chain((pieceCount) => {
  const piece = fc.nat(pieceCount - 1);
  const peer = fc.nat(PEERS - 1);
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 3, arbitrary: fc.record({ op: fc.constant('toggle' as const), piece }) },
    { weight: 3, arbitrary: fc.record({ op: fc.constant('has' as const), peer, piece }) },
    fc.record({
      op: fc.constant('has-all' as const),
      peer,
      pieces: fc.array(piece, { maxLength: 40 }),
    }),
    fc.record({ op: fc.constant('leave' as const), peer }),
  );
  return fc.record({
    pieceCount: fc.constant(pieceCount),
    steps: fc.array(step, { maxLength: 150 }),
  });
});

function bitfieldOf(size: number, pieces: readonly number[]): Bitfield {
  const bitfield = new Bitfield(size);
  for (const piece of pieces) bitfield.set(piece);
  return bitfield;
}

test('keeps the listed pieces in buckets by count, whatever peers come, tell and go', () => {
  fc.assert(
    fc.property(history, ({ pieceCount, steps }) => {
      const availability = new Availability(pieceCount);
      const peers = Array.from({ length: PEERS }, () => new Bitfield(pieceCount));
      for (const have of peers) availability.join(have);
      const told = peers.map(() => new Set<number>());
      const listed = new Set<number>();
      for (const step of steps) {
        if (step.op === 'has') {
          availability.add(peers[step.peer], step.piece);
          told[step.peer].add(step.piece);
        } else if (step.op === 'has-all') {
          availability.addAll(peers[step.peer], bitfieldOf(pieceCount, step.pieces));
          for (const piece of step.pieces) told[step.peer].add(piece);
        } else if (step.op === 'leave') {
          availability.leave(peers[step.peer]);
          peers[step.peer] = new Bitfield(pieceCount);
          told[step.peer].clear();
          availability.join(peers[step.peer]);
        } else if (listed.delete(step.piece)) {
          availability.unlist(step.piece);
        } else {
          listed.add(step.piece);
          availability.list(step.piece);
        }
        const found: number[] = [];
        for (let count = 0; count < availability.bucketCount; count += 1) {
          for (let n = 0; n < availability.bucketSize(count); n += 1) {
            const each = availability.at(count, n);
            expect(told.filter((pieces) => pieces.has(each)).length).toBe(count);
            expect(availability.count(each)).toBe(count);
            found.push(each);
          }
        }
        expect(found.sort((a, b) => a - b)).toEqual([...listed].sort((a, b) => a - b));
        expect(availability.listed).toBe(listed.size);
      }
      for (const [index, have] of peers.entries()) expect(have.count).toBe(told[index].size);
    }),
  );
});

test('finds the rarest piece first', () => {
  const availability = new Availability(3);
  for (const piece of [0, 1, 2]) availability.list(piece);
  for (const pieces of [[0], [0, 1]]) availability.join(bitfieldOf(3, pieces));
  expect([0, 1, 2].map((count) => availability.at(count, 0))).toEqual([2, 1, 0]);
});

test('counts a peer out once', () => {
  const availability = new Availability(1);
  availability.list(0);
  const have = bitfieldOf(1, [0]);
  availability.join(have);
  availability.leave(have);
  availability.leave(have);
  expect(availability.count(0)).toBe(0);
});

test('lists no piece twice, and unlists none that is not listed', () => {
  const availability = new Availability(2);
  availability.list(1);
  expect(() => availability.list(1)).toThrow(/piece 1 is listed twice/);
  expect(() => availability.unlist(0)).toThrow(/piece 0 is not listed/);
});
