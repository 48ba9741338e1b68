import { FAULT_KINDS } from '@bootswarm/sim';
import { describe, expect, test } from 'vitest';
import { stormOf as stormOn } from './storms.ts';

// Slow NICs, so that a fault in the midst of the arrivals is in the midst of the transfer too.
const BASE = '--trace synthetic:1:16 --mbit 200 --origin-mbit 200 --until 300';

// The checkers are on in all of them: a breach throws. Replay: npm run bench -- storm --nodes 24, BASE, and the scenario.
const SCENARIOS = [
  ...Object.keys(FAULT_KINDS).map((kind) => `--fault ${kind}`),
  '--fault freeze:0.25@0.5+5',
  '--fault freeze:0.2@0.3+1',
  '--fault partition-out:0.2@0.3+1 --fault slow:0.1',
  '--fault crash:0.2@0.2 --known no',
  '--fault restart:0.2@0.2 --learned no',
];

function stormOf(flags: string) {
  return stormOn(`${BASE} ${flags}`);
}

describe('boot storm in which things fail', () => {
  test.each(SCENARIOS)('%s: every guest on a live node boots', (flags) => {
    const { guestsWaiting, healthy, vms } = stormOf(flags);
    expect(guestsWaiting).toBe(0);
    expect(healthy.vms).toBeGreaterThan(0);
    expect(healthy.vms).toBeLessThanOrEqual(vms);
    expect(healthy.lastVmSeconds).toBeLessThan(60);
  });

  test('figures of healthy nodes leave out those that were hit', () => {
    const { vms, healthy } = stormOf('--fault freeze:0.25@0.5+1');
    expect([vms, healthy.vms]).toEqual([24, 18]);
    const crashed = stormOf('--fault crash:0.25');
    expect([crashed.vms, crashed.healthy.vms, crashed.guestsWaiting]).toEqual([18, 18, 0]);
  });

  test('where every node is hit no figure is made up of healthy ones', () => {
    const { vms, guestsWaiting, healthy } = stormOf('--fault clog:1');
    expect([vms, guestsWaiting, healthy.vms]).toEqual([24, 0, 0]);
    const { lastVmSeconds, meanVmSeconds, p99VmSeconds } = healthy;
    expect([lastVmSeconds, meanVmSeconds, p99VmSeconds]).toEqual([NaN, NaN, NaN]);
  });

  test('a poisoner is left by those it gave a wrong piece', () => {
    expect(stormOf('--fault poisoner').bans).toBeGreaterThan(0);
  });

  test('an agent that lost its cache fetches it again', () => {
    const [kept, lost] = ['restart', 'restart-empty'].map((kind) =>
      stormOf(`--fault ${kind}:0.25@1.5`),
    );
    expect(lost.healthy.lastVmSeconds).toBeLessThanOrEqual(lost.lastVmSeconds);
    expect(lost.events).toBeGreaterThan(kept.events);
  });

  test('nothing leaves an origin that is dead', () => {
    const { curves, guestsWaiting } = stormOf('--fault origin-dead --arrival 3');
    const sent = curves.originBytes.map(([, bytes]) => bytes);
    expect(guestsWaiting).toBe(0);
    expect(sent.at(-1)).toBe(sent.at(-50));
  });

  test('the same seed gives the same event log, another seed another', () => {
    const [first, again, other] = [3, 3, 4].map(
      (seed) => stormOf(`--fault freeze:0.1@0.3+1 --fault clog --seed ${seed}`).eventLogHash,
    );
    expect(again).toBe(first);
    expect(other).not.toBe(first);
  });
});
