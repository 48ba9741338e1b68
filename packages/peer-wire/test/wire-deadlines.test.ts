import { describe, expect, it } from 'vitest';
import { WireDeadlines, type WireProgress } from '../src/wire-deadlines.ts';

const LIMITS = { idleTimeoutMs: 120, keepAliveMs: 55, writeStallMs: 30, messageStallMs: 40 };
const QUIET: WireProgress = {
  bytesReceived: 0,
  framesDone: 0,
  bufferedBytes: 0,
  bytesWritten: 0,
  isWriting: false,
};

/** The verdicts at each 10 ms for a connection whose state at that time is `progressAt`. */
function verdicts(
  untilMs: number,
  progressAt: (nowMs: number) => Partial<WireProgress>,
): unknown[] {
  const deadlines = new WireDeadlines(LIMITS, 0);
  const found: unknown[] = [];
  for (let nowMs = 0; nowMs <= untilMs; nowMs += 10) {
    const verdict = deadlines.check({ ...QUIET, ...progressAt(nowMs) }, nowMs);
    if (verdict !== undefined) found.push([nowMs, verdict]);
  }
  return found;
}

describe('WireDeadlines', () => {
  it('asks for a keep-alive when nothing was sent for long', () => {
    expect(verdicts(60, () => ({}))).toEqual([[60, 'keep-alive']]);
  });

  it('asks for the next keep-alive counting from the last', () => {
    const sent = verdicts(140, (nowMs) => ({
      bytesWritten: nowMs > 60 ? 4 : 0,
      bytesReceived: nowMs,
    }));
    expect(sent).toEqual([
      [60, 'keep-alive'],
      [130, 'keep-alive'],
      [140, 'keep-alive'],
    ]);
  });

  it('closes a peer that says nothing', () => {
    expect(verdicts(130, (nowMs) => ({ bytesWritten: nowMs }))).toEqual([[130, 'idle']]);
  });

  it('closes a peer that does not take what is sent', () => {
    expect(verdicts(40, () => ({ isWriting: true }))).toEqual([[40, 'write-stalled']]);
  });

  it('closes a peer that drips a message', () => {
    const busy = { bufferedBytes: 16 * 20 };
    const dripping = (nowMs: number) => ({ ...busy, bytesReceived: nowMs, bytesWritten: nowMs });
    // 40 ms, and 20 ms for 320 bytes.
    expect(verdicts(70, dripping)).toEqual([[70, 'message-stalled']]);
  });

  it('leaves a peer alone whose messages end, slow as they are', () => {
    const slow = (nowMs: number) => ({
      bufferedBytes: 5,
      framesDone: Math.floor(nowMs / 30),
      bytesReceived: nowMs,
      bytesWritten: nowMs,
    });
    expect(verdicts(300, slow)).toEqual([]);
  });

  it('counts a message from its beginning, not from the end of the one before', () => {
    const late = (nowMs: number) => ({
      bufferedBytes: nowMs < 100 ? 0 : 5,
      bytesReceived: nowMs,
      bytesWritten: nowMs,
    });
    expect(verdicts(130, late)).toEqual([]);
  });
});
