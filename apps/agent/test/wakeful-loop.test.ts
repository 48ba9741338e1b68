import { beforeEach, expect, test } from 'vitest';
import { WakefulLoop } from '../src/wakeful-loop.ts';

let nowMs: number;
/** What the event loop has to do in its next turn: nothing, and it sleeps. */
let turns: (() => void)[];
let looks: number;
let loop: WakefulLoop;

beforeEach(() => {
  nowMs = 1_000;
  turns = [];
  looks = 0;
  loop = new WakefulLoop({
    look: () => {
      looks += 1;
    },
    now: () => nowMs,
    inNextTurn: (turn) => turns.push(turn),
  });
});

const isAwake = (): boolean => turns.length > 0;

/** Turns of the loop until it sleeps, for so long at most. */
function passes(ms: number): void {
  const end = nowMs + ms;
  while (isAwake() && nowMs < end) {
    nowMs += 0.002;
    for (const turn of turns.splice(0)) turn();
  }
  nowMs = Math.max(nowMs, end);
}

/** Requests, each so long after the answer to the one before, and 10 µs to serve it. */
function reads(count: number, afterMs: number): void {
  for (let read = 0; read < count; read += 1) {
    passes(afterMs);
    loop.heard();
    nowMs += 0.01;
    loop.served();
  }
}

test('the loop stays awake for a program that reads on and on, by one turn after another', () => {
  reads(8, 0.04);
  expect(isAwake()).toBe(false);
  reads(1, 0.04);
  for (let read = 0; read < 1_000; read += 1) {
    expect(turns).toHaveLength(1);
    reads(1, 0.025);
  }
  expect(looks).toBeGreaterThan(1_000);
});

test('the loop sleeps soon after the last read, and stays asleep for one read or a few', () => {
  reads(100, 0.025);
  const since = nowMs;
  passes(0.1);
  expect(isAwake()).toBe(false);
  expect(nowMs - since).toBeCloseTo(0.1);
  reads(8, 0.04);
  expect(isAwake()).toBe(false);
});

test('the loop does not wait for a program that thinks between two reads', () => {
  reads(100, 0.2);
  expect(isAwake()).toBe(false);
  // Soon enough to be waited for, and never there in time: one wait in eight reads.
  let waits = 0;
  for (let read = 0; read < 900; read += 1) {
    reads(1, 0.09);
    if (isAwake()) waits += 1;
  }
  expect(waits).toBeLessThanOrEqual(900 / 8);
});
