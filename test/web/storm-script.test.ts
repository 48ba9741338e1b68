import { expect, test } from 'vitest';
import { OVERVIEW } from '../../apps/tracker/src/overview-schema.ts';
import { emptyOverview } from './empty-overview.ts';
import { StormScript } from './storm-script.ts';

const START_MS = Date.parse('2026-03-02T10:15:00Z');

test('a made-up overview is what the API says, before, during and after the storm', () => {
  const script = new StormScript({ nodes: 500, zones: 8, seed: 7, startMs: START_MS });
  const storms: (boolean | undefined)[] = [];
  for (let second = 0; second < 200; second += 1) {
    script.advance();
    if (second % 40 !== 10) continue;
    const overview = script.overview();
    expect(OVERVIEW.parse(overview)).toEqual(overview);
    storms.push(overview.storm === null ? undefined : overview.storm.endedAt === null);
  }
  expect(storms).toEqual([undefined, true, true, true, false]);
  expect(OVERVIEW.parse(emptyOverview(START_MS))).toEqual(emptyOverview(START_MS));
});

test('the figures of nodes, zones and storm are the same bytes', () => {
  const script = new StormScript({ nodes: 40, zones: 3, seed: 1, startMs: START_MS });
  for (let second = 0; second < 80; second += 1) script.advance();
  const { nodes, zones, storm } = script.overview();
  const sum = (each: readonly { received: { peers: number } }[]) =>
    each.reduce((bytes, { received }) => bytes + received.peers, 0);
  expect(sum(nodes)).toBeGreaterThan(0);
  expect(sum(zones)).toBe(sum(nodes));
  expect(storm?.received.peers).toBe(sum(nodes));
});
