import { Bitfield } from '@bootswarm/stdx';
import { describe, expect, test } from 'vitest';
import './bitfield-equality.ts';
import { PieceLedger } from '../src/piece-ledger.ts';

function bits(...indexes: number[]): Bitfield {
  const bitfield = new Bitfield(8);
  for (const index of indexes) bitfield.set(index);
  return bitfield;
}

describe('PieceLedger', () => {
  test('commits what was dirty at the snapshot, and the rest with the next generation', () => {
    const ledger = new PieceLedger(bits(7));
    ledger.recordWritten(1);
    const first = ledger.beginCommit();
    ledger.recordWritten(2);
    const firstBits = ledger.bitsOf(first);
    expect(firstBits).toEqual(bits(1));
    ledger.endCommit(first, firstBits);
    expect(ledger.needsCommit).toBe(true);
    const second = ledger.beginCommit();
    expect(second).toMatchObject({ generation: 2, pieceIndexes: [2] });
    expect(ledger.bitsOf(second)).toEqual(bits(1, 2));
  });

  test('a piece dropped and written again during the data flush waits for the next commit', () => {
    const ledger = new PieceLedger(bits());
    ledger.recordWritten(1);
    const ticket = ledger.beginCommit();
    ledger.drop(1);
    ledger.recordWritten(1);
    expect(ledger.bitsOf(ticket)).toEqual(bits());
  });

  test('a piece dropped during the slot write is taken back by another commit', () => {
    const ledger = new PieceLedger(bits());
    ledger.recordWritten(1);
    const ticket = ledger.beginCommit();
    const written = ledger.bitsOf(ticket);
    ledger.drop(1);
    ledger.endCommit(ticket, written);
    expect(ledger.needsCommit).toBe(true);
    expect(ledger.bitsOf(ledger.beginCommit())).toEqual(bits());
  });

  test('a durable piece dropped makes a commit necessary, until one is done', () => {
    const ledger = new PieceLedger(bits());
    ledger.restore(bits(1, 2), [], 5);
    expect(ledger.needsCommit).toBe(false);
    ledger.drop(2);
    expect(ledger.needsCommit).toBe(true);
    const ticket = ledger.beginCommit();
    expect(ticket.generation).toBe(6);
    ledger.endCommit(ticket, ledger.bitsOf(ticket));
    expect(ledger.needsCommit).toBe(false);
  });

  test('a durable piece dropped during the slot write is taken back by another commit', () => {
    const ledger = new PieceLedger(bits());
    ledger.restore(bits(1), [], 1);
    ledger.recordWritten(2);
    const ticket = ledger.beginCommit();
    const written = ledger.bitsOf(ticket);
    ledger.drop(1);
    ledger.endCommit(ticket, written);
    expect(ledger.needsCommit).toBe(true);
    expect(ledger.bitsOf(ledger.beginCommit())).toEqual(bits(2));
  });

  test('a failed commit leaves only what was durable before', () => {
    const ledger = new PieceLedger(bits(7));
    ledger.restore(bits(1), [2], 5);
    ledger.recordWritten(3);
    ledger.beginCommit();
    ledger.recordWritten(4);
    expect(ledger.failCommit()).toEqual([3, 4, 2]);
    expect(ledger.have).toEqual(bits(1, 7));
    expect(ledger.needsCommit).toBe(false);
  });

  test('a replayed piece is never durable before it is written again', () => {
    const ledger = new PieceLedger(bits());
    ledger.restore(bits(), [2], 1);
    expect(ledger.isClaimed(2)).toBe(true);
    ledger.confirm(2);
    expect(ledger.isTrusted(2)).toBe(false);
    expect(ledger.bitsOf(ledger.beginCommit())).toEqual(bits());
    ledger.recordWritten(2);
    expect(ledger.isReplayed(2)).toBe(false);
    expect(ledger.bitsOf(ledger.beginCommit())).toEqual(bits(2));
  });

  test('a dirty piece is trusted only once it is durable', () => {
    const ledger = new PieceLedger(bits());
    ledger.recordWritten(1);
    ledger.confirm(1);
    expect(ledger.isTrusted(1)).toBe(false);
    const ticket = ledger.beginCommit();
    ledger.endCommit(ticket, ledger.bitsOf(ticket));
    expect(ledger.isTrusted(1)).toBe(true);
    expect(ledger.isClaimed(1)).toBe(false);
  });

  test('a durable piece is trusted once it is confirmed, until it is doubted', () => {
    const ledger = new PieceLedger(bits());
    ledger.restore(bits(1), [], 1);
    expect(ledger.isTrusted(1)).toBe(false);
    ledger.confirm(1);
    expect(ledger.isTrusted(1)).toBe(true);
    ledger.doubt(1);
    expect(ledger.isClaimed(1)).toBe(true);
  });

  test('zero pieces are held, never claimed and never in a slot', () => {
    const ledger = new PieceLedger(bits(3));
    ledger.restore(bits(3), [3], 1);
    expect(ledger.isClaimed(3)).toBe(false);
    expect(ledger.storedCount).toBe(0);
    expect(ledger.needsCommit).toBe(false);
    expect(ledger.bitsOf(ledger.beginCommit())).toEqual(bits());
    expect(() => ledger.drop(3)).toThrow('piece 3 dropped');
  });
});
