import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ReplyAllowance } from '../../src/nbd/reply-budget.ts';
import { REPLY_BYTES_GUARANTEED, ReplyBudget } from '../../src/nbd/reply-budget.ts';

const MIB = 1024 * 1024;

function allowance(retry = () => {}): ReplyAllowance {
  return { heldBytes: 0, retry };
}

test('refuses what does not fit, and calls back when something is released', () => {
  const budget = new ReplyBudget(10 * MIB);
  const first = allowance();
  let retries = 0;
  const second = allowance(() => retries++);
  expect(budget.reserve(first, 8 * MIB)).toBe(true);
  expect(budget.reserve(second, 4 * MIB)).toBe(false);
  expect(retries).toBe(0);
  budget.release(first, MIB);
  expect(retries).toBe(1);
  budget.release(first, MIB);
  expect(retries).toBe(1);
  expect(budget.reserve(second, 4 * MIB)).toBe(true);
});

test('guarantees a MiB to every connection, until that has doubled the budget', () => {
  const budget = new ReplyBudget(2 * MIB);
  budget.reserve(allowance(), 2 * MIB);
  const guest = allowance();
  expect(budget.reserve(guest, REPLY_BYTES_GUARANTEED - 1)).toBe(true);
  expect(budget.reserve(guest, 1)).toBe(true);
  expect(budget.reserve(guest, 1)).toBe(false);
  expect(budget.reserve(allowance(), REPLY_BYTES_GUARANTEED + 1)).toBe(false);
  expect(budget.reserve(allowance(), MIB / 2)).toBe(true);
  expect(budget.reserve(allowance(), MIB)).toBe(false);
});

test('leaves two thirds of it to others, and half when two hoard', () => {
  const budget = new ReplyBudget(240 * MIB);
  const hoarders = [allowance(), allowance()];
  const hoard = (connection: ReplyAllowance) => {
    while (budget.reserve(connection, MIB));
    return connection.heldBytes / MIB;
  };
  expect(hoard(hoarders[0])).toBe(80);
  expect(hoard(hoarders[1])).toBe(53);
  budget.release(hoarders[0], 80 * MIB);
  hoard(hoarders[1]);
  hoard(hoarders[0]);
  expect(budget.heldBytes).toBeLessThan(135 * MIB);
  expect(budget.reserve(allowance(), 100 * MIB)).toBe(true);
});

test('lets a reply longer than all of it through alone', () => {
  const budget = new ReplyBudget(MIB);
  const only = allowance();
  expect(budget.reserve(only, 32 * MIB)).toBe(true);
  budget.leave(only);
  expect(budget.heldBytes).toBe(0);
});

test('calls nobody back who has left', () => {
  const budget = new ReplyBudget(MIB);
  const holder = allowance();
  const gone = allowance(() => expect.unreachable());
  budget.reserve(holder, MIB);
  expect(budget.reserve(gone, 2 * MIB)).toBe(false);
  budget.leave(gone);
  budget.leave(holder);
});

test('never holds more than twice its maximum, nor than that and what it guarantees', () => {
  const actions = fc.array(fc.tuple(fc.nat(4), fc.nat(3 * MIB), fc.boolean()));
  fc.assert(
    fc.property(fc.integer({ min: 3 * MIB, max: 9 * MIB }), actions, (bytesMax, steps) => {
      const budget = new ReplyBudget(bytesMax);
      const connections = Array.from({ length: 5 }, () => allowance());
      for (const [index, length, isRelease] of steps) {
        const connection = connections[index];
        if (isRelease) budget.release(connection, Math.min(length, connection.heldBytes));
        else budget.reserve(connection, length);
        const held = connections.reduce((sum, { heldBytes }) => sum + heldBytes, 0);
        expect(budget.heldBytes).toBe(held);
        const beyond = Math.min(bytesMax, connections.length * REPLY_BYTES_GUARANTEED);
        expect(held).toBeLessThanOrEqual(bytesMax + beyond);
      }
    }),
  );
});
