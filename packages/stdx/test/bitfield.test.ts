import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AssertionError, Bitfield } from '../src/index.ts';

type Step =
  | { readonly type: 'set' | 'clear'; readonly index: number }
  | { readonly type: 'setRange'; readonly first: number; readonly count: number };

/** A size and what happens to a bitfield of it; sizes around whole bytes are the ones with spare bits. */
const history = fc.integer({ min: 1, max: 140 }).chain((size) => {
  const index = fc.nat({ max: size - 1 });
  const step: fc.Arbitrary<Step> = fc.oneof(
    fc.record({ type: fc.constantFrom('set' as const, 'clear' as const), index }),
    fc.tuple(index, fc.nat({ max: size })).map(([first, count]) => ({
      type: 'setRange' as const,
      first,
      count: Math.min(count, size - first),
    })),
  );
  return fc.record({ size: fc.constant(size), steps: fc.array(step, { maxLength: 60 }) });
});

function run(size: number, steps: readonly Step[]): { bitfield: Bitfield; model: Set<number> } {
  const bitfield = new Bitfield(size);
  const model = new Set<number>();
  for (const step of steps) {
    if (step.type === 'setRange') {
      bitfield.setRange(step.first, step.count);
      for (let at = 0; at < step.count; at += 1) model.add(step.first + at);
    } else if (step.type === 'set') {
      expect(bitfield.set(step.index)).toBe(!model.has(step.index));
      model.add(step.index);
    } else {
      expect(bitfield.clear(step.index)).toBe(model.delete(step.index));
    }
  }
  return { bitfield, model };
}

/** The smallest index from `from` on that is in `model`, or is not. */
function nextOf(model: Set<number>, size: number, from: number, isSet: boolean): number {
  for (let index = from; index < size; index += 1) if (model.has(index) === isSet) return index;
  return -1;
}

test('holds what a Set of indexes holds, whatever was set and cleared', () => {
  fc.assert(
    fc.property(history, ({ size, steps }) => {
      const { bitfield, model } = run(size, steps);
      expect(bitfield.count).toBe(model.size);
      expect(bitfield.isFull).toBe(model.size === size);
      for (let index = 0; index < size; index += 1) {
        expect(bitfield.has(index)).toBe(model.has(index));
        expect(bitfield.nextSet(index)).toBe(nextOf(model, size, index, true));
        expect(bitfield.nextClear(index)).toBe(nextOf(model, size, index, false));
      }
      expect([bitfield.has(size), bitfield.nextSet(size), bitfield.nextClear(size)]).toEqual([
        ...[false, -1, -1],
      ]);
    }),
  );
});

test('adds and compares as Sets of indexes do', () => {
  const pair = fc.integer({ min: 1, max: 140 }).chain((size) => {
    const indexes = fc.uniqueArray(fc.nat({ max: size - 1 }));
    return fc.tuple(fc.constant(size), indexes, indexes);
  });
  fc.assert(
    fc.property(pair, ([size, ours, theirs]) => {
      const [one, other] = [ours, theirs].map((indexes) => {
        const bitfield = new Bitfield(size);
        for (const index of indexes) bitfield.set(index);
        return bitfield;
      });
      const common = new Set(ours.filter((index) => theirs.includes(index)));
      for (let from = 0; from <= size; from += 1) {
        expect(one.nextCommon(other, from)).toBe(nextOf(common, size, from, true));
      }
      one.addAll(other);
      const both = new Set([...ours, ...theirs]);
      expect(one.count).toBe(both.size);
      for (let index = 0; index < size; index += 1) expect(one.has(index)).toBe(both.has(index));
      expect(other.count).toBe(theirs.length);
    }),
  );
});

test('comes back from its bytes as it was, and a clone goes its own way', () => {
  fc.assert(
    fc.property(history, ({ size, steps }) => {
      const { bitfield, model } = run(size, steps);
      const bytes = bitfield.toBytes();
      const copies = [Bitfield.fromBytes(size, bytes)!, bitfield.clone()];
      bytes.fill(0xff);
      for (const copy of copies) {
        expect(copy.count).toBe(model.size);
        expect(copy.toBytes()).toEqual(bitfield.toBytes());
        if (!copy.set(0)) copy.clear(0);
        expect(bitfield.has(0)).toBe(model.has(0));
      }
    }),
  );
});

test('accepts from the wire exactly what it would send', () => {
  const anything = fc.tuple(fc.nat({ max: 40 }), fc.uint8Array({ maxLength: 7 }));
  fc.assert(
    fc.property(anything, ([size, bytes]) => {
      const bitfield = Bitfield.fromBytes(size, bytes);
      const bits = [...bytes].flatMap((byte) => [7, 6, 5, 4, 3, 2, 1, 0].map((at) => byte >> at));
      const isSpareSet = bits.slice(size).some((bit) => (bit & 1) === 1);
      const isValid = bytes.length === Math.ceil(size / 8) && !isSpareSet;
      expect(bitfield !== undefined).toBe(isValid);
      if (bitfield) expect(bitfield.toBytes()).toEqual(bytes);
    }),
  );
});

describe('on the wire', () => {
  test.each([
    [[0], '8000'],
    [[7], '0100'],
    [[8, 9], '00c0'],
    [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 'ffc0'],
  ])('has index 0 in the high bit of byte 0: %j is %s', (indexes, hex) => {
    const bitfield = new Bitfield(10);
    for (const index of indexes) bitfield.set(index);
    expect(Buffer.from(bitfield.toBytes()).toString('hex')).toBe(hex);
  });

  test.each(['', 'ff', '0000ff', '0001', 'ffe0'])('refuses %o for 10 indexes', (hex) => {
    expect(Bitfield.fromBytes(10, Buffer.from(hex, 'hex'))).toBeUndefined();
  });

  test('is empty for no pieces', () => {
    expect(Bitfield.fromBytes(0, new Uint8Array(0))?.isFull).toBe(true);
    expect(Bitfield.fromBytes(0, new Uint8Array(1))).toBeUndefined();
  });
});

test('a full one has every index and no other', () => {
  for (const size of [0, 1, 8, 9, 1_000]) {
    const bitfield = Bitfield.full(size);
    expect([bitfield.count, bitfield.isFull, bitfield.nextClear(0)]).toEqual([size, true, -1]);
    expect(bitfield.has(size)).toBe(false);
  }
});

test.each([-1, 10, 16, Number.NaN])('asserts that index %d is within it', (index) => {
  const bitfield = new Bitfield(10);
  expect(() => bitfield.set(index)).toThrow(AssertionError);
  expect(() => bitfield.clear(index)).toThrow(AssertionError);
  expect(bitfield.count).toBe(0);
});

test.each([-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY])('asserts that %d is no size', (size) => {
  expect(() => new Bitfield(size)).toThrow(AssertionError);
});
