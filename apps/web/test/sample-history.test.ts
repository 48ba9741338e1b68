import type { StormSample } from '@bootswarm/tracker';
import { expect, test } from 'vitest';
import { HISTORY_SECONDS, LATE_SECONDS, SampleHistory } from '../src/sample-history.ts';

function sample(at: number, peers = 0, origin = 0): StormSample {
  const read = { cache: at, peers: 0, origin: 0 };
  return { at, vmsBooting: 1, read, received: { cache: 0, peers, origin } };
}

function samples(from: number, count: number): StormSample[] {
  return Array.from({ length: count }, (_, index) => sample(from + index));
}

test('has what came first and what came since, by its time, without the newest seconds', () => {
  const history = new SampleHistory();
  history.replace(samples(100, 20));
  history.merge(samples(115, 10));
  const { at, cache } = history.columns();
  expect(at).toEqual(Array.from({ length: 25 - LATE_SECONDS }, (_, index) => 100 + index));
  expect(cache).toEqual(at);
});

test('takes a second that is told again as it is told last', () => {
  const history = new SampleHistory();
  history.replace(samples(100, 10));
  history.merge([sample(103, 300, 100)]);
  const { peers, origin, originPercent } = history.columns();
  expect([peers[3], origin[3], originPercent[3]]).toEqual([300, 100, 25]);
  expect(originPercent[2]).toBeNull();
});

test('forgets what is older than it shows', () => {
  const history = new SampleHistory();
  history.replace(samples(0, HISTORY_SECONDS));
  history.merge(samples(HISTORY_SECONDS, 10));
  expect(history.columns().at[0]).toBe(10);
});

test('begins anew with a tracker that was restarted', () => {
  const history = new SampleHistory();
  history.replace(samples(100, 50));
  history.replace(samples(200, 5));
  expect(history.columns().at).toEqual([200, 201, 202]);
});
