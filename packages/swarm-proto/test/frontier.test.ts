import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Frontier } from '../src/frontier.ts';

const PAUSE_MIN_MS = 100;
const PAUSE_MAX_MS = 6_400;

test('a node tries at once whether its guest is in front, with one piece at a time', () => {
  const frontier = new Frontier();
  expect(frontier.mayAskFirst(0)).toBe(true);
  expect(frontier.isInFront).toBe(false);
  frontier.tried(0);
  expect(frontier.mayAskFirst(0)).toBe(false);
  expect(frontier.mayAskFirst(PAUSE_MIN_MS - 1)).toBe(false);
  // The origin has not answered: that is no reason never to try again.
  expect(frontier.mayAskFirst(PAUSE_MIN_MS)).toBe(true);
});

test('who is sent the piece stays in front, however much it asks for', () => {
  const frontier = new Frontier();
  frontier.tried(0);
  frontier.granted();
  for (let now = 1; now < 10; now += 1) {
    expect(frontier.isInFront).toBe(true);
    expect(frontier.mayAskFirst(now)).toBe(true);
    frontier.tried(now);
  }
});

test('who is redirected leaves the front to others, at first for as long as a try takes', () => {
  const frontier = new Frontier();
  frontier.granted();
  frontier.redirected(50);
  expect(frontier.isInFront).toBe(false);
  expect(frontier.mayAskFirst(50 + PAUSE_MIN_MS - 1)).toBe(false);
  expect(frontier.mayAskFirst(50 + PAUSE_MIN_MS)).toBe(true);
});

test('each try that fails doubles the pause, up to the longest', () => {
  fc.assert(
    fc.property(fc.nat(20), fc.nat(1_000), (failures, latencyMs) => {
      const frontier = new Frontier();
      let now = 0;
      let pauseMs = PAUSE_MIN_MS;
      for (let n = 0; n < failures; n += 1) {
        expect(frontier.mayAskFirst(now)).toBe(true);
        frontier.tried(now);
        now += latencyMs;
        frontier.redirected(now);
        expect(frontier.mayAskFirst(now + pauseMs - 1)).toBe(false);
        now += pauseMs;
        pauseMs = Math.min(PAUSE_MAX_MS, 2 * pauseMs);
      }
      expect(frontier.mayAskFirst(now)).toBe(true);
    }),
  );
});

test('a try that succeeds makes the pauses short again', () => {
  const frontier = new Frontier();
  for (let n = 0; n < 5; n += 1) frontier.redirected(0);
  frontier.granted();
  frontier.redirected(1_000);
  expect(frontier.mayAskFirst(1_000 + PAUSE_MIN_MS)).toBe(true);
});
