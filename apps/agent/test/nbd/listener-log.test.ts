import { ProtocolError } from '@bootswarm/stdx';
import pino from 'pino';
import { beforeEach, expect, test } from 'vitest';
import { listenerLog } from '../../src/nbd/listener-log.ts';
import type { NbdListenerEvent } from '../../src/nbd/nbd-listener.ts';

let told: Record<string, unknown>[];
let now: number;
let tell: (event: NbdListenerEvent) => void;

beforeEach(() => {
  told = [];
  now = 0;
  const log = pino({ level: 'info' }, { write: (line) => told.push(JSON.parse(line)) });
  tell = listenerLog(log, () => now);
});

test('says once a minute that clients are refused', () => {
  for (now = 0; now < 120_000; now += 1_000) {
    tell({ type: 'connection-refused', connectionsMax: 1024 });
  }
  expect(told).toHaveLength(2);
  expect(told[0]).toMatchObject({ level: 40, connectionsMax: 1024 });
});

test('says that nobody can be accepted, and why', () => {
  tell({ type: 'listener-failed', error: new Error('EMFILE') });
  expect(told).toMatchObject([{ level: 50, error: 'EMFILE', hint: expect.any(String) }]);
});

test('says what was our own fault, and not what was the client’s', () => {
  const end = { type: 'connection-ended', exportName: 'a' } as const;
  tell({ ...end, reason: 'done', error: undefined });
  tell({ ...end, reason: 'abandoned', error: new Error('ECONNRESET') });
  tell({ ...end, reason: 'failed', error: new ProtocolError('bad-magic', {}) });
  expect(told).toEqual([]);
  tell({ ...end, reason: 'failed', error: new Error('no such field') });
  expect(told).toMatchObject([{ level: 50, exportName: 'a', err: { stack: expect.any(String) } }]);
});
