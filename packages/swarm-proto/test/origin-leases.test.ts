import { describe, expect, test } from 'vitest';
import { OriginLeases } from '../src/origin-leases.ts';

const ALL = (): boolean => true;

describe('leases of the origin', () => {
  test('the first that asks is sent the piece, all others are sent to it', () => {
    const leases = new OriginLeases(4);
    expect(leases.take(2, 'a', 0, ALL)).toBeUndefined();
    expect(leases.take(2, 'b', 0, ALL)).toEqual({ node: 'a', number: 1 });
    expect(leases.take(3, 'b', 0, ALL)).toBeUndefined();
    expect(leases.take(2, 'c', 0, ALL)).toEqual({ node: 'a', number: 1 });
  });

  test('the holder itself is sent the piece again when it asks again', () => {
    const leases = new OriginLeases(1);
    leases.take(0, 'a', 0, ALL);
    expect(leases.take(0, 'a', 0, ALL)).toBeUndefined();
    expect(leases.take(0, 'b', 0, ALL)).toEqual({ node: 'a', number: 2 });
  });

  test('whom the holder failed gets the lease; a report about an earlier holder changes nothing', () => {
    const leases = new OriginLeases(1);
    leases.take(0, 'a', 0, ALL);
    expect(leases.take(0, 'b', 1, ALL)).toBeUndefined();
    expect(leases.take(0, 'c', 1, ALL)).toEqual({ node: 'b', number: 2 });
  });

  test('a holder that is gone is nobody to be sent to', () => {
    const leases = new OriginLeases(1);
    leases.take(0, 'a', 0, ALL);
    expect(leases.take(0, 'b', 0, (node) => node !== 'a')).toBeUndefined();
    expect(leases.take(0, 'c', 0, ALL)).toEqual({ node: 'b', number: 2 });
  });

  test('nodes that hold nothing any more are forgotten, however many come and go', () => {
    const leases = new OriginLeases(3);
    for (let n = 0; n < 1_000; n += 1) {
      for (const piece of [0, 1, 2]) leases.take(piece, `node-${n}`, 0, () => false);
      expect(leases.holders).toBe(1);
    }
    leases.take(1, 'x', 0, () => false);
    leases.take(2, 'y', 0, () => false);
    expect(leases.holders).toBe(3);
    expect(leases.take(0, 'z', 0, ALL)).toEqual({ node: 'node-999', number: 1_000 });
    expect(leases.take(1, 'z', 0, ALL)).toEqual({ node: 'x', number: 1_001 });
  });
});
